with final as (
    select
        request_id,
        choice,
        occurred_at,
        coalesce(prompt, '') as prompt,
        coalesce(response, '') as response,
        coalesce(finish_reason = 'stop', false) as ended,
        model_version
    from {{ source('raw', 'generations') }}
    -- A request id may be a client's own, and come again.
    qualify row_number() over (partition by request_id, choice order by occurred_at desc, _row_hash asc) = 1
)

select * from final

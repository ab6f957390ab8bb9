with versions as (
    select
        user_id,
        joined_at,
        nullif(region, '') as region,
        nullif(language, '') as language,
        _row_hash as version_id,
        (joined_at is not null)::int + (region is not null)::int + (language is not null)::int
        + (attributes is not null)::int as filled
    from {{ source('raw', 'users') }}
    where user_id <> '{{ var("anonymous") }}'
),

final as (
    select
        user_id,
        joined_at,
        region,
        language
    from versions
    qualify row_number() over (partition by user_id order by filled desc, joined_at asc nulls last, version_id asc) = 1
)

select * from final

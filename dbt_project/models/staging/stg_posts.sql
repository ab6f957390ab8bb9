with versions as (
    select * from {{ ref('stg_post_versions') }}
),

-- The fullest version counts, then the newest, then any fixed one: never the one that happened to arrive last.
chosen as (
    select
        arg_max(
            version_id,
            {
                'filled': (author_id is not null)::int + (text is not null)::int + (lang is not null)::int
                + (len(topics) > 0)::int + (reply_to is not null)::int + (url is not null)::int,
                'created_at': created_at,
                'length': coalesce(length(text), 0),
                'version_id': version_id
            }
        ) as version_id,
        -- A deletion is not taken back by a fuller version.
        min(deleted_at) as deleted_at
    from versions
    group by post_id
),

final as (
    select versions.* replace (chosen.deleted_at as deleted_at)
    from versions
    inner join chosen on versions.version_id = chosen.version_id
)

select * from final

with posts as (
    select * from {{ ref('stg_posts') }}
),

post_texts as (
    select * from {{ ref('post_texts') }}
),

post_daily as (
    select * from {{ ref('post_daily') }}
),

-- Distinct users, so that one person cannot report a post into being abusive; such events are few.
minded as (
    select
        post_id,
        count(distinct case when action = 'report' then user_id end) as n_reported,
        count(distinct case when action = 'hide' then user_id end) as n_hidden
    from {{ ref('stg_events') }}
    where action in ('report', 'hide') and user_id <> '{{ var("anonymous") }}'
    group by post_id
),

met as (
    select
        post_id,
        sum(n_events) as n_seen
    from post_daily
    group by post_id
),

final as (
    select
        post_texts.content_hash as document_id,
        sum(met.n_seen)::bigint as n_seen,
        sum(coalesce(minded.n_reported, 0))::bigint as n_reported,
        sum(coalesce(minded.n_hidden, 0))::bigint as n_hidden
    from posts
    inner join post_texts on posts.version_id = post_texts.version_id
    inner join met on posts.post_id = met.post_id
    left join minded on posts.post_id = minded.post_id
    where post_texts.text is not null and posts.deleted_at is null
    group by post_texts.content_hash
)

select * from final

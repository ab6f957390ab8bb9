-- Every post is there once with its item, and every document comes from a post and holds no address.
with posts as (
    select
        count(*) as n_posts,
        count(*) filter (where is_root <> (post_id = item_id)) as n_wrong_roots,
        sum(impressions + views + likes + comments + shares + saves + hides + reports) as n_counted
    from {{ ref('posts') }}
),

raw as (select count(distinct post_id) as n_posts from {{ source('raw', 'posts') }}),

-- Follows are the one action that posts do not count in a column of its own.
events as (
    select sum(post_daily.n_events - post_daily.follows) as n_counted
    from {{ ref('post_daily') }} as post_daily
    semi join {{ ref('stg_post_versions') }} as known on post_daily.post_id = known.post_id
),

documents as (
    select
        count(*) as n_documents,
        count(*) filter (where text = '' or n_chars = 0 or n_bytes < n_chars) as n_empty,
        count(*) filter (where regexp_matches(text, '[A-Za-z0-9]@[A-Za-z0-9-]+\.[A-Za-z]{2,}')) as n_addresses
    from {{ ref('corpus_documents') }}
),

rules as (
    select unnest([
        {'rule': 'posts are not the raw posts', 'broken': posts.n_posts <> raw.n_posts},
        {'rule': 'a root is not its item', 'broken': posts.n_wrong_roots > 0},
        {'rule': 'counts do not add up', 'broken': coalesce(posts.n_counted, 0) <> coalesce(events.n_counted, 0)},
        {'rule': 'more documents than posts', 'broken': documents.n_documents > posts.n_posts},
        {'rule': 'an empty document', 'broken': documents.n_empty > 0},
        {'rule': 'an address is not masked', 'broken': documents.n_addresses > 0}
    ], recursive := true)
    from posts, raw, events, documents
)

select * from rules where broken

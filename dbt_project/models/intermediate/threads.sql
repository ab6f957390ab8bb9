{#-
    Finding the root of every reply by pointer doubling: each pass lets every reply point where its target points, so
    16 passes reach through 65,536 levels at the cost of 16 joins, and a cycle costs no more than a thread. A walk
    level by level (a recursive query) took as many joins as the deepest thread has levels.
-#}
{%- set passes = 16 -%}
with posts as (
    select
        post_id,
        reply_to,
        author_id,
        created_at,
        topics,
        _load_seq
    from {{ ref('stg_posts') }}
),

-- `least_id` is the smallest post on the way so far: on a cycle, in the end, the smallest of the cycle.
hop_0 as materialized (
    select
        post_id,
        reply_to as target_id,
        post_id as least_id,
        _load_seq as changed_seq
    from posts
    where reply_to is not null and reply_to <> post_id
),
{% for pass in range(passes) %}
hop_{{ pass + 1 }} as materialized (
    select
        here.post_id,
        coalesce(there.target_id, here.target_id) as target_id,
        least(here.least_id, there.least_id) as least_id,
        greatest(here.changed_seq, there.changed_seq) as changed_seq
    from hop_{{ pass }} as here
    left join hop_{{ pass }} as there on here.target_id = there.post_id
),
{% endfor %}
-- A target that is itself still a reply lies on a cycle; any other target is the root, known or not.
rooted as (
    select
        here.post_id,
        coalesce(there.least_id, here.target_id) as item_id,
        greatest(here.changed_seq, there.changed_seq) as changed_seq
    from hop_{{ passes }} as here
    left join hop_{{ passes }} as there on here.target_id = there.post_id
),

final as (
    select
        posts.post_id,
        coalesce(rooted.item_id, posts.post_id) as item_id,
        root.author_id as item_author_id,
        root.created_at as item_created_at,
        coalesce(posts.topics[1], root.topics[1]) as community,
        greatest(posts._load_seq, rooted.changed_seq, root._load_seq) as _changed_seq
    from posts
    left join rooted on posts.post_id = rooted.post_id
    left join posts as root on coalesce(rooted.item_id, posts.post_id) = root.post_id
)

select * from final

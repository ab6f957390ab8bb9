{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='occurred_on', on_schema_change='fail'
) }}

with threads as (
    select
        post_id,
        item_id,
        _changed_seq
    from {{ ref('threads') }}
),
{% if is_incremental() %}
marks as (
    select
        coalesce(max(_events_seq), -1) as events_seq,
        coalesce(max(_posts_seq), -1) as posts_seq
    from {{ this }}
),

-- A post that comes after its events may move them to another thread, and so change the number of items of their days.
moved_posts as (
    select post_id from threads
    where _changed_seq > (select posts_seq from marks)
),

touched_days as (
    select occurred_on from {{ ref('stg_events') }}
    where _load_seq > (select events_seq from marks)
    union distinct
    select occurred_on from {{ ref('stg_events') }}
    where post_id in (select post_id from moved_posts)
),
{% endif %}
events as (
    select * from {{ ref('stg_events') }}
    {% if is_incremental() %}
    where occurred_on in (select occurred_on from touched_days)
    {% endif %}
),

counts as (
    select
        user_id,
        occurred_on,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
        {{ count_actions() }}
    from events
    group by user_id, occurred_on
),

-- Distinct in two steps, which is several times faster than count(distinct).
items as (
    select distinct
        events.user_id,
        events.occurred_on,
        coalesce(threads.item_id, events.post_id) as item_id
    from events
    left join threads on events.post_id = threads.post_id
    where events.action <> 'impression'
),

item_counts as (
    select
        user_id,
        occurred_on,
        count(*) as n_items
    from items
    group by user_id, occurred_on
),

final as (
    select
        counts.*,
        coalesce(item_counts.n_items, 0) as n_items,
        (select max(_load_seq) from {{ ref('stg_events') }}) as _events_seq,
        (select max(_changed_seq) from threads) as _posts_seq
    from counts
    left join item_counts on counts.user_id = item_counts.user_id and counts.occurred_on = item_counts.occurred_on
)

select * from final

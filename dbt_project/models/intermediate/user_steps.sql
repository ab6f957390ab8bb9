{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='user_id', on_schema_change='fail'
) }}

with threads as (
    select
        post_id,
        _changed_seq
    from {{ ref('threads') }}
),

events as (
    select
        user_id,
        post_id,
        _load_seq
    from {{ ref('stg_events') }}
),
{% if is_incremental() %}
marks as (
    select
        coalesce(max(_events_seq), -1) as events_seq,
        coalesce(max(_posts_seq), -1) as posts_seq
    from {{ this }}
),

-- A post that comes after its events may move them to another thread, and so to another item.
moved_posts as (
    select post_id from threads
    where _changed_seq > (select posts_seq from marks)
),

touched_users as (
    select user_id from events
    where _load_seq > (select events_seq from marks)
    union distinct
    select user_id from events
    where post_id in (select post_id from moved_posts)
),
{% endif %}
positives as (
    select
        user_id,
        occurred_at,
        event_id,
        item_id,
        action,
        weight
    from {{ ref('interactions') }}
    where
        is_positive and user_id <> '{{ var("anonymous") }}'
        {% if is_incremental() %}
        and user_id in (select user_id from touched_users)
        {% endif %}
),

final as (
    select
        user_id,
        -- Structs sort by their fields in order; sorting whole lists is twice as fast as an ordered aggregate.
        list_sort(list(
            {'occurred_at': occurred_at, 'event_id': event_id, 'item_id': item_id, 'action': action, 'weight': weight}
        )) as steps,
        (select max(_load_seq) from events) as _events_seq,
        (select max(_changed_seq) from threads) as _posts_seq
    from positives
    group by user_id
)

select * from final

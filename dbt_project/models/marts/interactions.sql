{{ config(materialized='view') }}

with events as (
    select * from {{ ref('stg_events') }}
),

threads as (
    select * from {{ ref('threads') }}
),

action_weights as (
    select * from {{ ref('action_weights') }}
),

final as (
    select
        events.event_id,
        events.occurred_at,
        events.occurred_on,
        events.user_id,
        events.post_id,
        coalesce(threads.item_id, events.post_id) as item_id,
        events.action,
        action_weights.weight,
        {{ speaks(1, 'events') }} as is_positive,
        {{ speaks(-1, 'events') }} as is_negative,
        events.action = 'impression' as is_impression,
        coalesce(
            events.user_id = threads.item_author_id and events.user_id <> '{{ var("anonymous") }}', false
        ) as is_own_item,
        events.value,
        events.session_id,
        events.surface,
        events.position,
        events.request_id,
        events.model_version,
        events.propensity
    from events
    left join threads on events.post_id = threads.post_id
    left join action_weights on events.action = action_weights.action
)

select * from final

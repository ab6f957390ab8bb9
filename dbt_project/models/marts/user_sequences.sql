-- Structs sort by their fields in order; sorting whole lists is twice as fast as an ordered aggregate.
with positives as (
    select
        user_id,
        list_sort(list(
            {'occurred_at': occurred_at, 'event_id': event_id, 'item_id': item_id, 'action': action, 'weight': weight}
        )) as steps
    from {{ ref('interactions') }}
    where is_positive and user_id <> '{{ var("anonymous") }}'
    group by user_id
),

final as (
    select
        user_id,
        list_transform(steps, lambda step: step.item_id) as item_ids,
        list_transform(steps, lambda step: step.action) as actions,
        list_transform(steps, lambda step: step.occurred_at) as occurred_at,
        list_transform(steps, lambda step: step.weight) as weights
    from positives
)

select * from final

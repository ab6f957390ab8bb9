with positives as (
    select
        user_id,
        list(
            {'item_id': item_id, 'action': action, 'occurred_at': occurred_at, 'weight': weight}
            order by occurred_at, event_id
        ) as steps
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

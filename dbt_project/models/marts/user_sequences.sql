with user_steps as (
    select * from {{ ref('user_steps') }}
),

final as (
    select
        user_id,
        list_transform(steps, lambda step: step.item_id) as item_ids,
        list_transform(steps, lambda step: step.action) as actions,
        list_transform(steps, lambda step: step.occurred_at) as occurred_at,
        list_transform(steps, lambda step: step.weight) as weights
    from user_steps
)

select * from final

{{ config(materialized='view') }}

with post_daily as (
    select * from {{ ref('post_daily') }}
),

threads as (
    select * from {{ ref('threads') }}
),

final as (
    select
        coalesce(threads.item_id, post_daily.post_id) as item_id,
        post_daily.occurred_on,
        {{ sum_actions() }}
    from post_daily
    left join threads on post_daily.post_id = threads.post_id
    group by all
)

select * from final

{{ config(materialized='view') }}

with user_daily as (
    select * from {{ ref('user_daily') }}
),

final as (
    select
        user_id,
        occurred_on,
        n_events,
        {{ positives() }} as n_positive,
        n_items,
        {%- for _, column, _ in actions() %}
        {{ column }},
        {%- endfor %}
        long_views,
        first_at,
        last_at
    from user_daily
    where user_id <> '{{ var("anonymous") }}'
)

select * from final

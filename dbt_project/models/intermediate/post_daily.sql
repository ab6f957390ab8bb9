{{ config(
    materialized='incremental', incremental_strategy='delete+insert', unique_key='occurred_on', on_schema_change='fail'
) }}

with
{% if is_incremental() %}
-- Days that new events fall on are counted anew as a whole; late events only mean other days.
touched_days as (
    select occurred_on from {{ ref('stg_events') }}
    where _load_seq > (select coalesce(max(_load_seq), -1) from {{ this }})
),
{% endif %}
events as (
    select * from {{ ref('stg_events') }}
    {% if is_incremental() %}
    where occurred_on in (select occurred_on from touched_days)
    {% endif %}
),

final as (
    select
        post_id,
        occurred_on,
        {{ count_actions() }},
        max(_load_seq) as _load_seq
    from events
    group by post_id, occurred_on
)

select * from final

-- depends_on: {{ ref('post_texts') }}
-- depends_on: {{ ref('post_daily') }}
-- depends_on: {{ ref('user_daily') }}
-- depends_on: {{ ref('user_steps') }}
select '{{ env_var("TIDEGATE_DBT_CODE") }}' as code

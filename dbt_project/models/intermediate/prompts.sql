{{ config(materialized='view') }}

select
    prompt_id,
    arg_min(prompt, {'occurred_at': occurred_at, 'judgement_id': judgement_id}) as prompt,
    min(occurred_at) as first_judged_at
from {{ ref('judgements') }}
group by prompt_id

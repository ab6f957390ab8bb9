{{ config(materialized='view') }}

-- The last word of each person on each text.
with judgements as (
    select * from {{ ref('judgements') }}
),

votes as (
    select
        prompt_id,
        response,
        voter,
        arg_max(rating, {'occurred_at': occurred_at, 'judgement_id': judgement_id}) as rating,
        max(occurred_at) as occurred_at,
        bool_or(ended) as ended,
        max(model_version) as model_version
    from judgements
    where rating is not null
    group by prompt_id, response, voter
),

final as (
    select
        prompt_id,
        response,
        sign(sum(rating))::integer as verdict,
        abs(sum(rating))::bigint as lead,
        count(*) filter (where rating > 0) as n_liked,
        count(*) filter (where rating < 0) as n_disliked,
        bool_or(ended) as ended,
        max(occurred_at) as occurred_at,
        max(model_version) as model_version
    from votes
    group by prompt_id, response
)

select * from final

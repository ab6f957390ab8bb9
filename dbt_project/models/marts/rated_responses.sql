with rating_votes as (
    select * from {{ ref('rating_votes') }}
),

prompts as (
    select * from {{ ref('prompts') }}
),

paired as (
    select
        prompt_id,
        chosen as response
    from {{ ref('preference_pairs') }}
    union
    select
        prompt_id,
        rejected as response
    from {{ ref('preference_pairs') }}
),

final as (
    select
        md5(rating_votes.prompt_id || chr(0) || rating_votes.response) as response_id,
        rating_votes.prompt_id,
        prompts.prompt,
        rating_votes.response,
        rating_votes.verdict,
        rating_votes.n_liked,
        rating_votes.n_disliked,
        rating_votes.ended,
        paired.response is not null as is_paired,
        rating_votes.occurred_at,
        prompts.first_judged_at,
        rating_votes.model_version
    from rating_votes
    inner join prompts on rating_votes.prompt_id = prompts.prompt_id
    left join paired
        on rating_votes.prompt_id = paired.prompt_id and rating_votes.response = paired.response
)

select * from final

with judgements as (
    select * from {{ ref('judgements') }}
),

rating_votes as (
    select * from {{ ref('rating_votes') }}
),

prompts as (
    select * from {{ ref('prompts') }}
),

last_edits as (
    select
        prompt_id,
        response,
        voter,
        arg_max(edited_text, {'occurred_at': occurred_at, 'judgement_id': judgement_id}) as edited_text,
        max(occurred_at) as occurred_at,
        bool_or(ended) as ended
    from judgements
    where edited_text is not null
    group by prompt_id, response, voter
),

edits as (
    select
        prompt_id,
        edited_text as chosen,
        response as rejected,
        'edit' as kind,
        count(*) as n_votes,
        bool_or(ended) as chosen_ended,
        bool_or(ended) as rejected_ended,
        max(occurred_at) as occurred_at
    from last_edits
    group by prompt_id, edited_text, response
),

-- The texts about which people are clearest; a prompt that many answered must not outweigh all others.
ranked as (
    select *
    from rating_votes
    where verdict <> 0
    qualify
        row_number() over (partition by prompt_id, verdict order by lead desc, response asc)
        <= {{ var('rated_texts_a_prompt') }}
),

rated as (
    select
        liked.prompt_id,
        liked.response as chosen,
        disliked.response as rejected,
        'rating' as kind,
        least(liked.lead, disliked.lead) as n_votes,
        liked.ended as chosen_ended,
        disliked.ended as rejected_ended,
        greatest(liked.occurred_at, disliked.occurred_at) as occurred_at
    from ranked as liked
    inner join ranked as disliked
        on liked.prompt_id = disliked.prompt_id and liked.verdict = 1 and disliked.verdict = -1
),

said as (
    select * from edits
    union all by name
    select * from rated
),

added_up as (
    select
        prompt_id,
        chosen,
        rejected,
        min(kind) as kind,
        sum(n_votes)::bigint as n_votes,
        bool_or(chosen_ended) as chosen_ended,
        bool_or(rejected_ended) as rejected_ended,
        max(occurred_at) as occurred_at
    from said
    group by prompt_id, chosen, rejected
),

-- Whoever prefers the rejected text to the chosen one takes a vote away; of two that cancel neither is left.
final as (
    select
        md5(here.prompt_id || chr(0) || here.chosen || chr(0) || here.rejected) as pair_id,
        here.prompt_id,
        prompts.prompt,
        here.chosen,
        here.rejected,
        here.kind,
        here.n_votes - coalesce(against.n_votes, 0) as n_votes,
        here.chosen_ended,
        here.rejected_ended,
        greatest(here.occurred_at, against.occurred_at) as occurred_at,
        prompts.first_judged_at
    from added_up as here
    inner join prompts on here.prompt_id = prompts.prompt_id
    left join added_up as against
        on
            here.prompt_id = against.prompt_id
            and here.chosen = against.rejected
            and here.rejected = against.chosen
    where here.n_votes > coalesce(against.n_votes, 0)
)

select * from final

with feedback as (
    select * from {{ ref('stg_feedback') }}
),

generations as (
    select * from {{ ref('stg_generations') }}
),

-- What the server itself knows of a judged request: all choices that the judgement may be about.
possible as (
    select
        feedback.judgement_id,
        generations.prompt,
        generations.response,
        generations.ended,
        generations.model_version
    from feedback
    inner join generations
        on
            feedback.request_id = generations.request_id
            and (feedback.choice is null or feedback.choice = generations.choice)
            and (feedback.response is null or {{ bare('feedback.response') }} = {{ bare('generations.response') }})
),

known as (
    select
        judgement_id,
        case when min(prompt) = max(prompt) then min(prompt) end as prompt,
        case when min(response) = max(response) then min(response) end as response,
        bool_and(ended) as ended,
        min(model_version) as model_version
    from possible
    group by judgement_id
),

joined as (
    select
        feedback.judgement_id,
        feedback.occurred_at,
        coalesce(feedback.user_id, feedback.judgement_id) as voter,
        -- What the server knows comes first: a client may have trimmed it, or know a chat's last message alone.
        coalesce(known.prompt, feedback.prompt) as prompt,
        coalesce(known.response, feedback.response) as response,
        coalesce(known.ended, false) as ended,
        feedback.rating,
        feedback.edited_text,
        coalesce(feedback.model_version, known.model_version) as model_version
    from feedback
    left join known on feedback.judgement_id = known.judgement_id
    where feedback.rating is not null or feedback.edited_text is not null
),

cleaned as (
    select
        * replace (
            {{ clean_text('prompt') }} as prompt,
            {{ clean_text('response') }} as response,
            {{ clean_text('edited_text') }} as edited_text
        ),
        -- What parts prompt and response: cleaning trims both, and `Today` and `was` are not `Todaywas`.
        case
            when regexp_matches(prompt, '\n[ \t]*$') or regexp_matches(response, '^[ \t]*\n') then chr(10)
            when regexp_matches(prompt, '\s$') or regexp_matches(response, '^\s') then ' '
            else ''
        end as gap
    from joined
    where prompt is not null and response is not null
),

-- People who are given prompt and response as one text to edit send both back.
edited as (
    select
        * replace (
            case
                when prompt <> '' and starts_with(edited_text, prompt) then trim(substr(edited_text, length(prompt) + 1))
                else edited_text
            end as edited_text
        )
    from cleaned
    where response <> ''
),

masked as (
    select
        * replace (
            {{ mask_personal_data('prompt') }} as prompt,
            {{ mask_personal_data('response') }} as response,
            nullif({{ mask_personal_data('edited_text') }}, '') as edited_text
        )
    from edited
),

final as (
    select
        judgement_id,
        voter,
        occurred_at,
        md5({{ content_key('prompt') }}) as prompt_id,
        prompt,
        case when prompt = '' then '' else gap end || response as response,
        ended,
        rating,
        case when edited_text <> response then case when prompt = '' then '' else gap end || edited_text end as edited_text,
        model_version
    from masked
)

select * from final

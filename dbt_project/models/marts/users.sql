with profiles as (
    select * from {{ ref('stg_users') }}
),

posts as (
    select
        post_id,
        author_id,
        lang,
        created_at
    from {{ ref('posts') }}
),

acted as (
    select
        user_id,
        {{ sum_actions() }},
        sum({{ positives() }})::bigint as n_positive,
        count(*) as active_days,
        min(first_at) as first_at,
        max(last_at) as last_at
    from {{ ref('user_daily') }}
    where user_id <> '{{ var("anonymous") }}'
    group by user_id
),

wrote as (
    select
        author_id as user_id,
        min(created_at) as first_at,
        max(created_at) as last_at
    from posts
    where author_id <> '{{ var("anonymous") }}'
    group by author_id
),

-- What a user reads or writes in: languages of posts liked and of posts written.
spoken as (
    select
        interactions.user_id,
        posts.lang
    from {{ ref('interactions') }} as interactions
    inner join posts on interactions.post_id = posts.post_id
    where interactions.is_positive and posts.lang is not null
    union all
    select
        author_id as user_id,
        lang
    from posts
    where author_id is not null and lang is not null
),

-- A language that makes less than a tenth of it is a chance find.
languages as (
    select
        user_id,
        list(lang order by uses desc, lang asc) as languages
    from (
        select
            user_id,
            lang,
            count(*) as uses
        from spoken
        group by user_id, lang
        qualify count(*) * 10 >= sum(count(*)) over (partition by user_id)
    ) as counted
    group by user_id
),

-- Time in these tables ends with the newest thing in them, not with the clock.
latest as (
    select greatest((select max(last_at) from acted), (select max(last_at) from wrote)) as newest_at
),

known as (
    select user_id from profiles
    union distinct
    select user_id from acted
    union distinct
    select user_id from wrote
),

combined as (
    select
        known.user_id,
        profiles.joined_at,
        least(acted.first_at, wrote.first_at) as first_seen_at,
        greatest(acted.last_at, wrote.last_at) as last_seen_at,
        profiles.region,
        profiles.language as stated_language,
        coalesce(languages.languages, []) as languages,
        coalesce(profiles.language, languages.languages[1]) as language,
        coalesce(acted.active_days, 0) as active_days,
        {%- for _, column, _ in actions() %}
        coalesce(acted.{{ column }}, 0) as {{ column }},
        {%- endfor %}
        coalesce(acted.n_events, 0) as n_events,
        coalesce(acted.n_positive, 0) as n_positive
    from known
    left join profiles on known.user_id = profiles.user_id
    left join acted on known.user_id = acted.user_id
    left join wrote on known.user_id = wrote.user_id
    left join languages on known.user_id = languages.user_id
),

final as (
    select
        combined.user_id,
        combined.joined_at,
        combined.first_seen_at,
        combined.last_seen_at,
        combined.region,
        combined.stated_language,
        combined.language,
        combined.languages,
        date_diff(
            'day',
            coalesce(combined.joined_at, combined.first_seen_at),
            greatest(combined.joined_at, (select newest_at from latest))
        ) as tenure_days,
        combined.n_events,
        combined.n_positive,
        combined.active_days,
        {%- for action, column, _ in actions() %}
        coalesce(combined.{{ column }} / nullif(combined.n_events, 0), 0.0) as share_{{ action }},
        {%- endfor %}
        case
            when combined.n_positive < {{ var('settled_positives') }} then 'new'
            when percent_rank() over (
                partition by combined.n_positive >= {{ var('settled_positives') }} order by combined.n_positive
            ) >= 0.8 then 'heavy'
            else 'light'
        end as activity
    from combined
)

select * from final

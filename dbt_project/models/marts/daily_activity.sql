with acted as (
    select
        occurred_on,
        {{ sum_actions() }},
        sum({{ positives() }})::bigint as n_positive,
        count(*) filter (where user_id <> '{{ var("anonymous") }}') as n_users
    from {{ ref('user_daily') }}
    group by occurred_on
),

wrote as (
    select
        timezone('UTC', created_at)::date as occurred_on,
        count(*) as n_posts,
        count(*) filter (where not is_root) as n_replies,
        count(distinct author_id) as n_authors,
        avg(n_chars) filter (where n_chars > 0) as mean_text_length,
        count(*) filter (where has_link) / count(*) as share_with_link,
        count(*) filter (where lang = 'zh' or lang like 'zh-%') / nullif(count(lang), 0) as share_zh
    from {{ ref('posts') }}
    group by all
),

final as (
    select
        coalesce(acted.occurred_on, wrote.occurred_on) as occurred_on,
        coalesce(acted.n_events, 0) as n_events,
        coalesce(acted.n_users, 0) as n_users,
        coalesce(acted.n_positive, 0) as n_positive,
        {%- for _, column, _ in actions() %}
        coalesce(acted.{{ column }}, 0) as {{ column }},
        {%- endfor %}
        coalesce(wrote.n_posts, 0) as n_posts,
        coalesce(wrote.n_replies, 0) as n_replies,
        coalesce(wrote.n_authors, 0) as n_authors,
        wrote.mean_text_length,
        wrote.share_with_link,
        wrote.share_zh
    from acted
    full outer join wrote on acted.occurred_on = wrote.occurred_on
)

select * from final

with posts as (
    select * from {{ ref('stg_posts') }}
),

post_texts as (
    select * from {{ ref('post_texts') }}
),

threads as (
    select * from {{ ref('threads') }}
),

action_weights as (
    select * from {{ ref('action_weights') }}
),

so_far as (
    select
        post_id,
        {{ sum_actions() }}
    from {{ ref('post_daily') }}
    group by post_id
),

final as (
    select
        posts.post_id,
        threads.item_id,
        posts.post_id = threads.item_id as is_root,
        posts.created_at,
        posts.author_id,
        posts.lang,
        posts.topics,
        threads.community,
        posts.reply_to,
        posts.url,
        posts.deleted_at,
        case when posts.deleted_at is null then posts.text end as text,
        case when posts.deleted_at is null and post_texts.text is not null then post_texts.content_hash end as document_id,
        post_texts.n_chars,
        post_texts.has_link,
        post_texts.n_hashtags,
        {%- for action, column, _ in actions() if action != 'follow_author' %}
        coalesce(so_far.{{ column }}, 0) as {{ column }},
        {%- endfor %}
        {%- for action, column, _ in actions() %}
        {{ '+ ' if not loop.first }}coalesce(so_far.{{ column }}, 0)
        * (
            select weight from action_weights
            where action = '{{ action }}'
        )
        {%- endfor %} as engagement
    from posts
    inner join threads on posts.post_id = threads.post_id
    inner join post_texts on posts.version_id = post_texts.version_id
    left join so_far on posts.post_id = so_far.post_id
)

select * from final

with posts as (
    select * from {{ ref('stg_posts') }}
),

post_texts as (
    select * from {{ ref('post_texts') }}
),

threads as (
    select * from {{ ref('threads') }}
),

-- Of posts that say the same the earliest is kept; decided on narrow rows, before any text is moved.
first_said as (
    select arg_min(posts.version_id, {'created_at': posts.created_at, 'post_id': posts.post_id}) as version_id
    from posts
    inner join post_texts on posts.version_id = post_texts.version_id
    where post_texts.text is not null and posts.deleted_at is null
    group by post_texts.content_hash
),

-- What a post says is a document, also when another post said it first.
spoken as (
    select
        posts.post_id,
        post_texts.content_hash as document_id
    from posts
    inner join post_texts on posts.version_id = post_texts.version_id
    where post_texts.text is not null and posts.deleted_at is null
),

final as (
    select
        post_texts.content_hash as document_id,
        post_texts.text,
        posts.lang,
        threads.community,
        posts.author_id,
        posts.reply_to,
        nullif(answered.document_id, post_texts.content_hash) as answers_id,
        threads.item_id as thread_id,
        posts.created_at,
        length(post_texts.text) as n_chars,
        strlen(post_texts.text) as n_bytes
    from first_said
    inner join posts on first_said.version_id = posts.version_id
    inner join post_texts on first_said.version_id = post_texts.version_id
    inner join threads on posts.post_id = threads.post_id
    left join spoken as answered on posts.reply_to = answered.post_id
)

select * from final

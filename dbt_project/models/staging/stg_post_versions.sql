select
    post_id,
    created_at,
    nullif(author_id, '') as author_id,
    text,
    nullif(lang, '') as lang,
    coalesce(topics, []) as topics,
    nullif(reply_to, '') as reply_to,
    url,
    deleted_at,
    _row_hash as version_id,
    _load_seq
from {{ source('raw', 'posts') }}

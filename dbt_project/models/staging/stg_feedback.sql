select
    _row_hash as judgement_id,
    request_id,
    choice,
    occurred_at,
    user_id,
    prompt,
    response,
    rating,
    edited_text,
    model_version
from {{ source('raw', 'feedback') }}

select
    event_id,
    occurred_at,
    timezone('UTC', occurred_at)::date as occurred_on,
    user_id,
    post_id,
    action,
    value,
    session_id,
    surface,
    position,
    request_id,
    model_version,
    propensity,
    _load_seq
from {{ source('raw', 'events') }}

"""The canonical schema: what every reader delivers and what the lake stores, stream by stream.

A reader's batch has exactly the columns of its stream below, in this order, and two more: `_row` (int64, 1-based
number of the record in its file) and `_error` (string, null where every cell could be read). A column that the file
lacks is all null. This module knows nothing about files, readers or the lake.
"""

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", tz="UTC")
ROW_COLUMN = "_row"
ERROR_COLUMN = "_error"
BATCH_ROWS = 65_536
"""No reader's batch is longer."""

ACTIONS: tuple[str, ...] = (
    "impression",
    "view",
    "like",
    "comment",
    "share",
    "save",
    "follow_author",
    "hide",
    "report",
)

ANONYMOUS = "anonymous"
"""User id of votes without a user: they count for popularity and have no profile."""

STREAMS: dict[str, pa.Schema] = {
    "events": pa.schema(
        [
            ("occurred_at", TIMESTAMP),
            ("user_id", pa.string()),
            ("post_id", pa.string()),
            ("action", pa.string()),
            ("event_id", pa.string()),
            ("value", pa.float64()),
            ("session_id", pa.string()),
            ("surface", pa.string()),
            ("position", pa.int64()),
            ("request_id", pa.string()),
            ("model_version", pa.string()),
            ("propensity", pa.float64()),
        ]
    ),
    "posts": pa.schema(
        [
            ("post_id", pa.string()),
            ("created_at", TIMESTAMP),
            ("author_id", pa.string()),
            ("text", pa.string()),
            ("lang", pa.string()),
            ("topics", pa.list_(pa.string())),
            ("reply_to", pa.string()),
            ("url", pa.string()),
            ("deleted_at", TIMESTAMP),
        ]
    ),
    "users": pa.schema(
        [
            ("user_id", pa.string()),
            ("joined_at", TIMESTAMP),
            ("region", pa.string()),
            ("language", pa.string()),
            ("attributes", pa.string()),
        ]
    ),
    "follows": pa.schema(
        [
            ("follower_id", pa.string()),
            ("followee_id", pa.string()),
            ("created_at", TIMESTAMP),
        ]
    ),
    "feedback": pa.schema(
        [
            ("request_id", pa.string()),
            ("occurred_at", TIMESTAMP),
            ("user_id", pa.string()),
            ("prompt", pa.string()),
            ("response", pa.string()),
            ("rating", pa.int64()),
            ("edited_text", pa.string()),
            ("model_version", pa.string()),
            ("choice", pa.int64()),
        ]
    ),
    "generations": pa.schema(
        [
            ("request_id", pa.string()),
            ("choice", pa.int64()),
            ("occurred_at", TIMESTAMP),
            ("prompt", pa.string()),
            ("response", pa.string()),
            ("finish_reason", pa.string()),
            ("model_version", pa.string()),
        ]
    ),
}

REQUIRED: dict[str, tuple[str, ...]] = {
    "events": ("occurred_at", "user_id", "post_id", "action"),
    "posts": ("post_id", "created_at"),
    "users": ("user_id",),
    "follows": ("follower_id", "followee_id"),
    "feedback": ("request_id", "occurred_at"),
    "generations": ("request_id", "choice", "occurred_at"),
}


def batch_schema(stream: str) -> pa.Schema:
    """Return the schema of a reader's batches for `stream`: its columns, then `_row` and `_error`."""
    return (
        STREAMS[stream].append(pa.field(ROW_COLUMN, pa.int64())).append(pa.field(ERROR_COLUMN, pa.string()))
    )

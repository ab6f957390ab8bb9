"""Publishes what the server needs to know of users and posts: Parquet files first, one pointer last."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.lake.connection import read_table
from serving.library import TEXTS
from serving.pointers import STATE
from serving.settings import Settings
from training.files import atomic_path, write_json_atomic
from training.recommender.data import with_terms

_KEPT = 3
_COLUMNS = {
    "interactions": ["user_id", "item_id", "post_id", "action", "weight", "is_positive", "is_negative"]
    + ["is_impression", "is_own_item", "occurred_at", "event_id"],
    "posts": [
        "post_id",
        "item_id",
        "is_root",
        "created_at",
        "author_id",
        "lang",
        "topics",
        "community",
        "text",
        "deleted_at",
    ],
    "users": ["user_id", "stated_language", "languages", "activity"],
}
_ROWS = {"interactions": "not is_impression", "posts": "is_root", "users": None}


def publish_state(settings: Settings, snapshot: int) -> Path:
    """Write the online state of lake snapshot `snapshot` and point `state.json` at it; keeps the last few states.

    Interactions leave out impressions, posts are the opening posts of threads, their texts as hashed terms; texts of
    the newest posts, replies too, stand beside them. Returns the state's folder.
    """
    states = settings.online_dir / "state"
    state_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{snapshot}"
    folder = states / state_id
    for name, columns in _COLUMNS.items():
        table = read_table(settings, f"marts.{name}", snapshot=snapshot, columns=columns, where=_ROWS[name])
        if "text" in columns:
            table = with_terms(table)
        with atomic_path(folder / f"{name}.parquet") as temporary:
            pq.write_table(table, temporary)
    with atomic_path(folder / TEXTS) as temporary:
        pq.write_table(published_texts(settings, snapshot), temporary)
    write_json_atomic(
        settings.online_dir / STATE,
        {"id": state_id, "lake_snapshot": snapshot, "published_at": datetime.now(UTC).isoformat()},
    )
    for old in sorted(path for path in states.iterdir() if path.is_dir())[:-_KEPT]:
        shutil.rmtree(old)
    return folder


def published_texts(settings: Settings, snapshot: int) -> pa.Table:
    """A row for each of the newest `settings.published_texts` posts that say something, oldest first.

    Texts are those of the corpus: cleaned, personal data masked; deleted posts have none.
    """
    posts = read_table(
        settings,
        "marts.posts",
        snapshot=snapshot,
        columns=[
            "post_id",
            "item_id",
            "author_id",
            "lang",
            "community",
            "reply_to",
            "created_at",
            "document_id",
        ],
        where="document_id is not null",
    ).sort_by([("created_at", "ascending"), ("post_id", "ascending")])
    posts = posts.slice(max(posts.num_rows - settings.published_texts, 0))
    documents = read_table(
        settings, "marts.corpus_documents", snapshot=snapshot, columns=["document_id", "text"]
    )
    joined = posts.join(documents, "document_id", join_type="inner")
    return joined.sort_by([("created_at", "ascending"), ("post_id", "ascending")])

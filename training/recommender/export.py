"""Recommenders as bundles: the model's parts, a frozen state, and golden requests with their answers.

`state/` holds the latest events and posts up to the end of the training tables. With it a bundle answers on its own
(golden requests, `mlflow.pyfunc`); a server uses the state that is published, with live events on top.
"""

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from training.bundle import Bundle, write_bundle
from training.recommender.data import RecommenderTables, with_terms
from training.recommender.feed.messages import ContextEvent
from training.recommender.models.base import Recommender
from training.recommender.models.registry import MODEL
from training.recommender.served import Recommendation, ServedRecommender
from training.recommender.state import FeedState
from training.recommender.value.heads import FILE as ACTIONS
from training.recommender.value.heads import ActionHeads

STATE = "state"
GOLDEN = "golden.json"
_EVENT_COLUMNS = (
    "event_id",
    "occurred_at",
    "user_id",
    "post_id",
    "item_id",
    "action",
    "weight",
    "is_positive",
    "is_negative",
    "is_impression",
    "is_own_item",
)
_POST_COLUMNS = (
    "post_id",
    "item_id",
    "created_at",
    "author_id",
    "lang",
    "topics",
    "community",
    "text",
    "terms",
    "deleted_at",
)
_GOLDEN_USERS = 4
_GOLDEN_CONTEXT = 5
_GOLDEN_K = 10
_CLEAR = 1e-3


def write_state(folder: Path, tables: RecommenderTables, events: int, posts: int) -> None:
    """Write `interactions.parquet` (the latest `events` positive or negative ones) and `posts.parquet` (roots,
    their texts as terms)."""
    folder.mkdir(parents=True)
    kept = _columns(tables.interactions, _EVENT_COLUMNS)
    kept = kept.filter(pc.or_(kept["is_positive"], kept["is_negative"]))
    order = [name for name in ("occurred_at", "event_id") if name in kept.column_names]
    kept = kept.sort_by([(name, "ascending") for name in order])
    pq.write_table(kept.slice(max(0, kept.num_rows - events)), folder / "interactions.parquet")
    roots = _columns(tables.posts, _POST_COLUMNS)
    roots = roots.filter(pc.equal(roots["post_id"], roots["item_id"]))
    roots = roots.sort_by([("created_at", "ascending"), ("post_id", "ascending")])
    pq.write_table(with_terms(roots.slice(max(0, roots.num_rows - posts))), folder / "posts.parquet")


def _columns(table: pa.Table, names: Sequence[str]) -> pa.Table:
    return table.select([name for name in names if name in table.column_names])


def read_state(folder: Path) -> FeedState:
    """The state of a folder that holds `interactions.parquet` and `posts.parquet`: a bundle's, or a published one,
    which has `users.parquet` too.

    Raises OSError for a missing file, UserError for a missing column, NotEnoughDataError for no interactions.
    """
    profiles = folder / "users.parquet"
    return FeedState.from_tables(
        pq.read_table(folder / "interactions.parquet"),
        pq.read_table(folder / "posts.parquet"),
        users=pq.read_table(profiles) if profiles.exists() else None,
    )


def export(
    target: Path,
    model: Recommender,
    state: Path,
    known: FeedState,
    trained_until: datetime,
    lineage: dict[str, Any],
    heads: ActionHeads | None = None,
) -> Bundle:
    """Write the bundle of `model` at `target`, with a copy of the folder `state` (`known`: what is read from there).

    `heads`: the model's action heads, for `actions.json`.

    Raises BundleError when there is something at `target`, OSError when it cannot be written.
    """

    def write_files(folder: Path) -> None:
        (folder / MODEL).mkdir()
        model.parts().write(folder / MODEL)
        shutil.copytree(state, folder / STATE)
        if heads is not None:
            heads.write(folder / ACTIONS)
        golden = golden_requests(model, known)
        (folder / GOLDEN).write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n")

    return write_bundle(
        target, "recommender", model.name, write_files, trained_until=trained_until, lineage=lineage
    )


def golden_requests(model: Recommender, state: FeedState) -> list[dict[str, Any]]:
    """Requests of strangers who bring the history of busy users along, and one who brings nothing.

    Only the head of an answer is kept whose scores differ clearly, so that another processor's rounding gives the same.
    """
    served = ServedRecommender(model)
    busiest = sorted(range(len(state.users)), key=lambda user: (-int(state.user_items[user]), user))
    out = []
    for number, user in enumerate([*busiest[:_GOLDEN_USERS], None]):
        context = [] if user is None else _last_events(state, user)
        # Not an id that a feed could hold: an author of that name would have posts of their own left out.
        user_id = f"golden request {number}"
        found = served.recommend(state, user_id, _GOLDEN_K + 1, context).items
        if not found:
            continue
        k = _clear_head(found)
        request = {
            "user_id": user_id,
            "k": k,
            "exclude_seen": True,
            "context": [
                {
                    "post_id": event.post_id,
                    "action": event.action,
                    "occurred_at": datetime.fromtimestamp(event.t, UTC).isoformat(),
                }
                for event in context
            ],
        }
        out.append({"request": request, "expect": {"post_ids": [item.post_id for item in found[:k]]}})
    return out


def _last_events(state: FeedState, user: int) -> list[ContextEvent]:
    past = state.history.read(np.array([user]))
    pairs = [(int(i), float(t)) for i, t in zip(past["item"][0], past["t"][0], strict=True) if i >= 0]
    return [ContextEvent(str(state.items.names[item]), "like", t) for item, t in pairs[-_GOLDEN_CONTEXT:]]


def _clear_head(found: Sequence[Recommendation]) -> int:
    """How many of the first _GOLDEN_K stand clear of their successors; at least one."""
    for k in range(min(_GOLDEN_K, len(found)), 0, -1):
        gaps = [a.score - b.score for a, b in pairwise(found[: k + 1])]
        if all(gap > _CLEAR for gap in gaps):
            return k
    return 1

"""Tables of the recommender for tests: from a few rows by hand, and a planted world of users with tastes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from training.recommender.actions import meaning
from training.recommender.config import RecommenderConfig
from training.recommender.data import ANONYMOUS, RecommenderTables
from training.recommender.state import FeedState
from training.recommender.view import FeedView

START = 1_767_225_600.0  # 2026-01-01, an hour's beginning
HOUR = 3600.0
DAY = 24 * HOUR

Event = tuple[float, str, str, str]
"""Seconds since START, user, post, action."""


def moments(seconds: Sequence[float] | np.ndarray) -> pa.Array:
    micros = np.round((START + np.asarray(seconds, dtype=float)) * 1e6).astype(np.int64)
    return pa.array(micros).cast(pa.timestamp("us", tz="UTC"))


def posts_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows with `post_id`, `at` and what else is known of a post."""
    columns = {
        "post_id": pa.array([row["post_id"] for row in rows], pa.string()),
        "item_id": pa.array([row.get("item_id", row["post_id"]) for row in rows], pa.string()),
        "created_at": moments([row.get("at", 0.0) for row in rows]),
        "author_id": pa.array([row.get("author") for row in rows], pa.string()),
        "lang": pa.array([row.get("lang") for row in rows], pa.string()),
        "topics": pa.array([row.get("topics") for row in rows], pa.list_(pa.string())),
        "community": pa.array([row.get("community") for row in rows], pa.string()),
        "text": pa.array([row.get("text") for row in rows], pa.string()),
    }
    return pa.table(columns)


def events_table(events: Sequence[Event], author: dict[str, str | None] | None = None) -> pa.Table:
    """The `interactions` mart of these events."""
    means = [meaning(action) for _, _, _, action in events]
    owner = author or {}
    ids = pa.array([post for _, _, post, _ in events], pa.string())
    return pa.table(
        {
            "event_id": [f"e{number:06d}" for number in range(len(events))],
            "occurred_at": moments([at for at, _, _, _ in events]),
            "user_id": pa.array([user for _, user, _, _ in events], pa.string()),
            "post_id": ids,
            "item_id": ids,
            "action": pa.array([action for _, _, _, action in events], pa.string()),
            "weight": pa.array([m.weight for m in means], pa.float64()),
            "is_positive": pa.array([m.positive for m in means], pa.bool_()),
            "is_negative": pa.array([m.negative for m in means], pa.bool_()),
            "is_impression": pa.array([m.impression for m in means], pa.bool_()),
            "is_own_item": pa.array(
                [user == owner.get(post) and user != ANONYMOUS for _, user, post, _ in events], pa.bool_()
            ),
        }
    )


def tables(events: Sequence[Event], posts: Sequence[dict[str, Any]]) -> RecommenderTables:
    author = {row["post_id"]: row.get("author") for row in posts}
    people = sorted({user for _, user, _, _ in events})
    return RecommenderTables(events_table(events, author), posts_table(posts), pa.table({"user_id": people}))


def state_of(made: RecommenderTables) -> FeedState:
    return FeedState.from_tables(made.interactions, made.posts)


def view_of(made: RecommenderTables, now: float | None = None) -> FeedView:
    return FeedView.of(state_of(made), None if now is None else START + now)


def tastes(seed: int = 5, users: int = 60, posts: int = 240, events: int = 3000) -> RecommenderTables:
    """Ten days; each user likes the posts of one of four groups, hides one of the others now and then."""
    rng = np.random.default_rng(seed)
    born = np.sort(rng.uniform(0, 9 * DAY, posts))
    rows = [
        {
            "post_id": f"post{n:03d}",
            "at": born[n],
            "author": f"user{n % users}" if n % 7 == 0 else f"author{n % 12}",
            "lang": "zh" if n % 3 else "en",
            "topics": [f"topic{n % 4}"],
            "community": f"topic{n % 4}",
        }
        for n in range(posts)
    ]
    user = rng.integers(0, users, events)
    other = rng.random(events) < 0.1
    group = np.where(other, user + rng.integers(1, 4, events), user) % 4
    post = rng.integers(0, posts // 4, events) * 4 + group
    at = born[post] + rng.exponential(6 * HOUR, events)
    action = np.where(other & (rng.random(events) < 0.5), "hide", "like")
    happened = [
        (float(t), f"user{u}", f"post{p:03d}", str(a))
        for t, u, p, a in zip(at, user, post, action, strict=True)
    ]
    return tables(sorted(happened), rows)


def small_config(**changes: Any) -> RecommenderConfig:
    """Quick, with every model."""
    config = RecommenderConfig(**changes)
    config.sequential.width, config.sequential.narrow, config.sequential.sparse.max_epochs = 16, 16, 2
    config.split.bootstrap = 100
    config.split.min_window_events = 50
    config.sasrec.width, config.sasrec.blocks, config.sasrec.max_epochs = 16, 1, 2
    config.sequential.threads = 1
    # Epochs end the fits, so that they end the same everywhere.
    config.sequential.seconds = config.sasrec.max_seconds = 600.0
    config.blend.max_groups, config.blend.candidates, config.blend.penalties = 200, 32, [10.0, 100.0]
    return config


def replaced(made: RecommenderTables, interactions: pa.Table) -> RecommenderTables:
    return replace(made, interactions=interactions)

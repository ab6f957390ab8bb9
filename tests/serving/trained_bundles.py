"""Small models from the real trainers, and the published state that belongs to them."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.bundle import Bundle
from training.recommender.config import RecommenderConfig
from training.recommender.data import RecommenderTables
from training.recommender.train import train

START = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
POSTS, USERS, EVENTS, GROUPS = 300, 60, 4000, 4


def tables() -> RecommenderTables:
    """Users who like the posts of their own group, over ten days."""
    rng = np.random.default_rng(5)
    group = np.arange(POSTS) % GROUPS
    born = np.sort(rng.uniform(0, 9 * 86_400, POSTS))
    user = rng.integers(0, USERS, EVENTS)
    post = rng.integers(0, POSTS // GROUPS, EVENTS) * GROUPS + user % GROUPS
    at = born[post] + rng.exponential(3 * 3600, EVENTS)

    def moments(seconds: np.ndarray) -> pa.Array:
        return pa.array(((START + seconds) * 1e6).astype("int64")).cast(pa.timestamp("us", tz="UTC"))

    names, people = [f"post{n}" for n in range(POSTS)], [f"user{n}" for n in range(USERS)]
    ids = pa.array([names[n] for n in post])
    flags = {name: np.full(EVENTS, name == "is_positive") for name in FLAGS}
    interactions = pa.table(
        {
            "event_id": [f"e{n}" for n in range(EVENTS)],
            "occurred_at": moments(at),
            "user_id": [people[n] for n in user],
            "post_id": ids,
            "item_id": ids,
            "action": ["like"] * EVENTS,
            "weight": np.ones(EVENTS),
            **flags,
        }
    )
    posts = pa.table(
        {
            "post_id": names,
            "item_id": names,
            "is_root": np.full(POSTS, True),
            "created_at": moments(born),
            "author_id": [f"author{n % 20}" for n in range(POSTS)],
            "lang": ["zh" if n % 3 else "en" for n in range(POSTS)],
            "topics": [[f"topic{n}"] for n in group],
            "community": [f"topic{n}" for n in group],
        }
    )
    users = pa.table({"user_id": people, "languages": [["en"]] * USERS, "activity": ["light"] * USERS})
    return RecommenderTables(interactions, posts, users)


FLAGS = ("is_positive", "is_negative", "is_impression", "is_own_item")


def recommenders(folder: Path) -> dict[str, Bundle]:
    """One bundle of each kind that the trainer makes, the transformers left out."""
    config = RecommenderConfig()
    config.sasrec.enabled = False
    config.sequential.enabled = False
    config.split.bootstrap = 100
    outcome = train(tables(), config, folder, lambda line: None)
    return {candidate.name: candidate.bundle for candidate in outcome.candidates}


def publish_tables(folder: Path) -> None:
    """Write the state's tables as the promotion publishes them."""
    folder.mkdir(parents=True)
    known = tables()
    for name in ("interactions", "posts", "users"):
        pq.write_table(getattr(known, name), folder / f"{name}.parquet")

"""Against the known truth of a simulated world: users have interests there, so personal models have to pay."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.sources.simulated import Scenario
from tests.sources.simulated.worlds import streams
from tests.training.recommender.worlds import small_config
from training.recommender.actions import meaning
from training.recommender.data import RecommenderTables
from training.recommender.models.registry import read_model
from training.recommender.state import FeedState
from training.recommender.train import train
from training.recommender.view import FeedView


def marts(streams_read: dict[str, pa.Table]) -> RecommenderTables:
    """What dbt makes of the streams, as far as the recommender reads it."""
    posts, events = streams_read["posts"], streams_read["events"]
    parent = dict(zip(posts["post_id"].to_pylist(), posts["reply_to"].to_pylist(), strict=True))

    def root(post: str) -> str:
        while parent.get(post) in parent:
            post = parent[post]
        return post

    ids = posts["post_id"].to_pylist()
    author = dict(zip(ids, posts["author_id"].to_pylist(), strict=True))
    topics = posts["topics"].to_pylist()
    items = [root(post) for post in events["post_id"].to_pylist()]
    users = events["user_id"].to_pylist()
    means = [
        meaning(action, value)
        for action, value in zip(events["action"].to_pylist(), events["value"].to_pylist(), strict=True)
    ]
    interactions = pa.table(
        {
            "occurred_at": events["occurred_at"],
            "user_id": users,
            "post_id": events["post_id"],
            "item_id": items,
            "action": events["action"],
            "weight": [m.weight for m in means],
            "is_positive": [m.positive for m in means],
            "is_negative": [m.negative for m in means],
            "is_impression": [m.impression for m in means],
            "is_own_item": [author.get(item) == user for item, user in zip(items, users, strict=True)],
        }
    )
    columns = {name: posts[name] for name in ("post_id", "created_at", "author_id", "lang", "topics")}
    community = [row[0] if row else None for row in topics]
    marts_posts = pa.table(columns | {"item_id": [root(post) for post in ids], "community": community})
    return RecommenderTables(interactions, marts_posts, streams_read["users"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("world")
    scenario = Scenario(users=300, posts=900, events=24_000, days=14, bots=3, truth="truth")
    made = marts(streams(folder, scenario))
    config = small_config()
    config.sasrec.max_epochs, config.sasrec.width = 4, 32
    config.blend.max_groups = 800
    outcome = train(made, config, folder / "bundles", lambda line: None)
    return made, outcome, folder / "truth" / "day-00000"


def test_the_chosen_model_beats_popularity_by_an_interval_without_zero(world):
    _, outcome, _ = world
    metrics = outcome.candidate(outcome.best).metrics
    assert outcome.best != "popularity"
    assert metrics["test/ndcg_at_10_minus_popularity_low"] > 0.02


@pytest.mark.parametrize("name", ["item_knn", "sasrec", "blend"])
def test_personal_models_beat_popularity(world, name):
    _, outcome, _ = world
    assert outcome.candidate(name).metrics["test/ndcg_at_10_minus_popularity_low"] > 0


def test_the_blend_recommends_what_users_are_truly_interested_in(world):
    made, outcome, truth = world
    names = json.loads((truth / "world.json").read_text())["topics"]
    known = pq.read_table(truth / "users.parquet")
    last = [
        row for row in known.to_pylist() if row["week"] == max(known["week"].to_pylist()) and not row["bot"]
    ]
    state = FeedState.from_tables(made.interactions, made.posts)
    view = FeedView.of(state)
    users = view.users([row["user_id"] for row in last])
    active = np.flatnonzero(users.n_acted >= 5)
    interest = np.array([row["interests"] for row in last])
    # The tags of a post are its community and its topic.
    tags = [str(state.topics.names[code]) for code in view.content[:, 4].tolist()]
    topic = np.array([names.index(tag) if tag in names else -1 for tag in tags])

    def mean_interest(model) -> float:
        scores = np.where(view.forbidden(users) | (topic < 0), -np.inf, model.score(view, users))
        top = np.argsort(-scores, axis=1)[:, :10]
        return float(np.take_along_axis(interest, topic[top], axis=1)[active].mean())

    popular, blend = (mean_interest(read_model(outcome.candidate(n).bundle)) for n in ("popularity", "blend"))
    assert len(active) > 50
    assert blend > 1.2 * popular

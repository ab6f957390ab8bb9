"""What differs between the model families when a bundle is judged: how it is scored, how answers are compared."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.cycle import Tables
from serving.settings import Settings
from training.bundle import Bundle

if TYPE_CHECKING:
    from orchestration.promotion.policy import Policy
    from orchestration.quality.drift_model import DriftReport
    from orchestration.quality.drift_predictions import Disagreement
    from training.recommender.state import FeedState

_K = 10
_ASKED_USERS = 300
"""Users of the held-out window whom both models are asked about, evenly spread."""

Window = tuple[datetime, datetime]


def score_recommender(bundle: Bundle, tables: Tables, window: Window, settings: Settings) -> pa.Table:
    """A row per held-out interaction, ranked as the server would; see `training.recommender.score`."""
    from training.recommender.config import RecommenderConfig
    from training.recommender.data import RecommenderTables
    from training.recommender.score import score_bundle
    from training.recommender.value.weights import read_weights

    data = RecommenderTables(tables["marts.interactions"], tables["marts.posts"], tables["marts.users"])
    weights = read_weights(settings.action_weights)
    return score_bundle(bundle, data, window, RecommenderConfig().split.refresh_s, weights)


def score_generator(bundle: Bundle, tables: Tables, window: Window, settings: Settings) -> pa.Table:
    """A row per held-out document; see `training.generator.score`."""
    from training.generator.score import score_bundle

    return score_bundle(bundle, tables["marts.corpus_documents"], window)


SCORERS: dict[str, Callable[[Bundle, Tables, Window, Settings], pa.Table]] = {
    "recommender": score_recommender,
    "generator": score_generator,
}


def compare_lists(
    champion: tuple[Bundle, pa.Table],
    candidate: tuple[Bundle, pa.Table],
    tables: Tables,
    policy: "Policy",
    settings: Settings,
) -> "tuple[Disagreement | None, DriftReport]":
    """Top lists of both bundles for the same users over the candidate's frozen state: how much of them differs, and
    which properties of the answers moved.
    """
    from orchestration.quality.drift_predictions import answer_drift, list_disagreement
    from training.recommender.export import STATE, read_state

    users = sorted(pc.unique(candidate[1]["user_id"]).to_pylist())
    asked = [users[i] for i in np.unique(np.linspace(0, len(users) - 1, _ASKED_USERS).astype(int))]
    state = read_state(candidate[0].path / STATE)
    known = _properties(tables)
    lists = [
        _top_lists(bundle, state, asked, settings).join(known, "item_id")
        for bundle, _ in (champion, candidate)
    ]
    return list_disagreement(*lists, k=_K), answer_drift(lists[0], lists[1], policy.drift.columns)


def _top_lists(bundle: Bundle, state: "FeedState", users: list[str], settings: Settings) -> pa.Table:
    from training.recommender.served import ServedRecommender
    from training.recommender.value.weights import read_weights

    served = ServedRecommender.load(bundle, weights=partial(dict, read_weights(settings.action_weights)))
    served.refresh(state)
    rows = [
        {"user_id": user, "rank": rank, "item_id": item.post_id, "score": item.score}
        for user in users
        for rank, item in enumerate(served.recommend(state, user, _K).items)
    ]
    return pa.Table.from_pylist(rows)


def _properties(tables: Tables) -> pa.Table:
    """Language, community and popularity (positive interactions so far) of every post."""
    events, posts = tables["marts.interactions"], tables["marts.posts"]
    liked = events.filter(events["is_positive"]).group_by("item_id").aggregate([("item_id", "count")])
    liked = liked.rename_columns(["item_id", "popularity"])
    named = posts.select(["post_id", "lang", "community"]).rename_columns(["item_id", "lang", "community"])
    return named.join(liked, "item_id", join_type="full outer")


def compare_scores(
    champion: tuple[Bundle, pa.Table],
    candidate: tuple[Bundle, pa.Table],
    tables: Tables,
    policy: "Policy",
    settings: Settings,
) -> "tuple[Disagreement | None, DriftReport]":
    """Bits per byte of both bundles on the same documents: do they find the same ones hard, and did the scores move."""
    from orchestration.quality.drift_predictions import score_disagreement, score_drift

    series = [
        rows.select(["document_id", "bits_per_byte"]).to_pandas().set_index("document_id")["bits_per_byte"]
        for _, rows in (champion, candidate)
    ]
    return score_disagreement(*series), score_drift(series[0], series[1], policy.drift.columns)


ANSWERS = {"recommender": compare_lists, "generator": compare_scores}

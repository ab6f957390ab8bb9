"""Two models' answers side by side."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from orchestration.quality.drift_model import DriftSettings
from orchestration.quality.drift_predictions import (
    answer_drift,
    list_disagreement,
    score_disagreement,
    score_drift,
)


def lists(users=80, k=10, pool=200, seed=0, scale=1.0, popular=0):
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        items = rng.choice(pool, k, replace=False) + popular
        rows += [
            {
                "user_id": f"u{user}",
                "rank": rank,
                "item_id": f"i{item}",
                "score": scale * float(k - rank + rng.normal(0, 0.1)),
                "popularity": float(item),
            }
            for rank, item in enumerate(items)
        ]
    return pa.Table.from_pylist(rows)


def test_a_model_agrees_with_itself():
    found = list_disagreement(lists(), lists())
    assert (found.value, found.low, found.high, found.n_units) == (0.0, 0.0, 0.0, 80)


def test_lists_without_a_common_item_disagree_wholly():
    assert list_disagreement(lists(), lists(popular=1000)).value == 1.0


def test_overlap_is_counted_in_the_first_k_alone():
    left = pa.table({"user_id": ["a"] * 3, "rank": [0, 1, 2], "item_id": ["x", "y", "z"]})
    right = pa.table({"user_id": ["a"] * 3, "rank": [0, 1, 2], "item_id": ["y", "q", "x"]})
    assert list_disagreement(left, right, k=2).value == pytest.approx(0.5)
    assert list_disagreement(left, right, k=3).value == pytest.approx(1 / 3)


def test_models_without_a_shared_user_cannot_be_compared():
    other = lists().set_column(0, "user_id", pa.array(["nobody"] * 800))
    assert list_disagreement(lists(), other) is None


def test_scores_on_another_scale_are_no_drift_but_another_popularity_is():
    settings = DriftSettings(min_rows=50)
    same = answer_drift(lists(), lists(seed=1, scale=100.0), settings)
    assert same.drifted == ()
    moved = answer_drift(lists(), lists(seed=1, popular=5000), settings)
    assert [column.name for column in moved.drifted] == ["top_answers.popularity"]


def test_scores_in_the_same_order_agree_and_reversed_ones_do_not():
    scores = pd.Series(np.random.default_rng(0).normal(size=100), index=[f"d{i}" for i in range(100)])
    assert score_disagreement(scores, scores * 2 + 1).value == pytest.approx(0.0)
    assert score_disagreement(scores, -scores).value == pytest.approx(1.0)
    assert score_disagreement(scores, scores.head(2)) is None


def test_documents_scored_by_both_are_compared():
    scores = pd.Series(np.random.default_rng(0).normal(2, 0.3, size=300), index=range(300))
    settings = DriftSettings(min_rows=50)
    assert score_drift(scores, scores * 1.001, settings).drifted == ()
    assert len(score_drift(scores, scores + 1, settings).drifted) == 1

"""The order that is served: the weighted sum of action probabilities, the same in an answer and in an evaluation."""

import json

import numpy as np
import pytest

from tests.training.recommender.worlds import HOUR
from training.bundle import BundleError
from training.recommender.models.registry import read_model
from training.recommender.score import score_bundle
from training.recommender.served import ServedRecommender
from training.recommender.state import FeedState
from training.recommender.value.heads import FILE, ActionHeads
from training.recommender.value.order import order_metrics, read_heads, scorer_of
from training.recommender.value.weights import read_weights
from training.recommender.view import FeedView

HARSH = {"like": 1.0, "hide": -40.0}
USERS = ("user3", "user8", "stranger")


@pytest.fixture(scope="module")
def state(tastes):
    return FeedState.from_tables(tastes.interactions, tastes.posts)


@pytest.fixture(scope="module")
def bundle(outcome):
    return outcome.candidate(outcome.best).bundle


def answer(bundle, state, user, weights, k=10, **changes):
    return ServedRecommender.load(bundle, weights=lambda: weights).recommend(state, user, k, **changes)


def test_only_the_chosen_model_has_heads(outcome):
    heads = {c.name: read_heads(c.bundle) for c in outcome.candidates}
    assert [name for name, found in heads.items() if found] == [outcome.best]
    assert heads[outcome.best].base.actions == ("like", "hide")
    assert heads[outcome.best].base.given == "reacted"


def test_the_probabilities_are_judged_on_the_test_window(outcome):
    chosen = outcome.candidate(outcome.best)
    for action in ("like", "hide"):
        at = f"actions/{action}"
        assert 0 <= chosen.metrics[f"{at}/calibration_error"] < 0.1
        assert chosen.metrics[f"{at}/log_loss"] < chosen.metrics[f"{at}/log_loss_base_rate"]
    assert "action_reliability.png" in chosen.plots
    assert chosen.params["actions"] == "like,hide"


@pytest.mark.parametrize("user", USERS)
def test_an_answer_is_in_the_order_that_is_evaluated(bundle, state, user):
    scorer = scorer_of(read_model(bundle), read_heads(bundle), HARSH)
    view = FeedView.of(state)
    users = view.users([user])
    scores = np.where(view.forbidden(users), -np.inf, scorer(view, users))[0]
    expected = np.argsort(-scores, kind="stable")[:10]
    found = answer(bundle, state, user, HARSH)
    assert [item.post_id for item in found.items] == [state.items.names[code] for code in expected]
    assert [item.score for item in found.items] == pytest.approx(
        scores[expected].tolist(), rel=1e-4, abs=1e-9
    )


def test_probabilities_come_with_the_answer(bundle, state):
    found = answer(bundle, state, "user3", HARSH)
    assert found.given == "reacted"
    for item in found.items:
        assert set(item.actions) == {"like", "hide"}
        assert all(0 < chance < 1 for chance in item.actions.values())


def test_weights_change_the_order_and_nothing_is_trained(bundle, state):
    weights = {"like": 1.0}
    served = ServedRecommender.load(bundle, weights=lambda: weights)

    def hides() -> float:
        found = [item for user in USERS[:2] for item in served.recommend(state, user, 10).items]
        return float(np.mean([item.actions["hide"] for item in found]))

    mild = hides()
    weights = HARSH
    assert hides() < mild


def test_plain_is_the_ranking_models_own_order(bundle, state):
    found = answer(bundle, state, "user3", HARSH, plain=True)
    alone = ServedRecommender(read_model(bundle)).recommend(state, "user3", 10)
    assert [item.post_id for item in found.items] == [item.post_id for item in alone.items]
    assert found.given is None
    assert all(item.actions is None for item in found.items)


def test_more_posts_than_are_looked_at_come_after_those(bundle, state):
    served = ServedRecommender.load(bundle, weights=lambda: HARSH)
    whole = served.recommend(state, "user3", 10_000)
    object.__setattr__(served.heads, "depth", 5)
    scorer = scorer_of(served.model, served.heads, HARSH)
    view = FeedView.of(state)
    users = view.users(["user3"])
    scores = np.where(view.forbidden(users), -np.inf, scorer(view, users))[0]
    own = served.model.score(view, users)[0]
    order = np.argsort(-scores, kind="stable")[: len(whole.items)]
    assert set(order[:5]) == set(np.argsort(-np.where(view.forbidden(users)[0], -np.inf, own))[:5])
    assert np.all(np.diff(own[order[5:]]) <= 0)


def test_the_gate_judges_by_the_weights_that_are_served(bundle, tastes, outcome):
    tables = [
        score_bundle(bundle, tastes, outcome.window, HOUR, weights)
        for weights in (None, read_weights(), {"hide": 1.0})
    ]
    means = [np.mean(table["ndcg_at_10"].to_numpy()) for table in tables]
    assert means[0] == means[1] > means[2]


def test_value_counts_what_users_did_then():
    rank, value = np.array([0.0, 20.0]), np.array([1.0, 3.0])
    found = order_metrics(rank, rank[::-1], value, "test")
    assert found["test/ndcg_at_10"] == found["test/ndcg_at_10_unweighted"] == 0.5
    assert found["test/value_ndcg_at_10"] == 0.25
    assert found["test/value_ndcg_at_10_unweighted"] == 0.75


def test_heads_come_back_from_disk_as_they_were(bundle, tmp_path):
    heads = read_heads(bundle)
    heads.write(tmp_path / FILE)
    again = ActionHeads.read(tmp_path / FILE)
    np.testing.assert_array_equal(again.base.weights, heads.base.weights)
    np.testing.assert_array_equal(again.second, heads.second)
    assert (again.base.actions, again.depth, again.temperature) == (
        heads.base.actions,
        heads.depth,
        heads.temperature,
    )
    told = json.loads((tmp_path / FILE).read_text())
    told["heads"]["like"]["weights"]["charm"] = 1.0
    (tmp_path / FILE).write_text(json.dumps(told))
    with pytest.raises(BundleError, match="unknown features"):
        ActionHeads.read(tmp_path / FILE)

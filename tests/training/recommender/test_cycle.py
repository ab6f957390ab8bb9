"""A whole training cycle: what it hands over, and what a bundle is worth afterwards."""

import json
from datetime import datetime, timedelta

import numpy as np
import pytest

from tests.training.recommender.worlds import HOUR, small_config, tables
from training.bundle import BundleError, open_bundle
from training.errors import NotEnoughDataError
from training.recommender.export import read_state
from training.recommender.feed.messages import ContextEvent, Request
from training.recommender.feed.settings import FeedSettings
from training.recommender.models.base import Events, removed
from training.recommender.models.registry import READERS, read_model
from training.recommender.score import score_bundle
from training.recommender.served import ServedRecommender
from training.recommender.slices import SIZES, SLICES
from training.recommender.state import FeedState
from training.recommender.train import train
from training.recommender.view import FeedView

MODELS = ["popularity", "item_knn", "content", "als", "slist", "sequential", "sasrec", "blend"]
PERSONAL = MODELS[1:]


@pytest.fixture(scope="module")
def scored(tastes, outcome):
    return {c.name: score_bundle(c.bundle, tastes, outcome.window, HOUR) for c in outcome.candidates}


@pytest.fixture(scope="module")
def state(tastes):
    return FeedState.from_tables(tastes.interactions, tastes.posts)


def test_every_model_is_handed_over_cheapest_first(outcome):
    assert [c.name for c in outcome.candidates] == MODELS == list(READERS)
    assert outcome.best not in outcome.baselines
    assert set(outcome.baselines) == set(MODELS[: MODELS.index(outcome.best)])


def test_planted_tastes_are_found(outcome):
    metrics = outcome.candidate(outcome.best).metrics
    assert outcome.best != "popularity"
    assert metrics["test/ndcg_at_10_minus_popularity_low"] > 0


@pytest.mark.parametrize("name", MODELS)
def test_the_metrics_are_those_of_the_bundle_scored_again(outcome, scored, name):
    metrics, table = outcome.candidate(name).metrics, scored[name]
    for metric in ("ndcg_at_10", "recall_at_10", "mrr"):
        assert np.mean(table[metric].to_numpy()) == pytest.approx(metrics[f"test/{metric}"], abs=1e-9)
        assert metrics[f"test/{metric}_low"] <= metrics[f"test/{metric}"] <= metrics[f"test/{metric}_high"]
    new = table["ndcg_at_10"].to_numpy()[np.array(table["lang"].to_pylist()) == "zh"]
    assert new.mean() == pytest.approx(metrics["test/ndcg_at_10/lang/zh"])
    assert 0 < metrics["test/coverage_at_10"] <= 1
    assert metrics["test/novelty_at_10"] > 0


@pytest.mark.parametrize("name", MODELS)
def test_the_metrics_of_reach_are_those_of_the_bundle_scored_again(outcome, scored, name):
    metrics, table = outcome.candidate(name).metrics, scored[name]
    lists = table["recommended"].to_pylist()
    catalogue = max(table["known_posts"].to_pylist())
    assert len({post for shown in lists for post in shown}) / catalogue == pytest.approx(
        metrics["test/coverage_at_10"]
    )
    for size in SIZES:
        key = f"test/exposure_at_10/author_size/{size}"
        share = np.mean(table[f"exposure_{size}"].to_numpy())
        assert share == pytest.approx(metrics.get(key, 0.0))
    assert 0 < metrics["test/gini_authors_at_10"] < metrics["test/gini_posts_at_10"] < 1


def test_every_candidate_has_metrics_of_the_same_names(outcome):
    names = [
        {name for name in candidate.metrics if not name.startswith("actions/")}
        for candidate in outcome.candidates
    ]
    assert all(found == names[0] for found in names)
    assert {
        "test/popularity_lift_at_10",
        "test/exposure_parity_ratio_at_10",
        "test/ndcg_at_10_gap/lang",
    } <= names[0]
    plots = {"exposure_lorenz.png", "exposure_by_author_size.png"}
    assert all(plots <= set(candidate.plots) for candidate in outcome.candidates)


def test_score_tables_of_two_bundles_pair_up_row_by_row(scored, outcome):
    keys = ["user_id", "item_id", "occurred_at", "known_posts", "known_authors", *SLICES]
    first = scored["popularity"].select(keys)
    assert first.num_rows > 50
    assert all(table.select(keys).equals(first) for table in scored.values())
    times = first["occurred_at"].to_pylist()
    assert times == sorted(times)
    assert outcome.window[0] <= times[0] <= times[-1] < outcome.window[1]


def test_a_window_that_was_learnt_from_is_refused(tastes, outcome):
    start, end = outcome.window
    bundle = outcome.candidate("popularity").bundle
    with pytest.raises(BundleError, match="has learned from data up to"):
        score_bundle(bundle, tastes, (start - timedelta(seconds=1), end), HOUR)
    with pytest.raises(ValueError, match="before it begins"):
        score_bundle(bundle, tastes, (end, start), HOUR)
    with pytest.raises(ValueError, match="time zones"):
        score_bundle(bundle, tastes, (start.replace(tzinfo=None), end), HOUR)


@pytest.mark.parametrize("name", MODELS)
def test_a_bundle_answers_its_golden_requests(outcome, name):
    bundle = open_bundle(outcome.candidate(name).bundle.path, "recommender")
    served, state = ServedRecommender.load(bundle), read_state(bundle.path / "state")
    golden = json.loads((bundle.path / "golden.json").read_text())
    assert len(golden) == 5
    for entry in golden:
        request = entry["request"]
        context = [
            ContextEvent(e["post_id"], e["action"], datetime.fromisoformat(e["occurred_at"]).timestamp())
            for e in request["context"]
        ]
        found = served.recommend(state, request["user_id"], request["k"], context, plain=True)
        assert [item.post_id for item in found.items] == entry["expect"]["post_ids"]


@pytest.mark.parametrize("name", MODELS)
def test_no_score_depends_on_the_batch_or_on_the_columns_asked_for(outcome, state, name):
    model, view = read_model(outcome.candidate(name).bundle), FeedView.of(state)
    people = ["user3", "nobody", "user4", "user5"]
    together = model.score(view, view.users(people))
    assert np.isfinite(together).all()
    columns = np.array([7, 0, 55])
    for row, user in enumerate(people):
        np.testing.assert_allclose(together[row], model.score(view, view.users([user]))[0], atol=2e-4)
        part = model.score(view, view.users([user]), columns)[0]
        np.testing.assert_allclose(together[row, columns], part, atol=2e-4)


@pytest.mark.parametrize("name", ["popularity", *PERSONAL])
def test_what_is_due_to_an_event_is_the_score_less_the_score_without_it_for_many_users_at_once(
    outcome, state, name
):
    model, view = read_model(outcome.candidate(name).bundle), FeedView.of(state)
    users, columns = view.users(["user3", "stranger", "user8", "user21"]), np.array([7, 0, 55, 3])
    events = Events.latest(users, 4)
    assert np.bincount(events.row).tolist() == [4, 0, 4, 4]
    blame = model.blame(view, users, columns, events)
    fall = model.score(view, users, columns)[events.row] - model.score(view, removed(users, events), columns)
    np.testing.assert_allclose(blame.whole, fall, atol=2e-4)
    assert blame.content.shape == blame.whole.shape


@pytest.mark.parametrize("name", PERSONAL)
def test_the_event_named_as_a_reason_does_lift_the_post(outcome, state, name):
    model = read_model(outcome.candidate(name).bundle)
    served, named = ServedRecommender(model), 0
    served.refresh(state)
    view = FeedView.of(state)
    for user in ("user3", "user8", "user21"):
        users = view.users([user])
        for item in served.recommend(state, user, 5).items:
            column = np.array([state.item_of(item.post_id)])
            for reason in item.reasons:
                if reason == "popularity":
                    continue
                slot = np.flatnonzero(users.item[0] == state.item_of(reason.partition(":")[2]))
                without = model.score(view, removed(users, Events(0 * slot, slot)), column)[0, 0]
                assert without < model.score(view, users, column)[0, 0]
                named += 1
    assert named or name in ("slist", "sequential")


@pytest.mark.parametrize("name", ["popularity", *PERSONAL])
def test_requests_answered_together_are_answered_as_alone(outcome, state, name):
    served = ServedRecommender(read_model(outcome.candidate(name).bundle), FeedSettings())
    served.refresh(state)
    just_now = ContextEvent("p7", "like", state.clock)
    requests = [
        Request("user3", 8, seed=5),
        Request("stranger", 3, plain=True),
        Request("user8", 5, [just_now], exclude_seen=False, seed=9),
        Request("user21", 12, plain=True),
    ]
    for request, found in zip(requests, served.answer(state, requests), strict=True):
        (alone,) = served.answer(state, [request])
        assert [item.post_id for item in found.items] == [item.post_id for item in alone.items]
        assert [item.explored for item in found.items] == [item.explored for item in alone.items]
        np.testing.assert_allclose(
            [item.score for item in found.items], [item.score for item in alone.items], atol=2e-4
        )
        assert found.fallback == alone.fallback


def test_an_unknown_user_gets_the_named_fallback_and_no_history(outcome, state):
    for candidate in outcome.candidates:
        found = ServedRecommender(read_model(candidate.bundle)).recommend(state, "stranger", 5)
        assert found.fallback == "popularity"
        assert [item.reasons for item in found.items] == [["popularity"]] * 5
    known = ServedRecommender(read_model(outcome.candidate("blend").bundle)).recommend(state, "user3", 5)
    assert known.fallback is None


def test_seen_hidden_and_own_posts_are_not_recommended(outcome, state):
    served = ServedRecommender(read_model(outcome.candidate("blend").bundle))
    code = state.users.get("user7")
    names = state.items.names
    acted, hidden = ({names[n] for n in of[code]} for of in (state.acted, state.hidden))
    author = state.authors.get("user7")
    own = {names[n] for n in np.flatnonzero(state.content[: len(names), 0] == author)}
    assert acted
    assert hidden
    assert own
    fresh = {item.post_id for item in served.recommend(state, "user7", 10_000).items}
    assert fresh == set(names) - acted - hidden - own
    again = {item.post_id for item in served.recommend(state, "user7", 10_000, exclude_seen=False).items}
    assert again == set(names) - hidden - own
    with pytest.raises(ValueError, match="k must be at least 1"):
        served.recommend(state, "user7", 0)


def test_equal_scores_are_ordered_by_post_id(outcome):
    made = tables([(HOUR, "u", "x", "like")], [{"post_id": name} for name in ("c", "a", "d", "b")])
    state = FeedState.from_tables(made.interactions, made.posts)
    served = ServedRecommender(read_model(outcome.candidate("popularity").bundle))
    assert [item.post_id for item in served.recommend(state, "u", 3).items] == ["a", "b", "c"]


def test_too_little_is_one_sentence_and_leaves_nothing(tmp_path):
    made = tables([(HOUR, "u", "x", "like")], [{"post_id": "x"}])
    with pytest.raises(NotEnoughDataError, match="needs at least 200 first interactions"):
        train(made, small_config(), tmp_path, lambda line: None)
    assert not list(tmp_path.iterdir())


def test_a_switched_off_model_is_said_to_be_missing(tastes, tmp_path):
    config = small_config()
    config.sasrec.enabled = False
    found = train(tastes, config, tmp_path, lambda line: None)
    assert "sasrec" not in [candidate.name for candidate in found.candidates]
    assert any(note.startswith("sasrec was not trained") for note in found.notes)

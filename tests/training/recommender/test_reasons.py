"""Reasons are claims about the model, so they are tested against it: take the named events away, and look."""

from dataclasses import replace

import numpy as np
import pytest

from training.recommender.arrays import ABSENT
from training.recommender.export import read_state
from training.recommender.feed.reasons import LOOK_BACK
from training.recommender.models.base import Events, Recommender, removed
from training.recommender.models.registry import read_model
from training.recommender.served import ServedRecommender
from training.recommender.view import FeedView, UserBatch

DRAWS = 5


def without(users: UserBatch, items: list[int]) -> UserBatch:
    """The user as if these events had never been: the rest of the history moves up."""
    keep = ~np.isin(users.item[0], [*items, ABSENT])
    changed = {}
    for name, empty in (("item", ABSENT), ("t", 0.0), ("weight", 0.0)):
        row = getattr(users, name)
        changed[name] = np.full_like(row, empty)
        if keep.any():
            changed[name][0, -int(keep.sum()) :] = row[0, keep]
    return replace(users, **changed, n_acted=users.n_acted - len(items), _memo={})


def place(scores: np.ndarray, item: int) -> int:
    return int((scores > scores[item]).sum())


@pytest.mark.parametrize("name", ["item_knn", "sasrec", "blend"])
def test_removing_the_named_events_moves_a_post_more_than_removing_random_ones(outcome, name):
    bundle = outcome.candidate(name).bundle
    model: Recommender = read_model(bundle)
    state = read_state(bundle.path / "state")
    served, view = ServedRecommender(model), FeedView.of(state)
    served.refresh(state)
    rng = np.random.default_rng(1)
    named_falls, random_falls = [], []
    for user in [f"user{n}" for n in range(0, 60, 3)]:
        users = view.users([user])
        history = users.item[0][users.item[0] >= 0].tolist()
        before = model.score(view, users)[0]
        for post in served.recommend(state, user, 5).items:
            item = state.items.get(post.post_id)
            told = [state.items.get(reason.partition(":")[2]) for reason in post.reasons if ":" in reason]
            others = [other for other in history if other not in told]
            if not told or len(others) < len(told):
                continue
            assert set(told) <= set(history)

            def falls(gone: list[int], item=item, users=users, before=before) -> tuple[float, int]:
                after = model.score(view, without(users, gone))[0]
                return float(before[item] - after[item]), place(after, item) - place(before, item)

            named_falls.append(falls(told))
            draws = [falls(rng.choice(others, len(told), replace=False).tolist()) for _ in range(DRAWS)]
            random_falls.append(tuple(np.mean(draws, axis=0)))
    named, random = np.array(named_falls), np.array(random_falls)
    assert len(named) >= 30
    assert (named[:, 0] > random[:, 0]).mean() > 0.85, "in score, post by post"
    assert named[:, 1].mean() > 1.5 * max(random[:, 1].mean(), 0.0), "in rank, on average"


@pytest.mark.parametrize("name", ["content", "item_knn", "sasrec", "blend"])
def test_what_an_event_is_blamed_for_is_what_scoring_without_it_says(outcome, name):
    bundle = outcome.candidate(name).bundle
    model, state = read_model(bundle), read_state(bundle.path / "state")
    view = FeedView.of(state)
    users = view.users([f"user{n}" for n in range(0, 60, 7)] + ["a stranger"])
    columns = np.random.default_rng(2).choice(view.n_items, 12, replace=False)
    for each in (1, LOOK_BACK):
        events = Events.latest(users, each)
        blame = model.blame(view, users, columns, events)
        before = model.score(view, users)[events.row][:, columns]
        after = model.score(view, removed(users, events))[:, columns]
        np.testing.assert_allclose(blame.whole, before - after, atol=1e-4)
        assert np.abs(blame.whole).max() > 1e-3


def test_popularity_and_strangers_are_told_the_truth(outcome):
    for name, user in (("popularity", "user3"), ("blend", "a stranger")):
        bundle = outcome.candidate(name).bundle
        found = ServedRecommender(read_model(bundle)).recommend(read_state(bundle.path / "state"), user, 5)
        assert [item.reasons for item in found.items] == [["popularity"]] * 5

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.recommender.worlds import START, tables, view_of
from training.recommender.models.base import Events
from training.recommender.models.slist import SlistSignal, fit_slist
from training.recommender.replay import Replay
from training.recommender.sequences import sequences_before

POSTS = [{"post_id": f"p{n}"} for n in range(6)]
CUT = START + 86_400.0
pairs_of = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=1, max_size=24, unique=True)


def world(pairs):
    return tables([(600.0 * (n + 1), f"u{u}", f"p{p}", "like") for n, (u, p) in enumerate(pairs)], POSTS)


def fitted(pairs, keep=100, max_posts=100, window=3):
    return fit_slist(
        sequences_before(Replay(world(pairs)).events, CUT),
        CUT,
        window=window,
        decay=0.8,
        ridge=2.0,
        half_life_days=0.1,
        max_posts=max_posts,
        keep=keep,
    )


def naive(pairs):
    """Weighted ridge regression of the next post on the decayed window before it, row by row."""
    x, y, weight = [], [], []
    for user in range(4):
        mine = [(600.0 * (n + 1), post) for n, (u, post) in enumerate(pairs) if u == user]
        for place in range(1, len(mine)):
            row, target = np.zeros(6), np.zeros(6)
            for lag in range(1, min(place, 3) + 1):
                row[mine[place - lag][1]] = 0.8 ** (lag - 1)
            target[mine[place][1]] = 1.0
            x.append(row)
            y.append(target)
            weight.append(2 ** (-(86_400.0 - mine[place][0]) / (86_400.0 * 0.1)))
    if not x:
        return np.zeros((6, 6))
    X, Y, W = np.array(x), np.array(y), np.diag(weight)
    return np.linalg.solve(X.T @ W @ X + 2.0 * np.eye(6), X.T @ W @ Y)


@given(pairs_of)
@settings(max_examples=60, deadline=None)
def test_the_weights_are_those_of_a_dense_ridge_regression(pairs):
    signal, wanted = fitted(pairs), naive(pairs)
    place = [int(name[1:]) for name in signal.names]
    np.testing.assert_allclose(signal.weights.toarray(), wanted[np.ix_(place, place)], atol=1e-5)


@given(pairs_of)
@settings(max_examples=40, deadline=None)
def test_the_value_is_the_decayed_sum_of_the_rows_of_the_history(pairs):
    signal, view = fitted(pairs), view_of(world(pairs))
    user = pairs[-1][0]
    history = [post for u, post in pairs if u == user]
    wanted = sum(0.8**lag * naive(pairs)[post] for lag, post in enumerate(reversed(history)) if lag < 3)
    found = signal.value(view, view.users([f"u{user}"]))[0]
    np.testing.assert_allclose([found[view.state.item_of(f"p{n}")] for n in range(6)], wanted, atol=1e-5)


@given(pairs_of)
@settings(max_examples=40, deadline=None)
def test_taking_an_event_off_is_scoring_without_it(pairs):
    signal, view = fitted(pairs), view_of(world(pairs))
    users, columns = view.users([f"u{pairs[-1][0]}"]), np.arange(view.n_items)
    slots = np.flatnonzero(users.item[0] >= 0)
    less = signal.without(view, users, columns, Events(0 * slots, slots))
    for place, slot in enumerate(slots):
        again = view.users(users.ids)
        again.item[0, slot] = -1
        np.testing.assert_allclose(less[place], signal.value(view, again)[0], atol=1e-6)


def test_only_the_most_frequent_posts_and_the_largest_weights_are_kept():
    pairs = [(u, p) for u in range(4) for p in range(6) if (u + p) % 5]
    assert len(fitted(pairs, max_posts=3).names) == 3
    small = fitted(pairs, keep=2).weights.toarray()
    assert ((small != 0).sum(axis=1) <= 2).all()


def test_posts_that_came_after_training_have_no_signal():
    view = view_of(tables([(600.0, "u", "p0", "like"), (700.0, "u", "new", "like")], POSTS))
    signal = SlistSignal(["p0", "p1"], fitted([(0, 0), (0, 1), (1, 0), (1, 1)]).weights, 3, 0.8)
    found = signal.value(view, view.users(["u"]))[0]
    assert found[view.state.item_of("new")] == 0.0
    assert found[view.state.item_of("p1")] > 0.0


def test_sequences_hold_first_actions_before_the_cut_user_by_user():
    made = tables(
        [
            (1.0, "b", "p1", "like"),
            (2.0, "a", "p0", "like"),
            (3.0, "b", "p0", "like"),
            (4.0, "b", "p1", "comment"),
            (5.0, "anonymous", "p2", "like"),
            (6.0, "a", "p3", "hide"),
            (7.0, "a", "p4", "like"),
        ],
        POSTS,
    )
    found = sequences_before(Replay(made).events, START + 7.0)
    assert found.users == 2
    assert [found.names[n] for n in found.item] == ["p1", "p0", "p0"]
    assert found.position.tolist() == [0, 1, 0]
    assert found.t.tolist() == pytest.approx([START + 1, START + 3, START + 2])

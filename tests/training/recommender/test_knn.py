import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.recommender.worlds import tables, view_of
from training.recommender.models.base import Events
from training.recommender.models.knn import KnnSignal
from training.recommender.models.popularity import Popularity

POSTS = [{"post_id": f"p{n}"} for n in range(6)]
actions = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=30, unique=True)


def world(pairs):
    return view_of(tables([(10.0 + n, f"u{u}", f"p{p}", "like") for n, (u, p) in enumerate(pairs)], POSTS))


def naive(pairs, me, history, shrinkage, recency):
    """The sum over the history of the similarity of posts, by its definition."""
    acted = np.zeros((6, 6))
    for user, post in pairs:
        acted[user, post] = 1
    busy, fans = acted.sum(axis=1), acted.sum(axis=0)
    out = np.zeros(6)
    for back, post in enumerate(reversed(history)):
        for other in range(6):
            common = sum(acted[v, post] * acted[v, other] / np.log2(2 + busy[v]) for v in range(6) if v != me)
            similar = common / np.sqrt((fans[post] + shrinkage) * (fans[other] + shrinkage))
            out[other] += recency**back * similar
    return out


def by_name(view, values):
    return [values[view.state.item_of(f"p{n}")] for n in range(6)]


@given(actions, st.sampled_from([0.5, 5.0]), st.sampled_from([0.7, 1.0]))
@settings(max_examples=60, deadline=None)
def test_the_signal_is_what_a_dense_implementation_gives(pairs, shrinkage, recency):
    view, signal = world(pairs), KnnSignal(shrinkage, recency)
    people = sorted({user for user, _ in pairs})
    found = signal.value(view, view.users([f"u{user}" for user in people]))
    for row, me in enumerate(people):
        history = [post for user, post in pairs if user == me]
        np.testing.assert_allclose(
            by_name(view, found[row]), naive(pairs, me, history, shrinkage, recency), atol=1e-6
        )


@given(actions)
@settings(max_examples=40, deadline=None)
def test_taking_an_event_off_is_scoring_without_it(pairs):
    view, signal = world(pairs), KnnSignal(5.0, 0.9)
    user = pairs[-1][0]
    users, columns = view.users([f"u{user}"]), np.arange(view.n_items)
    slots = np.flatnonzero(users.item[0] >= 0)
    less = signal.without(view, users, columns, Events(0 * slots, slots))
    for place, slot in enumerate(slots):
        again = view.users([f"u{user}"])
        again.item[0, slot] = -1
        np.testing.assert_allclose(less[place], signal.value(view, again)[0], atol=1e-6)


def test_a_user_without_history_has_no_signal():
    view = world([(0, 0), (0, 1), (1, 0)])
    assert not KnnSignal(5.0, 0.9).value(view, view.users(["nobody"])).any()


def test_popularity_is_the_log_of_decayed_actions_and_of_birth():
    view = view_of(
        tables(
            [(0.0, "u0", "p0", "like"), (3600.0, "u1", "p0", "like"), (3600.0, "u1", "p0", "like")], POSTS
        ),
        now=7200.0,
    )
    scores = by_name(view, Popularity(1.0, 3.0).posts(view))
    # Acted on two hours and one hour ago, the repetition does not count; all were made two hours ago.
    assert scores[0] == pytest.approx(np.log(3 / 4 + 1 / 4 + 1 / 2), abs=1e-6)
    assert scores[1] == pytest.approx(np.log(3 / 4), abs=1e-6)


@pytest.mark.parametrize(("half_life", "birth"), [(2.0, 1.0), (1.0, 0.0)])
def test_popularity_refuses_what_the_state_does_not_keep(half_life, birth):
    with pytest.raises(ValueError, match="half_life_h must be one of"):
        Popularity(half_life, birth)

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse

from tests.training.recommender.worlds import DAY, HOUR, START, tables, view_of
from training.recommender.models.als import AlsSignal, fit_als
from training.recommender.models.base import Events, removed
from training.recommender.replay import Replay
from training.recommender.sequences import sequences_before

ALPHA, RIDGE = 20.0, 1.0
POSTS = [{"post_id": f"{group}{n}"} for group in "ab" for n in range(6)]
LIKES = [
    (HOUR * (1 + n), f"{group}-reader{u}", f"{group}{n}", "like")
    for group in "ab"
    for u in range(5)
    for n in range(6)
    if n != u
]
"""Readers of a and readers of b; everybody has left one post out."""


@pytest.fixture(scope="module")
def signal():
    sequences = sequences_before(Replay(tables(sorted(LIKES), POSTS)).events, START + DAY)
    return fit_als(sequences, factors=4, ridge=RIDGE, alpha=ALPHA, iterations=15, seed=3)


def values(signal, view, user):
    found = signal.value(view, view.users([user]))[0]
    return {str(name): float(found[code]) for code, name in enumerate(view.state.items.names)}


def test_the_post_that_a_reader_left_out_stands_above_those_of_the_other_group(signal):
    found = values(signal, view_of(tables(sorted(LIKES), POSTS)), "a-reader3")
    assert found["a3"] > 0.5
    assert max(value for name, value in found.items() if name[0] == "b") < 0.1


def test_a_user_vector_made_from_the_history_is_that_of_the_library(signal):
    view = view_of(tables(sorted(LIKES), POSTS))
    parts = signal.parts()
    model = AlternatingLeastSquares(factors=4, regularization=RIDGE, num_threads=1)
    model.item_factors = parts.arrays["posts"]
    names = parts.vocabularies["posts"]
    row = np.zeros((1, len(names)), dtype=np.float32)
    row[0, [names.index(f"a{n}") for n in (0, 1, 2, 4, 5)]] = ALPHA
    wanted = model.recalculate_user(0, sparse.csr_matrix(row)) @ model.item_factors.T
    found = values(signal, view, "a-reader3")
    np.testing.assert_allclose([found[name] for name in names], wanted, atol=1e-4)


def test_the_last_event_of_a_stranger_counts_at_once(signal):
    view = view_of(tables([*sorted(LIKES), (DAY, "stranger", "b2", "like")], POSTS))
    found = values(signal, view, "stranger")
    likely, other = ([found[f"{group}{n}"] for n in (0, 1, 3, 4, 5)] for group in "ba")
    assert min(likely) > max(other) + 0.2


def test_a_post_that_came_after_training_is_known_by_those_who_acted_on_it(signal):
    posts = [*POSTS, {"post_id": "new"}, {"post_id": "unseen"}, {"post_id": "strange"}]
    later = [(DAY, "a-reader1", "new", "like"), (DAY, "stranger", "strange", "like")]
    view = view_of(tables([*sorted(LIKES), *later], posts))
    near, far = values(signal, view, "a-reader3"), values(signal, view, "b-reader3")
    assert near["new"] > 0.2 > 0.05 > far["new"]
    assert near["unseen"] == near["strange"] == 0.0


def test_a_post_is_made_again_when_somebody_acts_on_it(signal):
    made = tables(sorted(LIKES), [*POSTS, {"post_id": "new"}])
    view = view_of(made)
    assert values(signal, view, "a-reader3")["new"] == 0.0
    view.state.observe("a-reader1", "new", "like", START + DAY)
    assert values(signal, type(view).of(view.state), "a-reader3")["new"] > 0.2
    assert values(signal, view, "a-reader3")["new"] == 0.0


def test_taking_an_event_off_is_scoring_without_it_and_parts_give_the_same_signal_again(signal):
    view = view_of(tables(sorted(LIKES), POSTS))
    users, columns = view.users(["b-reader1"]), np.array([0, 7, 8])
    slots = np.flatnonzero(users.item[0] >= 0)
    less, again = (
        signal.without(view, users, columns, Events(0 * slots, slots)),
        AlsSignal.from_parts(signal.parts()),
    )
    for place, slot in enumerate(slots):
        other = removed(users, Events(np.array([0]), np.array([slot])))
        np.testing.assert_allclose(less[place], again.value(view, other, columns)[0], atol=1e-5)

import numpy as np
import pytest

from tests.training.recommender.worlds import HOUR, tables
from training.recommender.ranking import mrr, ndcg, rank_events, recall
from training.recommender.replay import Replay

POSTS = [{"post_id": name, "author": "x"} for name in "abcde"] + [
    {"post_id": "mine", "author": "u"},
    {"post_id": "late", "at": 5.5 * HOUR, "author": "x"},
]
EVENTS = [
    (0.5 * HOUR, "u", "a", "like"),
    (0.6 * HOUR, "u", "b", "hide"),
    (0.7 * HOUR, "u", "mine", "like"),
    (5.1 * HOUR, "u", "d", "like"),
    (5.2 * HOUR, "u", "d", "comment"),
    (5.6 * HOUR, "u", "late", "like"),
    (6.1 * HOUR, "v", "late", "like"),
]


@pytest.fixture
def replay():
    return Replay(tables(EVENTS, POSTS))


def scorer(values):
    def score(view, users):
        row = np.array([values.get(name, 0.0) for name in view.state.items.names], dtype=np.float32)
        return np.repeat(row[None, :], len(users), axis=0)

    return score


def ranks(replay, values):
    return rank_events(replay, replay.heldout, HOUR, {"m": scorer(values)})["m"].rank.tolist()


def test_first_positive_events_on_posts_of_others_are_held_out(replay):
    rows = replay.heldout
    found = list(zip(replay.events.user[rows], replay.events.item[rows], strict=True))
    assert found == [("u", "a"), ("u", "d"), ("u", "late"), ("v", "late")]


def test_ranks_by_hand_leave_out_what_was_acted_on_hidden_or_is_ones_own(replay):
    # a, b and mine are out for u; e and c stand above d. What came after the refresh has no rank: all posts for the
    # first event, `late` for the third.
    values = {"a": 9, "b": 8, "mine": 7, "e": 6, "c": 5, "d": 4, "late": 3}
    assert ranks(replay, values) == [np.inf, 2.0, np.inf, 6.0]


def test_ties_get_the_mean_rank(replay):
    # d is tied with c, e among three that are allowed; late with all six others for the stranger v.
    assert ranks(replay, {}) == [np.inf, 1.0, np.inf, 3.0]


def test_posts_without_a_score_come_last(replay):
    assert ranks(replay, {"d": -np.inf, "late": 1.0})[1] >= 2.0


def test_metrics_of_ranks_by_hand():
    rank = np.array([0.0, 1.0, 2.5, 9.0, 10.0, np.inf])
    np.testing.assert_allclose(
        ndcg(rank, 10), [1.0, 1 / np.log2(3), 1 / np.log2(4.5), 1 / np.log2(11), 0.0, 0.0]
    )
    assert recall(rank, 10).tolist() == [1, 1, 1, 1, 0, 0]
    np.testing.assert_allclose(mrr(rank), [1, 1 / 2, 1 / 3.5, 1 / 10, 1 / 11, 0])


def test_a_list_is_what_is_shown_best_first_with_its_bits_and_what_there_was_to_show(replay):
    found = rank_events(
        replay,
        replay.rows_in(*(replay.events.t[-1] + np.array([-60, 60]))),
        HOUR,
        {"m": scorer({"c": 2, "mine": 1})},
    )["m"]
    names = [found.feed.names[code] for code in found.top[0] if code >= 0]
    # Everything fits into v's ten. One of one user acted on a, d, late and mine: no bits; the others are of nobody.
    assert names[:2] == ["c", "mine"]
    assert sorted(names) == sorted([*"abcde", "mine", "late"])
    assert found.feed.known.tolist() == [7]
    assert found.bits == pytest.approx(3 * -np.log2(1 / 2) / 7)
    assert found.feed.mean_bits == pytest.approx(found.bits)
    assert found.feed.acted_bits.tolist() == [0.0]


def test_what_must_not_be_recommended_is_in_no_list(replay):
    found = rank_events(replay, replay.heldout, HOUR, {"m": scorer({})})["m"]
    # For u at the refresh before `d`: a is acted on, b hidden, mine is u's own.
    assert sorted(found.feed.names[code] for code in found.top[1] if code >= 0) == ["c", "d", "e"]
    assert (found.top[0] == -1).all()


def test_a_run_for_ranks_alone_keeps_no_lists(replay):
    found = rank_events(replay, replay.heldout, HOUR, {"m": scorer({})}, lists=False)["m"]
    assert (found.top == -1).all()

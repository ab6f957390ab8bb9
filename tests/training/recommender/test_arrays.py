from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.recommender.arrays import Codes, DecayedCounts, Rings

pushes = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 99)), max_size=40)
cuts = st.lists(st.integers(0, 40), max_size=4)


def batches(rows, places):
    edges = [0, *sorted(min(place, len(rows)) for place in places), len(rows)]
    return [rows[a:b] for a, b in pairwise(edges)]


def test_codes_count_up_in_order_of_appearance_and_stay():
    codes = Codes(none=True)
    assert codes.add(["b", None, "a", "b"]).tolist() == [1, 0, 2, 1]
    assert codes.add(["c", "a"]).tolist() == [3, 2]
    assert codes.lookup(["a", "nobody", None]).tolist() == [2, -1, 0]
    assert codes.names == [None, "b", "a", "c"]


@given(pushes, cuts)
def test_a_ring_keeps_the_last_entries_however_the_stream_is_cut(entries, places):
    rings, naive = Rings(3, {"item": (np.int32, -1)}), [deque(maxlen=3) for _ in range(5)]
    rings.reserve(5)
    for part in batches(entries, places):
        rings.push(
            np.array([row for row, _ in part], dtype=np.int64), item=np.array([value for _, value in part])
        )
    for row, value in entries:
        naive[row].append(value)
    found = rings.read(np.array([0, 1, 2, 3, 4, -1]))["item"]
    assert found.tolist() == [[-1] * (3 - len(kept)) + list(kept) for kept in naive] + [[-1] * 3]


timed = st.lists(st.tuples(st.integers(0, 2), st.floats(0, 50)), min_size=1, max_size=30)


@given(timed, cuts, st.floats(0, 20))
def test_decayed_counts_are_the_sum_of_decayed_events_in_any_order(events, places, later):
    counts, now = DecayedCounts([1.0, 6.0]), 3600 * (max(hours for _, hours in events) + later)
    counts.reserve(3)
    for part in batches(events, places):
        rows = np.array([row for row, _ in part], dtype=np.int64)
        counts.add(rows, np.array([3600 * hours for _, hours in part]), np.ones(len(part)))
    for place, half_life in enumerate([1.0, 6.0]):
        for row in range(3):
            naive = sum(2 ** (-(now / 3600 - hours) / half_life) for r, hours in events if r == row)
            assert np.exp(counts.log(3, now)[row, place]) == pytest.approx(naive, rel=1e-9, abs=1e-30)


def test_counts_keep_their_order_after_thousands_of_half_lives():
    counts = DecayedCounts([0.25])
    counts.reserve(3)
    counts.add(np.array([0, 1]), np.array([0.0, 7200.0]), np.ones(2))
    late = counts.log(3, 365 * 86_400.0)[:, 0]
    assert late[1] > late[0] > late[2] == -np.inf

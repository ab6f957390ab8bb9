"""The paired bootstrap: known intervals, users as the unit, ratios of sums."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.promotion.bootstrap import paired_bootstrap


def test_the_interval_is_the_textbook_one_for_independent_rows():
    rng = np.random.default_rng(0)
    gap = rng.normal(0.1, 1, 4000)
    found = paired_bootstrap(gap, np.zeros(4000), np.arange(4000), resamples=2000)
    error = gap.std() / np.sqrt(4000)
    assert found.gain == pytest.approx(gap.mean())
    assert found.low == pytest.approx(gap.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(gap.mean() + 1.96 * error, abs=0.15 * error)


def test_a_model_gains_nothing_over_itself():
    scores = np.random.default_rng(0).random(300)
    found = paired_bootstrap(scores, scores, np.arange(300))
    assert (found.gain, found.low, found.high) == (0.0, 0.0, 0.0)


def test_rows_of_one_user_are_drawn_together():
    """The same fifty opinions, each written down forty times, are no surer than once."""
    rng = np.random.default_rng(1)
    gap, users = rng.normal(0, 1, 50), np.arange(50)
    once = paired_bootstrap(gap, np.zeros(50), users)
    often = paired_bootstrap(np.repeat(gap, 40), np.zeros(2000), np.repeat(users, 40))
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.05)
    assert (often.n_units, often.n_rows) == (50, 2000)


def test_lower_is_better_turns_the_gain_around():
    better, worse = np.full(100, 1.9), np.full(100, 2.0)
    found = paired_bootstrap(better, worse, np.arange(100), higher_is_better=False)
    assert found.gain == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1)


def test_weights_make_a_ratio_of_sums():
    bits, bytes_ = np.array([10.0, 100.0]), np.array([10.0, 50.0])
    found = paired_bootstrap(bits, bits * 2, np.array(["a", "b"]), weights=bytes_, higher_is_better=False)
    assert found.candidate_mean == pytest.approx(110 / 60)
    assert found.gain == pytest.approx(110 / 60)


def test_the_same_seed_gives_the_same_interval_and_another_seed_nearly_so():
    rng = np.random.default_rng(2)
    scores, units = rng.random((2, 500)), rng.integers(0, 90, 500)
    first = paired_bootstrap(*scores, units, seed=1)
    assert first == paired_bootstrap(*scores, units, seed=1)
    other = paired_bootstrap(*scores, units, seed=2)
    assert other != first
    assert other.low == pytest.approx(first.low, abs=0.02)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(3)
    inside = 0
    for trial in range(200):
        users = np.repeat(np.arange(60), 5)
        gap = 0.1 + rng.normal(0, 0.5, 60)[users] + rng.normal(0, 1, 300)
        found = paired_bootstrap(gap, np.zeros(300), users, resamples=400, seed=trial)
        inside += found.low <= 0.1 <= found.high
    assert 180 <= inside <= 199


@pytest.mark.parametrize(
    ("candidate", "other", "units", "weights", "said"),
    [
        ([], [], [], None, "no rows"),
        ([1.0], [1.0, 2.0], ["a"], None, "length"),
        ([1.0], [1.0], ["a", "b"], None, "length"),
        ([np.nan], [1.0], ["a"], None, "finite"),
        ([1.0], [np.inf], ["a"], None, "finite"),
        ([1.0], [1.0], ["a"], [0.0], "more than zero"),
        ([1.0, 1.0], [1.0, 1.0], ["a", "b"], [-1.0, 3.0], "negative"),
    ],
)
def test_scores_that_cannot_be_compared_raise(candidate, other, units, weights, said):
    with pytest.raises(ValueError, match=said):
        paired_bootstrap(candidate, other, units, weights=weights)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.integers(0, 9)), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_the_order_of_rows_does_not_matter_and_the_interval_is_ordered(rows):
    left, right, units = (np.array(column) for column in zip(*rows, strict=True))
    found = paired_bootstrap(left, right, units, resamples=200)
    turned = paired_bootstrap(left[::-1], right[::-1], units[::-1], resamples=200)
    assert found.low <= found.high
    assert turned.low == pytest.approx(found.low, abs=1e-9)

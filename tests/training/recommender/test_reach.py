"""Exposure, its spread and the popularity of what is shown, against figures by hand and by definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.recommender.ranking import Feed, Ranked
from training.recommender.reach import exposure, gini, gini_slope, lorenz, metrics, reach_of
from training.recommender.slices import Authors, Slices

amounts = st.lists(st.floats(0.01, 100), min_size=1, max_size=20)


@given(amounts, st.integers(0, 10))
def test_gini_is_half_the_relative_mean_absolute_difference(values, others):
    x = np.array(values + [0.0] * others)
    wanted = np.abs(x[:, None] - x[None, :]).mean() / (2 * x.mean())
    assert gini(x) == pytest.approx(wanted, abs=1e-9)
    assert gini(np.array(values), len(x)) == pytest.approx(wanted, abs=1e-9)


def test_gini_is_zero_when_all_have_the_same_or_nothing():
    assert gini(np.ones(7)) == pytest.approx(0.0)
    assert gini(np.zeros(3)) == 0.0
    assert gini(np.array([0.0, 0.0, 0.0, 1.0])) == pytest.approx(0.75)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12, unique=True), st.integers(0, 5))
def test_the_slope_of_gini_is_its_numeric_derivative(values, others):
    x, n = np.array(values, dtype=float), len(values) + others
    slope = gini_slope(x, n)
    for place in range(len(x)):
        step = np.zeros(len(x))
        step[place] = 1e-4
        numeric = (gini(x + step, n) - gini(x - step, n)) / 2e-4
        assert slope[place] == pytest.approx(numeric, abs=1e-6)


def test_a_list_hands_out_one_unit_by_the_discount_of_its_positions():
    found = exposure(np.array([[4, 2, -1], [-1, -1, -1]]))
    assert found[0, :2] == pytest.approx(np.array([1.0, 1 / np.log2(3)]) / (1 + 1 / np.log2(3)))
    assert found[0, 2] == 0.0
    assert not found[1].any()


def test_the_lorenz_curve_runs_from_nothing_to_all_below_the_diagonal():
    share, held = lorenz(np.array([3.0, 0.0, 1.0]))
    assert share.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert held.tolist() == pytest.approx([0, 0, 0.25, 1])


@pytest.fixture
def world():
    """Two events: `big` wrote p0 and p1, `tiny` p2 and p3, nobody known p4; p4 was not there before the first event.

    The first list shows p0 alone, the second p2 and p0 in this order.
    """
    authors = Authors({"p0": "big", "p1": "big", "p2": "tiny", "p3": "tiny", "p4": None}, {"big": 100})
    feed = Feed(["p0", "p1", "p2", "p3", "p4"], np.array([4, 5]), np.array([3.0, 1.0]), np.array([4.0, 5.0]))
    top = np.array([[0, -1], [2, 0]])
    ranked = Ranked(np.array([0.0, 1.0]), top, np.array([1.0, 2.0]), feed)
    return ranked, Slices(
        np.array([0, 1]), {"author_size": np.array(["large", "small"], dtype=object)}, authors
    )


def test_reach_by_hand(world):
    ranked, slices = world
    found = reach_of(ranked, slices)
    first = 1 / (1 + 1 / np.log2(3))
    assert found.posts.tolist() == pytest.approx([2 - first, 0, first, 0, 0])
    assert sorted(found.authors.tolist()) == pytest.approx(sorted([2 - first, first]))
    assert found.shown == pytest.approx({"small": first / 2, "large": 1 - first / 2})
    # Half of the posts are small before the first event, two of five before the second.
    assert found.available == pytest.approx({"small": 0.45, "large": 0.45, "unknown": 0.1})
    assert found.acted == {"small": 0.5, "large": 0.5}


def test_metrics_of_reach_by_hand(world):
    ranked, slices = world
    found = metrics(ranked, reach_of(ranked, slices), "test", by_size=True)
    first = 1 / (1 + 1 / np.log2(3))
    assert found["test/coverage_at_10"] == pytest.approx(0.4)
    # What is shown has 1 and 2 bits, what was acted on 3 and 1, the catalogue 4 and 5: fewer bits are more users.
    assert found["test/popularity_lift_at_10"] == pytest.approx(0.5)
    assert found["test/popularity_lift_over_catalogue_at_10"] == pytest.approx(3.0)
    assert found["test/exposure_parity_at_10/author_size/small"] == pytest.approx(first / 2 / 0.45)
    assert found["test/exposure_treatment_at_10/author_size/large"] == pytest.approx(2 - first)
    assert found["test/exposure_treatment_ratio_at_10"] == pytest.approx(first / (2 - first))
    assert found["test/exposure_at_10/author_size/unknown"] == 0.0


def test_a_ratio_without_a_denominator_is_left_out_and_every_metric_is_finite(world):
    ranked, slices = world
    nobody = Slices(slices.user, slices.values, Authors({}, {}))
    empty = Ranked(np.full(2, np.inf), np.full((2, 2), -1), np.zeros(2), ranked.feed)
    for lists in (ranked, empty):
        found = metrics(lists, reach_of(lists, nobody), "test", by_size=True)
        assert "test/exposure_parity_ratio_at_10" not in found
        assert "test/gini_authors_at_10" not in found
        assert np.isfinite([*found.values()]).all()

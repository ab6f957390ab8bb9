"""From two score tables with their lists to the gate's measures of reach."""

import numpy as np
import pyarrow as pa
import pytest

from orchestration.promotion.compare import Scored
from orchestration.promotion.reach import compare_reach
from tests.promotion.cases import POLICIES
from tests.promotion.test_compare import START
from training.recommender.reach import exposure, gini
from training.recommender.slices import SIZES

POSTS, PLACES, USERS = 200, 5, 150
POLICY = POLICIES["recommender"]


def lists(skew: float, seed: int = 0, small_below: int = 100) -> Scored:
    """Each user's lists draw posts by `skew`; post n is written by author n // 2, small from `small_below` on."""
    rng = np.random.default_rng(seed)
    users = np.repeat(np.arange(USERS), 2)
    chance = np.arange(1, POSTS + 1) ** -skew
    draws = [rng.choice(POSTS, PLACES, replace=False, p=chance / chance.sum()) for _ in users]
    top = np.array(draws)
    weights = exposure(top)
    small = (weights * (top >= small_below)).sum(axis=1)
    rows = pa.table(
        {
            "user_id": [f"u{user}" for user in users],
            "item_id": [f"p{n}" for n in range(len(users))],
            "occurred_at": pa.array([START] * len(users), pa.timestamp("us", tz="UTC")),
            "mrr": [0.0 if n % 10 == 0 else 0.5 for n in range(len(users))],
            "author_size": ["small" if n % 4 == 0 else "large" for n in range(len(users))],
            "recommended": [[f"p{post}" for post in row] for row in top],
            "recommended_authors": [[f"a{post // 2}" if post else None for post in row] for row in top],
            "known_posts": [POSTS] * len(users),
            "known_authors": [POSTS // 2] * len(users),
            **{f"exposure_{size}": small if size == "small" else np.zeros(len(users)) for size in SIZES},
        }
    )
    return Scored(f"skew{skew}", f"digest{skew}{seed}", START, rows)


def measures(candidate: Scored, champion: Scored):
    return {measure.name: measure for measure in compare_reach(candidate, champion, POLICY).measures}


def resampled(rows: pa.Table, times: np.ndarray) -> float:
    lists_of = np.array([[int(post[1:]) for post in row] for row in rows["recommended"].to_pylist()])
    weights = exposure(lists_of) * np.repeat(times, 2)[:, None]
    return gini(np.bincount(lists_of.ravel(), weights.ravel(), minlength=POSTS))


def test_lists_that_concentrate_have_a_loss_with_its_interval_in_all_measures():
    found = measures(lists(1.2), lists(0.6))
    for name in ("exposure_small", "gini_posts", "gini_authors"):
        assert found[name].low < found[name].gain < found[name].high < 0, name
    assert found["gini_posts"].candidate_mean == pytest.approx(resampled(lists(1.2).rows, np.ones(USERS)))


def test_equal_lists_have_no_loss_and_no_doubt():
    found = measures(lists(0.8), lists(0.8))
    for name in ("exposure_small", "gini_posts", "gini_authors"):
        assert (found[name].gain, found[name].low, found[name].high) == pytest.approx((0, 0, 0), abs=1e-12)


def test_the_error_of_the_gini_is_that_of_resampled_users():
    candidate, champion = lists(0.9, 1), lists(0.7, 2)
    found, rng = measures(candidate, champion)["gini_posts"], np.random.default_rng(3)
    draws = [np.bincount(rng.integers(0, USERS, USERS), minlength=USERS) for _ in range(400)]
    spread = np.std([resampled(champion.rows, d) - resampled(candidate.rows, d) for d in draws])
    assert (found.high - found.low) / (2 * 1.645) == pytest.approx(spread, rel=0.2)


def test_what_is_due_to_small_authors_is_their_share_of_actions_on_posts_that_could_be_shown():
    due = measures(lists(0.8), lists(0.8))["exposure_small_against_actions"]
    shown = [n for n in range(2 * USERS) if n % 10]
    assert due.other_mean == pytest.approx(np.mean([n % 4 == 0 for n in shown]))


def test_lists_of_nobody_known_concentrate_on_nobody():
    def without(scored: Scored) -> Scored:
        place = scored.rows.schema.get_field_index("recommended_authors")
        nobody = pa.array([[None] * PLACES] * scored.rows.num_rows, pa.list_(pa.string()))
        return Scored(
            scored.name, scored.digest, START, scored.rows.set_column(place, "recommended_authors", nobody)
        )

    found = measures(without(lists(1.2)), without(lists(0.6)))["gini_authors"]
    assert (found.candidate_mean, found.other_mean, found.gain) == (0.0, 0.0, 0.0)


def test_lists_for_other_rows_are_not_compared():
    other = lists(0.6)
    with pytest.raises(ValueError, match="not the same"):
        compare_reach(lists(0.8), Scored(other.name, other.digest, START, other.rows.slice(1)), POLICY)

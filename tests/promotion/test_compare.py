"""From two score tables to the gate's comparisons."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from orchestration.promotion.compare import Scored, compare, compare_slices
from tests.promotion.cases import POLICIES

START = datetime(2026, 2, 20, tzinfo=UTC)
WINDOW = (START, START + timedelta(days=7))


def interactions(gain: float, n: int = 400, seed: int = 0) -> Scored:
    rng = np.random.default_rng(seed)
    base = rng.uniform(0, 0.5, n)
    rows = pa.table(
        {
            "user_id": [f"u{i % (n // 2)}" for i in range(n)],
            "item_id": [f"p{i}" for i in range(n)],
            "occurred_at": pa.array(
                [START + timedelta(hours=i * 168 / n) for i in range(n)], pa.timestamp("us", tz="UTC")
            ),
            "ndcg_at_10": base + gain,
            "activity": pa.array(["new" if i % 4 == 0 else "heavy" for i in range(n)]),
            "user_language": ["zh"] * n,
            "user_region": ["CN"] * n,
            "lang": pa.array([None if i % 10 == 0 else "zh" for i in range(n)]),
            "community": ["c"] * n,
            "author_size": ["small"] * n,
        }
    )
    return Scored(f"model{gain}", f"digest{gain}", START, rows)


def documents(bits: float, n: int = 100) -> Scored:
    n_bytes = np.arange(1, n + 1)
    rows = pa.table(
        {
            "document_id": [f"d{i}" for i in range(n)],
            "occurred_at": pa.array([START] * n, pa.timestamp("us", tz="UTC")),
            "bits": bits * n_bytes.astype(float),
            "n_bytes": n_bytes,
        }
    )
    return Scored(f"model{bits}", f"digest{bits}", START, rows)


def test_a_better_candidate_has_a_positive_gain_with_its_interval():
    found = compare(interactions(0.1), interactions(0.0), POLICIES["recommender"], WINDOW)
    assert found.gain == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1)
    assert (found.n_units, found.n_rows, found.other_digest) == (200, 400, "digest0.0")


def test_bits_are_weighed_by_bytes_and_fewer_are_better():
    found = compare(documents(1.5), documents(2.0), POLICIES["generator"], WINDOW)
    assert found.candidate_mean == pytest.approx(1.5)
    assert found.gain == pytest.approx(0.5)


def test_models_scored_on_different_rows_are_not_compared():
    other = interactions(0.0)
    shorter = Scored(other.name, other.digest, START, other.rows.slice(1))
    with pytest.raises(ValueError, match="not the same"):
        compare(interactions(0.1), shorter, POLICIES["recommender"], WINDOW)


def test_an_empty_window_is_not_compared():
    late = interactions(0.1).since(WINDOW[1])
    with pytest.raises(ValueError, match="no rows"):
        compare(late, interactions(0.0).since(WINDOW[1]), POLICIES["recommender"], WINDOW)


def test_the_slices_of_a_dimension_part_all_rows_and_name_the_unknown():
    found = compare_slices(interactions(0.1), interactions(0.0), POLICIES["recommender"])
    rows = {(part.dimension, part.value): part.n_rows for part in found.slices}
    assert rows["lang", "unknown"] == 40
    for dimension in POLICIES["recommender"].slices.dimensions:
        assert sum(count for (name, _), count in rows.items() if name == dimension) == 400


def test_rows_before_the_latest_window_are_left_out():
    middle = START + timedelta(days=3, hours=12)
    assert interactions(0.1).since(middle).rows.num_rows == 200

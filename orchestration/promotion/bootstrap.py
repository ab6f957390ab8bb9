"""Paired bootstrap: how sure is it that one model beats another on the same rows.

Units (users, documents) are resampled, not rows, because the rows of one unit are not independent; both models keep the
same resample, because their errors on the same unit are alike (Efron and Tibshirani 1993, chapter 8; Koehn 2004).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_CELLS = 2_000_000
"""Resampled units held in memory at once."""


@dataclass(frozen=True)
class PairedResult:
    """Weighted means of two models over the same rows and the gain of the first with its interval.

    The gain is positive when the candidate is better, whichever way the metric points.
    """

    n_units: int
    n_rows: int
    candidate_mean: float
    other_mean: float
    gain: float
    low: float
    high: float


def paired_bootstrap(
    candidate: ArrayLike,
    other: ArrayLike,
    units: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    higher_is_better: bool = True,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> PairedResult:
    """Percentile interval of the difference of two weighted means, resampling units with replacement.

    All arrays have one entry a row. A mean is sum(value) / sum(weight): weights of one give the mean over rows, values
    in bits with weights in bytes give bits a byte. Raises ValueError on no rows, unequal lengths, a value that is not
    finite or weights that do not add up to more than zero.
    """
    left, right = np.asarray(candidate, dtype=np.float64), np.asarray(other, dtype=np.float64)
    weight = np.ones_like(left) if weights is None else np.asarray(weights, dtype=np.float64)
    names, codes = np.unique(np.asarray(units), return_inverse=True)
    if not left.size:
        raise ValueError("there are no rows to compare on")
    if not left.shape == right.shape == weight.shape == codes.ravel().shape:
        raise ValueError("candidate, other, weights and units differ in length")
    if not (np.isfinite(left).all() and np.isfinite(right).all() and np.isfinite(weight).all()):
        raise ValueError("a score or weight is not a finite number")
    if (weight < 0).any() or weight.sum() <= 0:
        raise ValueError("weights must not be negative and must add up to more than zero")
    columns = [np.bincount(codes.ravel(), column, names.size) for column in (left, right, weight)]
    totals = np.stack(columns).astype(np.float64)
    sign = 1.0 if higher_is_better else -1.0
    means = totals[:2].sum(axis=1) / totals[2].sum()
    gains = sign * _differences(totals, resamples, np.random.default_rng(seed))
    tail = (1 - confidence) / 2
    low, high = np.quantile(gains, [tail, 1 - tail])
    return PairedResult(
        n_units=names.size,
        n_rows=left.size,
        candidate_mean=float(means[0]),
        other_mean=float(means[1]),
        gain=float(sign * (means[0] - means[1])),
        low=float(low),
        high=float(high),
    )


def _differences(
    totals: NDArray[np.float64], resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Difference of the two means in each resample; `totals` is candidate, other, weight by unit."""
    size = totals.shape[1]
    gap, weight = totals[0] - totals[1], totals[2]
    chunk = max(1, _CELLS // size)
    parts = []
    for start in range(0, resamples, chunk):
        drawn = rng.integers(0, size, size=(min(chunk, resamples - start), size))
        mass = weight[drawn].sum(axis=1)
        # A resample of units without weight says nothing about a mean; it counts as no difference.
        parts.append(np.divide(gap[drawn].sum(axis=1), mass, out=np.zeros_like(mass), where=mass > 0))
    return np.concatenate(parts)

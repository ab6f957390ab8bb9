"""How far two windows lie apart by chance alone: block resampling that keeps a user's rows, or a day's,
together.

Ten thousand events of two hundred users are not ten thousand opinions, and a rainy Tuesday moves every column
at once. A threshold that ignores this flags trifles on large samples and flaps on small ones. Two nulls are
drawn and the wider wins:

- users: each user's share of the two windows is swapped with probability 1/2. The swing of the difference
  then has the cluster-robust variance, for unequal windows too (wild cluster bootstrap with Rademacher
  weights: Liu 1988; Cameron, Gelbach and Miller 2008). Users in both windows are compared with themselves, so
  their habits are no drift.
- days: days of equal weekday, less their window's own shift, are permuted between the windows: the weekly rhythm
  cancels, and what one day does to all users at once counts as one event.

Squared distances (and PSI itself) are close to a weighted sum of chi-squares; a gamma with their mean and
variance gives the far tail that two hundred resamples cannot (Satterthwaite 1946). Distances are Evidently's,
recomputed here on shares.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Statistic = Callable[[Floats, Floats], Floats]
"""Shares of the bins (resamples x bins), reference and current, to one distance a resample."""

GRID = 256
"""Points on which a numeric column's distribution function is kept while resampling."""


@dataclass(frozen=True)
class Binned:
    """A column of both windows as bin numbers, and the distance on the shares of the bins."""

    reference: Ints
    current: Ints
    bins: int
    statistic: Statistic
    squared: bool
    """Whether the square of the distance, not the distance, behaves like a chi-square."""


def jensenshannon(p: Floats, q: Floats) -> Floats:
    """Jensen-Shannon distance, natural logarithm, of each row of `p` and `q` (resamples x bins, rows sum
    to 1).
    """
    middle = (p + q) / 2

    def divergence(x: Floats) -> Floats:
        ratio = np.divide(x, middle, out=np.ones_like(x), where=x > 0)
        return np.asarray((x * np.log(ratio)).sum(axis=1))

    return np.sqrt(np.clip((divergence(p) + divergence(q)) / 2, 0.0, None))


def psi(p: Floats, q: Floats) -> Floats:
    """Population stability index of each row; empty bins are filled as Evidently does."""

    def filled(x: Floats) -> Floats:
        least = np.where(x > 0, x, np.inf).min(axis=1, keepdims=True)
        return np.where(x > 0, x, np.where(least <= 1e-4, least / 1e6, 1e-4))

    p, q = filled(p), filled(q)
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=1))


def wasserstein_on(grid: Floats, norm: float) -> Statistic:
    """First Wasserstein distance on `grid` (ascending values), in units of `norm`."""
    widths = np.diff(grid)

    def distance(p: Floats, q: Floats) -> Floats:
        gap = np.abs(np.cumsum(p - q, axis=1))[:, :-1]
        return np.asarray(gap @ widths) / norm

    return distance


def bin_numeric(reference: Floats, current: Floats, method: str) -> Binned:
    """Bins of two finite, non-empty samples for `wasserstein` (up to 256 points) or `psi` (Evidently's
    bins).
    """
    pooled = np.concatenate([reference, current])
    if method == "psi":
        if np.unique(reference).size <= 20:
            return bin_codes(reference, current, psi, squared=False)
        edges = np.histogram_bin_edges(pooled, bins="sturges")
        last = len(edges) - 2
        codes = np.clip(np.searchsorted(edges, pooled, side="right") - 1, 0, last)
        return Binned(codes[: reference.size], codes[reference.size :], last + 1, psi, squared=False)
    grid = np.unique(pooled)
    if grid.size > GRID:
        grid = np.unique(np.quantile(pooled, np.linspace(0, 1, GRID)))
    codes = np.clip(np.searchsorted(grid, pooled, side="right") - 1, 0, grid.size - 1)
    # Evidently's norm: the reference's population deviation, never below 0.001.
    norm = max(float(reference.std()), 0.001)
    distance = wasserstein_on(grid, norm)
    return Binned(codes[: reference.size], codes[reference.size :], int(grid.size), distance, squared=True)


def bin_codes(reference: NDArray, current: NDArray, statistic: Statistic, *, squared: bool) -> Binned:
    """Bins of two samples of discrete values: one a distinct value."""
    values, codes = np.unique(np.concatenate([reference, current]), return_inverse=True)
    codes = codes.astype(np.int64).ravel()
    return Binned(codes[: len(reference)], codes[len(reference) :], len(values), statistic, squared)


def observed(binned: Binned) -> float:
    """The distance between the windows as they are."""
    p = np.bincount(binned.reference, minlength=binned.bins)[None, :] / binned.reference.size
    q = np.bincount(binned.current, minlength=binned.bins)[None, :] / binned.current.size
    return float(binned.statistic(p, q)[0])


def swap_users(
    binned: Binned, units_reference: Ints, units_current: Ints, resamples: int, rng: np.random.Generator
) -> Floats:
    """Distances after swapping each unit's shares of the two windows with probability 1/2.

    Units are codes 0..U-1 shared by both windows, one a row of `binned`. Returns `resamples` distances.
    """
    size = int(max(units_reference.max(), units_current.max())) + 1
    shape = (size, binned.bins)

    def shares(units: Ints, codes: Ints) -> sparse.csr_matrix:
        return sparse.csr_matrix((np.full(codes.size, 1.0 / codes.size), (units, codes)), shape=shape)

    left, right = shares(units_reference, binned.reference), shares(units_current, binned.current)
    stay = rng.integers(0, 2, size=(resamples, size)).astype(np.float64)
    p = np.asarray(((left - right).T @ stay.T).T) + np.asarray(right.sum(axis=0))
    return _distances(binned, p, np.asarray(left.sum(axis=0)) + np.asarray(right.sum(axis=0)) - p)


def permute_days(
    binned: Binned, days_reference: Ints, days_current: Ints, resamples: int, rng: np.random.Generator
) -> Floats | None:
    """Distances after permuting days of equal weekday between the windows, or None where that leaves too few
    ways.

    `days_*` count days back from one common instant, so `day % 7` is the weekday. None when fewer than 20
    distinct arrangements exist (the windows share too few weekdays): their largest distance would say nothing
    about the tail.
    """
    reference, left = np.unique(days_reference, return_inverse=True)
    current, right = np.unique(days_current, return_inverse=True)
    counts = np.zeros((reference.size + current.size, binned.bins))
    np.add.at(counts, (left, binned.reference), 1.0)
    np.add.at(counts, (right + reference.size, binned.current), 1.0)
    weekday = np.concatenate([reference, current]) % 7
    in_reference = np.arange(weekday.size) < reference.size
    counts = _without_shift(counts, weekday, in_reference)
    keys = rng.random((resamples, weekday.size))
    member = np.zeros((resamples, weekday.size))
    ways = 1.0
    for day in np.unique(weekday):
        rows = np.flatnonzero(weekday == day)
        take = int(in_reference[rows].sum())
        ways *= _choose(rows.size, take)
        chosen = rows[np.argsort(keys[:, rows], axis=1)[:, :take]]
        np.put_along_axis(member, chosen, 1.0, axis=1)
    if ways < 20:
        return None
    p = member @ counts
    return _distances(binned, p, counts.sum(axis=0) - p)


def _without_shift(counts: Floats, weekday: Ints, in_reference: NDArray[np.bool_]) -> Floats:
    """Days x bins counts with what sets the windows apart taken out, weekday by weekday; days keep their size.

    Permuting days of a window that did move would call its move a usual day and hide it, so residuals are permuted
    (ter Braak 1992), scaled for the degrees of freedom that their means took. A weekday with one day in each window has
    no residual of its own: it loses the shift between the windows as wholes.
    """
    sizes = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(sizes, 1)
    whole = _profile(counts, in_reference), _profile(counts, ~in_reference)
    result = np.empty_like(counts)
    for day in np.unique(weekday):
        rows = weekday == day
        sides = [rows & in_reference, rows & ~in_reference]
        sides = [side for side in sides if side.any()]
        freedom = int(rows.sum()) - len(sides)
        if freedom:
            means = [_profile(counts, side) for side in sides]
            middle = np.mean(means, axis=0)
            scale = np.sqrt(rows.sum() / freedom)
            for side, mean in zip(sides, means, strict=True):
                result[side] = middle + scale * (shares[side] - mean)
        else:
            shift = np.where(in_reference[rows, None], whole[1] - whole[0], whole[0] - whole[1]) / 2
            result[rows] = shares[rows] + shift
    return result * sizes


def _profile(counts: Floats, rows: NDArray[np.bool_]) -> Floats:
    """Shares of the bins over the days in `rows` together."""
    total = counts[rows].sum(axis=0)
    return np.asarray(total / max(total.sum(), 1))


def _choose(n: int, k: int) -> float:
    return float(np.prod([(n - i) / (i + 1) for i in range(min(k, n - k))]))


def _distances(binned: Binned, p: Floats, q: Floats) -> Floats:
    """Distances between the rows of two tables of unnormalised shares; rows with an empty side are left out."""
    p, q = np.clip(p, 0.0, None), np.clip(q, 0.0, None)
    usable = (p.sum(axis=1) > 0) & (q.sum(axis=1) > 0)
    p, q = p[usable], q[usable]
    return binned.statistic(p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True))


def tail(distances: Floats, alpha: float, *, squared: bool) -> float:
    """The distance that chance exceeds with probability `alpha`, from a gamma with the resamples' mean and
    variance.
    """
    if not distances.size:
        return 0.0
    sample = distances**2 if squared else distances
    mean, variance = float(sample.mean()), float(sample.var())
    if mean <= 0 or variance <= 0:
        bound = max(mean, 0.0)
    else:
        bound = float(stats.gamma.ppf(1 - alpha, mean**2 / variance, scale=variance / mean))
    return float(np.sqrt(bound)) if squared else bound

"""From ranks to metrics: means over held-out events, intervals by bootstrap over users, slices.

A user's events are not independent, so intervals resample users (with all their events), 95 %, percentile method.
"""

import re
from dataclasses import dataclass

import numpy as np

from training.recommender.arrays import Ints
from training.recommender.data import Floats, Objects
from training.recommender.ranking import Ranked, mrr, ndcg, recall
from training.recommender.reach import Reach
from training.recommender.reach import metrics as reach_metrics
from training.recommender.slices import Slices

GAP_USERS = 30
"""Slices with fewer users take no part in the gap between the best and the worst slice: chance alone spreads them."""


def bootstrap_means(values: Floats, groups: Ints, resamples: int, seed: int) -> Floats:
    """[resamples] mean of `values` over events, users resampled with replacement. `groups` numbers the users from 0."""
    n = int(groups.max()) + 1
    sums, counts = np.bincount(groups, values, minlength=n), np.bincount(groups, minlength=n)
    rng = np.random.default_rng(seed)
    out = np.empty(resamples)
    for index in range(resamples):
        times = np.bincount(rng.integers(0, n, n), minlength=n)
        out[index] = (times @ sums) / (times @ counts)
    return out


def interval(values: Floats, groups: Ints, resamples: int, seed: int) -> tuple[float, float]:
    """95 % interval of the mean over events. With a single user it is as wide as the mean alone: no width."""
    low, high = np.quantile(bootstrap_means(values, groups, resamples, seed), [0.025, 0.975])
    return float(low), float(high)


def metrics_of(
    ranked: Ranked,
    slices: Slices,
    reach: Reach,
    window: str,
    resamples: int,
    seed: int,
    with_slices: bool,
) -> dict[str, float]:
    """All metrics of one model on one window, named as MLflow shows them (`test/ndcg_at_10`, `.../lang/zh`, ...)."""
    per_event = {
        "ndcg_at_10": ndcg(ranked.rank, 10),
        "recall_at_10": recall(ranked.rank, 10),
        "mrr": mrr(ranked.rank),
        "ndcg_at_50": ndcg(ranked.rank, 50),
        "recall_at_50": recall(ranked.rank, 50),
    }
    out: dict[str, float] = {}
    for name, values in per_event.items():
        out[f"{window}/{name}"] = float(values.mean())
        out[f"{window}/{name}_low"], out[f"{window}/{name}_high"] = interval(
            values, slices.user, resamples, seed
        )
    out[f"{window}/rankable_share"] = float(np.isfinite(ranked.rank).mean())
    out |= reach_metrics(ranked, reach, window, by_size=with_slices)
    if with_slices:
        for kind, labels in slices.values.items():
            out |= _by_slice(f"{window}/ndcg_at_10", kind, labels, per_event["ndcg_at_10"], slices.user)
    return out


def _by_slice(metric: str, kind: str, labels: Objects, values: Floats, user: Ints) -> dict[str, float]:
    """The mean in each slice, and the gap between the best and the worst of the slices with enough users.

    The gap is left out where fewer than two slices have enough.
    """
    means, large = {}, []
    for value in sorted(set(labels.tolist())):
        here = labels == value
        means[f"{metric}/{kind}/{metric_name(value)}"] = mean = float(values[here].mean())
        if len(np.unique(user[here])) >= GAP_USERS:
            large.append(mean)
    gap = {f"{metric}_gap/{kind}": max(large) - min(large)} if len(large) > 1 else {}
    return means | gap


def metric_name(value: str) -> str:
    """A slice's value as a part of a metric's name: what MLflow refuses becomes `_`."""
    return re.sub(r"[^\w.\- ]", "_", value)


@dataclass(frozen=True)
class Difference:
    """Mean of a paired difference, its standard error and 95 % interval, users resampled."""

    mean: float
    error: float
    low: float
    high: float


def paired(better: Floats, other: Floats, user: Ints, resamples: int, seed: int) -> Difference:
    """`better - other` per event, averaged over events."""
    means = bootstrap_means(better - other, user, resamples, seed)
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float((better - other).mean()), float(means.std()), float(low), float(high))


def choose(gains: dict[str, Floats], user: Ints, resamples: int, seed: int) -> str:
    """The one-standard-error rule (Breiman et al. 1984): the cheapest model within one error of the best.

    `gains` holds the NDCG@10 per validation event of each model, cheapest model first; the error is that of the paired
    difference to the best, users resampled.
    """
    best = max(gains, key=lambda name: float(gains[name].mean()))
    for name, values in gains.items():
        gap = paired(gains[best], values, user, resamples, seed)
        if gap.mean <= gap.error:
            return name
    raise AssertionError("the best model is within its own error")

"""From ranks to metrics: means over held-out events, intervals by bootstrap over users, slices.

A user's events are not independent, so intervals resample users (with all their events), 95 %, percentile method.
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from training.recommender.arrays import Ints
from training.recommender.data import ANONYMOUS, Floats, Objects
from training.recommender.ranking import Ranked, mrr, ndcg, recall
from training.recommender.replay import Replay

NEW_BELOW = 5
"""A user with fewer earlier first actions than this is new."""
HEAVY_SHARE = 0.2
"""Share of users with the most actions before the window that count as heavy."""
COMMUNITIES = 8
"""Largest communities that are slices of their own; the rest is `other`."""
AUTHOR_SIZES = ((100, "large"), (10, "medium"), (0, "small"))
"""First actions received by an author's posts before the window, at least, and what that is called."""
SLICES = ("activity", "lang", "community", "author_size")


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


@dataclass(frozen=True)
class Slices:
    """For each held-out event, which value of each slice it belongs to, and a number for its user."""

    user: Ints
    values: dict[str, Objects]


def slices_of(replay: Replay, rows: Ints, start: float) -> Slices:
    """Slices of the held-out events in `rows`: a user's activity before the event, and what the post is.

    `start` is the start of the window: thresholds and author sizes are taken from before it.
    """
    events, posts = replay.events, replay.posts
    place = {name: index for index, name in enumerate(posts.item)}
    at = np.array([place.get(item, -1) for item in events.item[rows]], dtype=np.int64)
    _, user = np.unique(events.user[rows].astype(str), return_inverse=True)
    lang = _named(posts.lang, at, "und")
    community = _named(posts.community, at, "none")
    largest = {name for name, _ in Counter(community.tolist()).most_common(COMMUNITIES)}
    community = np.array([name if name in largest else "other" for name in community], dtype=object)
    author = _named(posts.author, at, None)
    return Slices(
        user,
        {
            "activity": _activity(replay, rows, start),
            "lang": lang,
            "community": community,
            "author_size": _author_sizes(replay, author, start),
        },
    )


def _named(column: Objects, at: Ints, missing: str | None) -> Objects:
    out = np.empty(len(at), dtype=object)
    out[:] = [missing if index < 0 or column[index] is None else column[index] for index in at.tolist()]
    return out


def _activity(replay: Replay, rows: Ints, start: float) -> Objects:
    """`new`, `light` or `heavy` by the number of first actions before the event itself."""
    events = replay.events
    heldout = replay.heldout
    before = Counter(events.user[heldout[events.t[heldout] < start]].tolist())
    heavy = max(NEW_BELOW, float(np.quantile(list(before.values()), 1 - HEAVY_SHARE)) if before else 0.0)
    seen: Counter[str] = Counter()
    wanted, out = set(rows.tolist()), []
    for row in heldout.tolist():
        user = events.user[row]
        if row in wanted:
            out.append("new" if seen[user] < NEW_BELOW else "heavy" if seen[user] >= heavy else "light")
        seen[user] += 1
    return np.array(out, dtype=object)


def _author_sizes(replay: Replay, author: Objects, start: float) -> Objects:
    events, posts = replay.events, replay.posts
    owner = dict(zip(posts.item, posts.author, strict=True))
    early = events.positive & (events.t < start) & (events.user != ANONYMOUS)
    reach = Counter(owner.get(item) for item in events.item[early])
    out = np.empty(len(author), dtype=object)
    out[:] = [
        "unknown" if name is None else next(size for least, size in AUTHOR_SIZES if reach[name] >= least)
        for name in author
    ]
    return out


def metrics_of(
    ranked: Ranked,
    slices: Slices,
    known_posts: int,
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
    out[f"{window}/coverage_at_10"] = len(ranked.tops) / max(known_posts, 1)
    out[f"{window}/novelty_at_10"] = ranked.novelty
    out[f"{window}/rankable_share"] = float(np.isfinite(ranked.rank).mean())
    if with_slices:
        for kind, labels in slices.values.items():
            for value in sorted(set(labels.tolist())):
                mean = per_event["ndcg_at_10"][labels == value].mean()
                out[f"{window}/ndcg_at_10/{kind}/{metric_name(value)}"] = float(mean)
    return out


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

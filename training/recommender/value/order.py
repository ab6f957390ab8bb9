"""The order that is served: a ranking model, its action heads and the weights, for one request and for evaluation.

The best posts of the ranking model are ordered by the weighted sum; the others come after them, in the model's order.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.bundle import Bundle
from training.recommender.arrays import Ints
from training.recommender.data import Bools, Floats
from training.recommender.feed.selection import leading
from training.recommender.models.base import Recommender, Scores
from training.recommender.ranking import TOP, ndcg
from training.recommender.value.exposures import ACTIONS
from training.recommender.value.heads import FILE, ActionHeads, Reals
from training.recommender.value.weights import Weights
from training.recommender.view import FeedView, UserBatch


def read_heads(bundle: Bundle) -> ActionHeads | None:
    """The action heads of a verified bundle; None where the data it was trained on had none to learn from.

    Raises BundleError when they cannot be read.
    """
    path = bundle.path / FILE
    return ActionHeads.read(path) if path.exists() else None


@dataclass(frozen=True)
class Scored:
    """One user's scores [n_items], and what is known of the posts looked at: `columns`, P [heads, columns]."""

    scores: Reals | Scores
    given: str | None = None
    actions: tuple[str, ...] = ()
    columns: Ints | None = None
    chances: Reals | None = None

    def of(self, items: Ints) -> list[dict[str, float] | None]:
        """Probability of each action on each of `items` (codes); None for one not looked at."""
        out: list[dict[str, float] | None] = [None] * len(items)
        if self.columns is None or self.chances is None:
            return out
        place, at = np.nonzero(items[:, None] == self.columns)
        for where, chances in zip(place.tolist(), self.chances[:-1, at].T.tolist(), strict=True):
            out[where] = dict(zip(self.actions, chances, strict=True))
        return out


def score_one(
    heads: ActionHeads,
    weights: Weights,
    view: FeedView,
    users: UserBatch,
    scores: Scores,
    candidates: Ints,
    k: int,
) -> Scored:
    """Scoring of a request: `scores` [n_items] are the ranking model's, k of `candidates` will be shown."""
    n = max(heads.depth, k)
    columns = leading(scores, candidates, n)
    if len(columns) == 0:
        return Scored(scores)
    chances, log_chance = heads.look(view, users, scores, columns)
    value = heads.value(chances, log_chance, weights)
    out = _below(scores, value)
    out[columns] = value
    return Scored(out, heads.base.given, heads.base.actions, columns, chances)


def scorer_of(
    model: Recommender, heads: ActionHeads | None, weights: Weights
) -> Callable[[FeedView, UserBatch], Reals | Scores]:
    """(view, users) -> [users, n_items] in the order served: for evaluation, many users at once."""
    if heads is None:
        return model.score

    def score(view: FeedView, users: UserBatch) -> Reals:
        plain = model.score(view, users)
        n = min(heads.depth, plain.shape[1])
        if n == 0:
            return plain.astype(np.float64)
        allowed = np.where(view.forbidden(users), -np.inf, plain)
        best = np.argpartition(-allowed, n - 1, axis=1)[:, :n]
        log_chance = heads.log_chance(plain, np.take_along_axis(plain, best, axis=1))
        first = np.take_along_axis(heads.base.logits(view, users), best[None], axis=2)
        value = heads.value(heads.probabilities(first, log_chance), log_chance, weights)
        out = _below(plain, value)
        np.put_along_axis(out, best, value, axis=1)
        return out

    return score


def worth(done: Bools, weights: Weights) -> Floats:
    """[events] what was done, [events, ACTIONS], by the weights."""
    return np.asarray(done @ np.array([weights.get(action, 0.0) for action in ACTIONS]))


def order_metrics(served: Floats, alone: Floats, value: Floats, window: str) -> dict[str, float]:
    """What the weights do to the order: NDCG@10 and its mean weighted by the events' `value`, by the ranks in the
    order served and, `_unweighted`, in the ranking model's own. All arguments [events].
    """
    total = max(float(np.abs(value).sum()), 1e-9)
    known = {}
    for suffix, rank in (("", served), ("_unweighted", alone)):
        gain = ndcg(rank, TOP)
        known[f"{window}/ndcg_at_10{suffix}"] = float(gain.mean())
        known[f"{window}/value_ndcg_at_10{suffix}"] = float(value @ gain / total)
    return known


def _below(scores: Scores, value: Reals) -> Reals:
    """`scores` moved below all values, row by row, their order kept."""
    shift = value.min(axis=-1, keepdims=True) - scores.max(axis=-1, keepdims=True) - 1.0
    return np.asarray(np.add(scores, shift, dtype=np.float64))

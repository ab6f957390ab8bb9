"""Full ranking of held-out events: where does the post that the user acted on stand among all posts known then.

Posts the user acted on or hid before, and the user's own, are left out. Ties get the mean rank of the tied posts, so a
model that says the same of everything gains nothing. A post not yet known at the refresh cannot be ranked: no gain.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import Ints
from training.recommender.blas import one_blas_thread
from training.recommender.data import Floats
from training.recommender.replay import Refresh, Replay
from training.recommender.view import FeedView, UserBatch

Scores = npt.NDArray[np.float32]
Scorer = Callable[[FeedView, UserBatch], Scores]
"""(view, users) -> [users, view.n_items]; higher is better, -inf is last."""

TOP = 10
_CELLS = 8_000_000


@dataclass
class Ranked:
    """Ranks of one model: 0 is best, inf where the post was not known. `tops`: how often a post was in a top 10."""

    rank: Floats
    tops: dict[str, int] = field(default_factory=dict)
    novelty_bits: float = 0.0
    lists: int = 0

    @property
    def novelty(self) -> float:
        """Mean self-information of recommended posts, bits: -log2 of the share of users who acted on it so far."""
        return self.novelty_bits / max(self.lists, 1)


def rank_events(
    replay: Replay, rows: Ints, refresh_s: float, scorers: Mapping[str, Scorer], lists: bool = True
) -> dict[str, Ranked]:
    """Rank every held-out event in `rows` by every scorer, in one walk through time.

    Without `lists` the top tens are not kept (no coverage, no novelty): faster where only ranks matter.
    """
    at = {int(row): index for index, row in enumerate(rows)}
    out = {name: Ranked(np.full(len(rows), np.inf)) for name in scorers}
    with one_blas_thread():
        for refresh in replay.refreshes(rows, refresh_s):
            for users, codes, row_of in _user_chunks(replay, refresh):
                where = np.array([at[int(row)] for row in row_of])
                forbidden = refresh.view.forbidden(users)
                for name, scorer in scorers.items():
                    scores = np.where(forbidden, -np.inf, scorer(refresh.view, users))
                    _enter(out[name], scores, codes, where)
                    if lists:
                        _keep_lists(out[name], refresh.view, scores)
    return out


def _user_chunks(replay: Replay, refresh: Refresh):  # type: ignore[no-untyped-def]
    """Batches of distinct users with, for each of their events, (user's row in the batch, item code)."""
    names = replay.events.user[refresh.rows]
    distinct, inverse = np.unique(names.astype(str), return_inverse=True)
    items = refresh.view.state.items.lookup(replay.events.item[refresh.rows])
    size = max(1, _CELLS // max(refresh.view.n_items, 1))
    for start in range(0, len(distinct), size):
        mine = (inverse >= start) & (inverse < start + size)
        users = refresh.view.users(list(distinct[start : start + size]))
        yield users, np.stack([inverse[mine] - start, items[mine]], axis=1), refresh.rows[mine]


def _enter(ranked: Ranked, scores: Scores, codes: Ints, where: Ints) -> None:
    for (user, item), index in zip(codes.tolist(), where.tolist(), strict=True):
        if item >= 0:
            row, own = scores[user], scores[user, item]
            ranked.rank[index] = (row > own).sum() + ((row == own).sum() - 1) / 2


def _keep_lists(ranked: Ranked, view: FeedView, scores: Scores) -> None:
    k = min(TOP, view.n_items)
    if k == 0:
        return
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    allowed = np.take_along_axis(scores, top, axis=1) > -np.inf
    share = (view.item_users[top] + 1) / (len(view.state.users) + 1)
    bits = np.where(allowed, -np.log2(np.minimum(share, 1.0)), 0.0).sum(axis=1) / np.maximum(
        allowed.sum(axis=1), 1
    )
    ranked.novelty_bits += float(bits.sum())
    ranked.lists += len(scores)
    names = view.state.items.names
    for item, count in zip(*np.unique(top[allowed], return_counts=True), strict=True):
        ranked.tops[str(names[item])] = ranked.tops.get(str(names[item]), 0) + int(count)


def ndcg(rank: Floats, k: int) -> Floats:
    """Per event: 1 / log2(2 + rank) within the first k, else 0 (one relevant post, so the ideal gain is 1)."""
    return np.where(rank < k, 1.0 / np.log2(2.0 + rank), 0.0)


def recall(rank: Floats, k: int) -> Floats:
    """Per event: 1 within the first k, else 0."""
    return (rank < k).astype(np.float64)


def mrr(rank: Floats) -> Floats:
    """Per event: 1 / (1 + rank); 0 for a post that was not known."""
    return 1.0 / (1.0 + rank)

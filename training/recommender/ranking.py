"""Full ranking of held-out events: where does the post that the user acted on stand among all posts known then.

Posts the user acted on or hid before, and the user's own, are left out. Ties get the mean rank of the tied posts, so a
model that says the same of everything gains nothing. A post not yet known at the refresh cannot be ranked: no gain.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import ABSENT, Ints
from training.recommender.blas import one_blas_thread
from training.recommender.data import Floats
from training.recommender.replay import Refresh, Replay
from training.recommender.view import FeedView, UserBatch

Scores = npt.NDArray[np.float32]
Scorer = Callable[[FeedView, UserBatch], Scores | npt.NDArray[np.float64]]
"""(view, users) -> [users, view.n_items]; higher is better, -inf is last."""

TOP = 10
_CELLS = 2_000_000


@dataclass
class Feed:
    """What there was at the refresh before each event; the same for all models of one walk. Columns are [events].

    `names` are posts by code, in order of appearance: those known before an event are the first `known`. Bits are the
    self-information of posts, -log2 of the share of users who acted on one so far (each count plus one): of the post
    acted on (NaN where it was not known), and the mean over all posts known.
    """

    names: list[str | None]
    known: Ints
    acted_bits: Floats
    mean_bits: Floats


@dataclass
class Ranked:
    """One model's answers. `rank` [events]: 0 is best, inf where the post was not known.

    `top` [events, TOP]: codes of the list shown, best first, -1 where there was nothing left to show.
    `bits` [events]: mean self-information of the list.
    """

    rank: Floats
    top: Ints
    bits: Floats
    feed: Feed


def rank_events(
    replay: Replay, rows: Ints, refresh_s: float, scorers: Mapping[str, Scorer], lists: bool = True
) -> dict[str, Ranked]:
    """Rank every held-out event in `rows` by every scorer, in one walk through time.

    Without `lists` the top tens are not kept (all -1): faster where only ranks matter.
    """
    at = {int(row): index for index, row in enumerate(rows)}
    n = len(rows)
    feed = Feed([], np.zeros(n, dtype=np.int64), np.full(n, np.nan), np.zeros(n))
    out = {
        name: Ranked(np.full(n, np.inf), np.full((n, TOP), ABSENT, dtype=np.int64), np.zeros(n), feed)
        for name in scorers
    }
    with one_blas_thread():
        for refresh in replay.refreshes(rows, refresh_s):
            bits = _self_information(refresh.view)
            feed.names = refresh.view.state.items.names
            for users, codes, row_of in _user_chunks(replay, refresh):
                where = np.array([at[int(row)] for row in row_of])
                _describe(feed, bits, codes, where)
                forbidden = refresh.view.forbidden(users)
                for name, scorer in scorers.items():
                    scores = np.where(forbidden, -np.inf, scorer(refresh.view, users))
                    _enter(out[name], scores, codes, where)
                    if lists:
                        _keep_lists(out[name], bits, scores, codes, where)
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


def _self_information(view: FeedView) -> Floats:
    """[n_items] bits: -log2 of the share of users who acted on a post so far."""
    return np.asarray(-np.log2(np.minimum((view.item_users + 1) / (len(view.state.users) + 1), 1.0)))


def _describe(feed: Feed, bits: Floats, codes: Ints, where: Ints) -> None:
    feed.known[where] = len(bits)
    if len(bits):
        feed.mean_bits[where] = bits.mean()
        feed.acted_bits[where] = np.where(codes[:, 1] >= 0, bits[codes[:, 1]], np.nan)


def _keep_lists(ranked: Ranked, bits: Floats, scores: Scores, codes: Ints, where: Ints) -> None:
    k = min(TOP, len(bits))
    if k == 0:
        return
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(scores, top, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    top, values = np.take_along_axis(top, order, axis=1), np.take_along_axis(values, order, axis=1)
    allowed = values > -np.inf
    mean = np.where(allowed, bits[top], 0.0).sum(axis=1) / np.maximum(allowed.sum(axis=1), 1)
    ranked.top[where, :k] = np.where(allowed, top, ABSENT)[codes[:, 0]]
    ranked.bits[where] = mean[codes[:, 0]]


def ndcg(rank: Floats, k: int) -> Floats:
    """Per event: 1 / log2(2 + rank) within the first k, else 0 (one relevant post, so the ideal gain is 1)."""
    return np.where(rank < k, 1.0 / np.log2(2.0 + rank), 0.0)


def recall(rank: Floats, k: int) -> Floats:
    """Per event: 1 within the first k, else 0."""
    return (rank < k).astype(np.float64)


def mrr(rank: Floats) -> Floats:
    """Per event: 1 / (1 + rank); 0 for a post that was not known."""
    return 1.0 / (1.0 + rank)

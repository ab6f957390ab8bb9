"""Training events of SASRec, each with the refresh it is met at.

A training event is (history before it, refresh before it, post acted on). The refresh tells which posts were known and
how lively they were; that is kept sparsely, for the `ACTIVE` liveliest posts: the prior of all others is near zero.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import ABSENT, Ints
from training.recommender.config import SasrecConfig
from training.recommender.models.sasrec import PRIOR, hashed_content, prior_features
from training.recommender.replay import Replay
from training.recommender.sequences import Sequences, sequences_before
from training.recommender.view import FeedView

ACTIVE = 256


@dataclass(frozen=True)
class Moments:
    """Refreshes: posts known [m], the liveliest posts [m, ACTIVE] (unused: post 0, prior 0), their prior, time."""

    known: Ints
    post: Ints
    prior: npt.NDArray[np.float32]
    now: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Examples:
    """Post codes are those of one replay; codes below `trained` had been seen by the cut.

    `window` [n, length + 1] holds posts from step 0 on, -1 after the end; `moment` [n, length + 1] the refresh at which
    the post in that place was acted on, -1 where that event is not trained on. The validation events: histories as of
    the refresh `late_history` [v, length], the posts acted on and their refreshes.
    """

    moments: Moments
    content: Ints
    names: list[str]
    trained: int
    window: Ints
    moment: Ints
    late_history: Ints
    late_post: Ints
    late_moment: Ints


def gather(replay: Replay, cut: float, end: float, refresh_s: float, config: SasrecConfig) -> Examples | None:
    """Walk through time once and collect the examples before `cut`, and validation ones before `end`.

    None when no user acted on two posts before the cut.
    """
    sequences = sequences_before(replay.events, end)
    steps = np.flatnonzero(sequences.position > 0)
    early = steps[sequences.t[steps] < cut]
    early = early[np.argsort(sequences.row[early])][-config.max_events :]
    late = steps[(sequences.t[steps] >= cut) & np.isin(sequences.row[steps], replay.heldout)]
    late = (
        late[np.unique(np.linspace(0, len(late) - 1, config.max_validation).astype(int))]
        if len(late)
        else late
    )
    if len(early) == 0:
        return None
    moment_of = np.full(len(replay.events), ABSENT, dtype=np.int64)
    views: list[tuple[int, Ints, npt.NDArray[np.float32], float]] = []
    for refresh in replay.refreshes(np.sort(sequences.row[np.r_[early, late]]), refresh_s):
        moment_of[refresh.rows] = len(views)
        view = refresh.view
        views.append((view.n_items, *_liveliest(view), view.now))
    known, post, prior, now = (np.array(column) for column in zip(*views, strict=True))
    moments = Moments(known, post, prior, now)
    code = view.state.items.lookup(sequences.names)[sequences.item]
    moment = moment_of[sequences.row]
    trained = int(known[moment[early]].max())
    chosen = np.full(len(code), ABSENT, dtype=np.int64)
    chosen[early] = moment[early]
    # A post that came after the refresh cannot be ranked, so it teaches nothing either.
    chosen[(chosen >= 0) & ((code < 0) | (code >= known[chosen]))] = ABSENT
    # Nor can one be read that came after the last refresh: the network has no vector for it.
    readable = (sequences.t < cut) & (code >= 0) & (code < trained)
    window, of_step = _windows(sequences, code, chosen, readable, config.length)
    return Examples(
        moments,
        hashed_content(view.state, view.content),
        [str(name) for name in view.state.items.names[:trained]],
        trained,
        window,
        of_step,
        *_late(sequences, code, late, moment, now, config.length),
    )


def _liveliest(view: FeedView) -> tuple[Ints, npt.NDArray[np.float32]]:
    features = prior_features(view)
    post, prior = np.zeros(ACTIVE, dtype=np.int64), np.zeros((ACTIVE, PRIOR), dtype=np.float32)
    size = min(ACTIVE, len(features))
    top = np.argpartition(-features.sum(axis=1), size - 1)[:size] if size else np.zeros(0, dtype=np.int64)
    post[:size], prior[:size] = top, features[top]
    return post, prior


def _windows(
    sequences: Sequences, code: Ints, moment: Ints, readable: npt.NDArray[np.bool_], length: int
) -> tuple[Ints, Ints]:
    """Cut the readable part of each sequence into windows that overlap by one post, less those without a loss."""
    windows, moments = [], []
    for start, stop in zip(sequences.starts[:-1].tolist(), sequences.starts[1:].tolist(), strict=True):
        steps = start + np.flatnonzero(readable[start:stop])
        for begin in range(0, len(steps) - 1, length):
            part = steps[begin : begin + length + 1]
            if (moment[part][1:] >= 0).any():
                windows.append(_padded(code[part], length + 1))
                moments.append(_padded(moment[part], length + 1))
    if not windows:
        return np.zeros((0, length + 1), dtype=np.int64), np.zeros((0, length + 1), dtype=np.int64)
    return np.stack(windows), np.stack(moments)


def _padded(values: Ints, length: int) -> Ints:
    out = np.full(length, ABSENT, dtype=np.int64)
    out[: len(values)] = values
    return out


def _late(
    sequences: Sequences, code: Ints, late: Ints, moment: Ints, now: npt.NDArray[np.float64], length: int
) -> tuple[Ints, Ints, Ints]:
    owner = np.searchsorted(sequences.starts, late, side="right") - 1
    histories = [np.zeros((0, length), dtype=np.int64)]
    for step, begin in zip(late.tolist(), sequences.starts[owner].tolist(), strict=True):
        before = code[begin:step][sequences.t[begin:step] < now[moment[step]]]
        histories.append(_padded(before[before >= 0][-length:], length)[None])
    return np.concatenate(histories), code[late], moment[late]

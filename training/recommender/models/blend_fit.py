"""Fitting the blend: choice sets from held-out events met at their refresh, then two small conditional logits.

First the features and signals that need no training of their own, on events of the training and the validation
window (they are point-in-time, so training events are as good). Then, on the validation window alone, where the
trained signals (als, slist, sasrec) have not seen the answers, those are added to the first score; a signal that does
not pay by one standard error is left out. Every validation event can be scored by weights fitted on other users, so
that the choice between models is fair.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import Ints
from training.recommender.config import BlendConfig
from training.recommender.models.base import Signal
from training.recommender.models.blend import Blend, as_feature
from training.recommender.models.features import POST_FEATURES, USER_FEATURES, Look, post_features
from training.recommender.models.logit import Choices, Matrix, Vector, fit_logit, probabilities
from training.recommender.replay import Replay
from training.recommender.view import FeedView, UserBatch

_LIVELY = ("popularity_1h", "popularity_24h", "fresh_6h")
_SIGNAL_PENALTY = 10.0
_CONSTANT = 0.02
"""Least spread of a feature within the choice sets: a weight on less than that would be huge, and of chance."""


@dataclass(frozen=True)
class Sample:
    """Choice sets: features and untrained signals, trained signals (0 before the validation window), whose choice."""

    choices: Choices
    signals: Matrix
    fold: Ints
    late: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FittedBlend:
    """The blend fitted on everybody, and one for each fold of users, fitted on the others."""

    blend: Blend
    by_fold: list[Blend]
    penalty: float
    groups: int
    log_likelihood: float
    """Mean over validation events, by weights fitted on other users."""


def fold_of(user_id: str, folds: int) -> int:
    """A user's fold: a stable hash."""
    return zlib.crc32(user_id.encode()) % folds


def fit_blend(
    replay: Replay,
    rows: Ints,
    cut: float,
    refresh_s: float,
    signals: Mapping[str, Signal],
    config: BlendConfig,
    seed: int,
) -> FittedBlend | None:
    """Fit on `rows` of the log (training and validation events; from `cut` on, trained signals are fresh).

    None when none of the events could have been ranked.
    """
    plain, trained = ([s for s in signals.values() if s.trained is learnt] for learnt in (False, True))
    sample = _collect(replay, rows, cut, refresh_s, plain, trained, config, seed)
    if sample is None:
        return None
    scale = _spread(sample.choices.x, sample.choices.starts)
    scale[scale <= _CONSTANT] = np.inf
    choices = Choices(sample.choices.x / scale, sample.choices.log_weight, sample.choices.starts)
    folds = range(config.folds)
    penalty, by_fold = _choose_penalty(choices, sample.fold, config)
    everybody = fit_logit(choices, penalty, np.zeros(choices.x.shape[1]), by_fold[0])
    second = _Second(choices, sample, by_fold)
    used, likelihood = second.choose(len(trained))
    columns = list(used)
    chosen = {signal.key: signal for signal in (*plain, *(trained[column] for column in columns))}
    names = (*POST_FEATURES, *USER_FEATURES, *(signal.key for signal in plain))

    def assembled(first: Vector, fold: int | None) -> Blend:
        level, strengths = second.fit(first, fold, columns)
        weights = dict(zip(names, (level * first / scale).tolist(), strict=True))
        weights |= {trained[column].key: float(s) for column, s in zip(columns, strengths, strict=True)}
        return Blend(
            chosen, {name: weight for name, weight in weights.items() if weight != 0.0 or name in chosen}
        )

    return FittedBlend(
        assembled(everybody, None),
        [assembled(by_fold[fold], fold) for fold in folds],
        penalty,
        len(choices),
        likelihood,
    )


def _spread(x: Matrix, starts: Ints) -> Matrix:
    """Standard deviation of each feature within the choice sets: what is the same for a whole set says nothing."""
    if len(starts) < 2:
        return np.zeros(x.shape[1], dtype=np.float32)
    sizes = np.diff(starts)[:, None]
    squares = np.add.reduceat(x.astype(np.float64) ** 2, starts[:-1], axis=0)
    means = np.add.reduceat(x.astype(np.float64), starts[:-1], axis=0) / sizes
    variance = (squares / sizes - means**2).mean(axis=0)
    return np.sqrt(np.maximum(variance, 0.0)).astype(np.float32)


def _choose_penalty(choices: Choices, fold: Ints, config: BlendConfig) -> tuple[float, list[Vector]]:
    """The penalty with the best likelihood on users not fitted on, and its weights for each left-out fold."""
    best: tuple[float, float, list[Vector]] | None = None
    centre = np.zeros(choices.x.shape[1])
    fitted = [centre] * config.folds
    parts = [
        (choices.pick(np.flatnonzero(fold != k)), choices.pick(np.flatnonzero(fold == k)))
        for k in range(config.folds)
    ]
    for penalty in sorted(config.penalties, reverse=True):
        fitted = [
            fit_logit(mine, penalty, centre, start) if len(mine) else centre
            for (mine, _), start in zip(parts, fitted, strict=True)
        ]
        value = sum(
            float(probabilities(other, weights)[1].sum())
            for weights, (_, other) in zip(fitted, parts, strict=True)
            if len(other)
        )
        if best is None or value > best[0]:
            best = (value, penalty, fitted)
    if best is None:
        raise ValueError("no penalties to choose from")
    return best[1], best[2]


class _Second:
    """The second logit: the first score and the trained signals, on the validation window."""

    def __init__(self, choices: Choices, sample: Sample, by_fold: Sequence[Vector]) -> None:
        late = np.flatnonzero(sample.late)
        self.first = choices.pick(late)
        self.signals = Choices(sample.signals, choices.log_weight, choices.starts).pick(late).x
        self.fold = sample.fold[late]
        self.by_fold = by_fold
        spread = _spread(self.signals, self.first.starts)
        self.scale = np.where(spread > _CONSTANT, spread, 1.0).astype(np.float32)

    def _choices(self, first: Vector, columns: Sequence[int]) -> Choices:
        score = (self.first.x @ first.astype(np.float32))[:, None]
        x = np.concatenate([score, self.signals[:, list(columns)] / self.scale[list(columns)]], axis=1)
        return Choices(x.astype(np.float32), self.first.log_weight, self.first.starts)

    def fit(self, first: Vector, fold: int | None, columns: Sequence[int]) -> tuple[float, Vector]:
        """(factor of the first score, weights of the signals), fitted on all users but those of `fold`."""
        groups = np.flatnonzero(self.fold != fold) if fold is not None else np.arange(len(self.fold))
        if len(groups) == 0:
            return 1.0, np.zeros(len(columns))
        centre = np.r_[1.0, np.zeros(len(columns))]
        weights = fit_logit(self._choices(first, columns).pick(groups), _SIGNAL_PENALTY, centre)
        return float(weights[0]), weights[1:] / self.scale[list(columns)]

    def choose(self, signals: int) -> tuple[tuple[int, ...], float]:
        """The fewest signals whose likelihood on other users is within one standard error of the best choice's."""
        every = list(chain.from_iterable(combinations(range(signals), size) for size in range(signals + 1)))
        values = [self._held_out(columns) for columns in every]
        if len(values[0]) == 0:
            return (), 0.0
        best = max(values, key=lambda value: float(value.mean()))
        for columns, value in zip(every, values, strict=True):
            gap = best - value
            if gap.mean() <= gap.std() / np.sqrt(len(gap)):
                return columns, float(value.mean())
        raise AssertionError("the best choice is within its own error")

    def _held_out(self, columns: Sequence[int]) -> Vector:
        out = np.zeros(len(self.fold))
        for fold, first in enumerate(self.by_fold):
            mine = np.flatnonzero(self.fold == fold)
            if len(mine):
                level, strengths = self.fit(first, fold, columns)
                weights = (
                    np.r_[level, strengths * self.scale[list(columns)]] if columns else np.array([level])
                )
                out[mine] = probabilities(self._choices(first, columns).pick(mine), weights)[1]
        return out


def _collect(
    replay: Replay,
    rows: Ints,
    cut: float,
    refresh_s: float,
    plain: Sequence[Signal],
    trained: Sequence[Signal],
    config: BlendConfig,
    seed: int,
) -> Sample | None:
    rng = np.random.default_rng(seed)
    x, weight, late_x, fold, late = [], [], [], [], []
    for refresh in replay.refreshes(rows, refresh_s):
        for row in refresh.rows.tolist():
            user, view = str(replay.events.user[row]), refresh.view
            post = view.state.items.get(replay.events.item[row])
            if post < 0:
                continue
            users = view.users([user])
            columns, log_weight = _choice_set(view, users, post, config.candidates, rng)
            x.append(
                np.concatenate([_features(view, users, columns), _signals(view, users, columns, plain)], 1)
            )
            weight.append(log_weight)
            is_late = bool(replay.events.t[row] >= cut)
            late_x.append(
                _signals(view, users, columns, trained)
                if is_late
                else np.zeros((len(columns), len(trained)), dtype=np.float32)
            )
            fold.append(fold_of(user, config.folds))
            late.append(is_late)
    if not x:
        return None
    starts = np.r_[0, np.cumsum([len(part) for part in weight])]
    choices = Choices(np.concatenate(x), np.concatenate(weight).astype(np.float32), starts)
    return Sample(choices, np.concatenate(late_x), np.array(fold), np.array(late))


def _choice_set(
    view: FeedView, users: UserBatch, post: int, size: int, rng: np.random.Generator
) -> tuple[Ints, npt.NDArray[np.float64]]:
    """The post acted on, the liveliest others and a uniform sample of the rest, with each one's log weight."""
    allowed = ~view.forbidden(users)[0]
    allowed[post] = False
    others = np.flatnonzero(allowed)
    log_weight = np.zeros(len(others))
    if len(others) > size:
        lively = post_features(view)[:, [POST_FEATURES.index(name) for name in _LIVELY]].sum(axis=1)[others]
        order = np.argpartition(-lively, size // 2)
        rest = rng.choice(order[size // 2 :], size - size // 2, replace=False)
        log_weight = np.r_[
            np.zeros(size // 2), np.full(len(rest), np.log((len(others) - size // 2) / len(rest)))
        ]
        others = others[np.r_[order[: size // 2], rest]]
    return np.r_[post, others], np.r_[0.0, log_weight]


def _features(view: FeedView, users: UserBatch, columns: Ints) -> Matrix:
    look = Look(view, users, columns)
    pairs = np.stack([feature(look)[0] for feature in USER_FEATURES.values()], axis=1)
    return np.concatenate([post_features(view)[columns], pairs], axis=1).astype(np.float32)


def _signals(view: FeedView, users: UserBatch, columns: Ints, signals: Sequence[Signal]) -> Matrix:
    """[columns, signals]."""
    out = np.zeros((len(columns), len(signals)), dtype=np.float32)
    for at, signal in enumerate(signals):
        out[:, at] = as_feature(signal, signal.value(view, users, columns))[0]
    return out

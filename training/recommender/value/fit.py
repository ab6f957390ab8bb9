"""Fitting the action heads: chances to act met at their refresh, thinned where nothing rare happened, weighted back.

The first step is fitted on chances from the warm-up to the end of the validation window (its features are point in
time); the second on the validation window alone, where the ranking model has not seen the answers. The test window is
met in the same walk, and only for calibration.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.recommender.arrays import Ints
from training.recommender.blas import one_blas_thread
from training.recommender.config import ActionsConfig, RecommenderConfig
from training.recommender.data import Bools, Floats
from training.recommender.models.base import Recommender, Scores
from training.recommender.models.features import USER_FEATURES, Look, post_features
from training.recommender.replay import Replay
from training.recommender.split import Split, sample
from training.recommender.value.calibration import Calibration, calibration
from training.recommender.value.exposures import ACTIONS, Exposures, read_exposures
from training.recommender.value.heads import FEATURES, PLACES, POSITIVE, ActionHeads, Base, bucket
from training.recommender.value.logistic import fit_logistic

_TAIL = 128
"""Best posts, and others drawn at random: by them the sum over the catalogue is known at any temperature."""
_NEWTON = 40
_LEAST_CASES = 10
"""Fewer events of an action in the sample: its head is the base rate alone."""


@dataclass(frozen=True)
class Met:
    """Chances as they were met, each standing for `weight` of them. `x` [chances, FEATURES].

    From the cut on also what the ranking model says, NaN before: `own` [chances] the score of the post, `tail`
    [chances, 2 * _TAIL] the scores of others, `rest` how many posts one of the random half stands for.
    """

    exposures: Exposures
    weight: Floats
    t: Floats
    x: npt.NDArray[np.float32]
    own: Floats
    tail: Scores
    rest: Floats

    def pick(self, which: Bools) -> "Met":
        """The chances of a mask."""
        columns = {name: value[which] for name, value in vars(self).items() if name != "exposures"}
        return Met(self.exposures.pick(which), **columns)

    def between(self, start: float, end: float) -> "Met":
        """The chances with start <= t < end."""
        return self.pick((self.t >= start) & (self.t < end))

    def log_chance(self, temperature: float) -> Floats:
        """r of `heads` for each chance."""
        own, tail = temperature * self.own, temperature * self.tail.astype(np.float64)
        tail[:, _TAIL:] += np.log(self.rest)[:, None]
        return np.asarray(own - np.logaddexp.reduce(tail, axis=1))


def draw(exposures: Exposures, config: ActionsConfig, seed: int) -> tuple[Ints, Floats]:
    """At most `max_chances` chances, and for each how many it stands for.

    Every chance belongs to the rarest action that was done then, or to "nothing"; each such group gets an equal
    share of the places, and what a small group leaves over goes to the larger ones.
    """
    rate = exposures.done.sum(axis=0)
    group = np.where(exposures.done, rate, len(exposures) + 1).min(axis=1)
    names, group, sizes = np.unique(group, return_inverse=True, return_counts=True)
    rng, left, picked, weight = np.random.default_rng(seed), config.max_chances, [], []
    for done, at in enumerate(np.argsort(sizes, kind="stable").tolist()):
        take = min(int(sizes[at]), left // (len(names) - done))
        left -= take
        rows = np.sort(rng.choice(np.flatnonzero(group == at), take, replace=False))
        picked.append(rows)
        weight.append(np.full(take, sizes[at] / max(take, 1)))
    rows = np.concatenate(picked)
    order = np.argsort(rows)
    return rows[order], np.concatenate(weight)[order]


def meet(
    replay: Replay,
    exposures: Exposures,
    weight: Floats,
    split: Split,
    refresh_s: float,
    model: Recommender,
    seed: int,
) -> Met:
    """Walk to every chance and look at it as the server would have; chances with posts nobody knew yet are left out."""
    n, rng = len(exposures), np.random.default_rng(seed)
    x = np.zeros((n, len(FEATURES)), dtype=np.float32)
    known = np.zeros(n, dtype=bool)
    own, tail, rest = np.full(n, np.nan), np.full((n, 2 * _TAIL), np.nan, dtype=np.float32), np.ones(n)
    start = 0
    for refresh in replay.refreshes(exposures.row, refresh_s):
        at = slice(start, start + len(refresh.rows))
        start = at.stop
        people, user = np.unique(replay.events.user[refresh.rows].astype(str), return_inverse=True)
        items = refresh.view.state.items.lookup(replay.events.item[refresh.rows])
        known[at] = (items >= 0) & (items < refresh.view.n_items)
        items = np.where(known[at], items, 0)
        if not known[at].any():
            continue
        users = refresh.view.users(list(people))
        columns, place = np.unique(items, return_inverse=True)
        look = Look(refresh.view, users, columns)
        posts = post_features(refresh.view)[items]
        pairs = [feature(look)[user, place] for feature in USER_FEATURES.values()]
        x[at] = np.concatenate([posts, np.stack(pairs, axis=1)], axis=1)
        if refresh.now + refresh_s <= split.cut:
            continue
        rest[at] = max(refresh.view.n_items - _TAIL, 1) / _TAIL
        scores = model.score(refresh.view, users)
        own[at] = scores[user, items]
        tail[at] = _tails(scores, rng)[user]
    t = replay.events.t[exposures.row]
    return Met(exposures, weight, t, x, own, tail, rest).pick(known)


def _tails(scores: Scores, rng: np.random.Generator) -> Scores:
    """[users, 2 * _TAIL]: the best scores, then a random draw (with replacement) of the others."""
    n = scores.shape[1]
    if n <= _TAIL:
        return np.pad(scores, ((0, 0), (0, 2 * _TAIL - n)), constant_values=-np.inf)
    order = np.argpartition(-scores, _TAIL - 1, axis=1)
    others = order[:, _TAIL:][:, rng.integers(0, n - _TAIL, _TAIL)]
    return np.take_along_axis(scores, np.concatenate([order[:, :_TAIL], others], axis=1), axis=1)


def happened(exposures: Exposures, actions: Sequence[str]) -> Floats:
    """[chances, heads] 1 where it happened, else 0; the last head is anything positive."""
    columns = [exposures.done[:, ACTIONS.index(action)] for action in actions]
    return np.column_stack([*columns, exposures.positive]).astype(np.float64)


def fit_base(met: Met, config: ActionsConfig) -> Base:
    """The first step. Features are standardised by the weighted sample; a constant one gets no weight."""
    actions = tuple(name for name, n in zip(ACTIONS, met.exposures.done.sum(axis=0), strict=True) if n)
    weight = met.weight / met.weight.mean()
    mean = np.average(met.x, axis=0, weights=weight)
    spread = np.sqrt(np.average((met.x - mean) ** 2, axis=0, weights=weight))
    spread[spread < 1e-3] = np.inf
    places = _places(met.exposures.position) if config.position else np.zeros((len(weight), len(PLACES) + 1))
    x = np.column_stack([(met.x - mean) / spread, places, np.ones(len(weight))])
    d, b = len(FEATURES), len(PLACES) + 1
    penalty = np.r_[np.full(d, config.penalty), np.full(b, config.place_penalty), 1e-6]
    fitted = []
    for y in happened(met.exposures, actions).T:
        centre = np.zeros(d + b + 1)
        centre[-1] = _log_odds(y, weight)
        few = y.sum() < _LEAST_CASES or (1 - y).sum() < _LEAST_CASES
        fitted.append(centre if few else fit_logistic(x, y, weight, penalty, centre))
    w = np.stack(fitted, axis=1)
    first = w[d]
    slopes = w[:d] / spread[:, None]
    bias = w[-1] - mean @ slopes + first
    tables = (slopes, bias, w[d : d + b] - first)
    return Base(actions, met.exposures.given, *(table.astype(np.float32) for table in tables))


def _places(position: Ints) -> Floats:
    """[chances, buckets] one-hot; zero where no position is logged."""
    at = bucket(position)
    return (at[:, None] == np.arange(len(PLACES) + 1)).astype(np.float64)


def _log_odds(y: Floats, weight: Floats) -> float:
    """Of the base rate, with half a case added on either side."""
    return float(np.log((weight @ y + 0.5) / (weight @ (1 - y) + 0.5)))


def first_step(base: Base, met: Met, placed: bool = True) -> Floats:
    """[chances, heads] logits where each chance stood, or (not `placed`) in the first place."""
    out = met.x.astype(np.float64) @ base.weights + base.bias
    return out + _places(met.exposures.position) @ base.places if placed else out


def fit_heads(base: Base, met: Met, config: ActionsConfig) -> ActionHeads:
    """The second step, on chances from the cut on."""
    weight = met.weight / met.weight.mean()
    temperature = _temperature(met, weight * met.exposures.positive)
    r = met.log_chance(temperature)
    first = first_step(base, met)
    shift, scale = r.mean(), r.std() + 1e-9
    second = []
    for head, y in enumerate(happened(met.exposures, base.actions).T):
        centre = np.array([0.0, 1.0, 0.0])
        x = np.column_stack([np.ones(len(r)), first[:, head], (r - shift) / scale])
        few = y.sum() < _LEAST_CASES or (1 - y).sum() < _LEAST_CASES
        c, d, g = centre if few else fit_logistic(x, y, weight, np.full(3, config.penalty), centre)
        second.append([c - g * shift / scale, d, g / scale])
    return ActionHeads(config.depth, temperature, base, np.array(second, dtype=np.float32))


def _temperature(met: Met, weight: Floats) -> float:
    """beta that makes exp(beta * score), normalised over the catalogue, most likely for the posts acted on.

    The log-likelihood is concave in beta: Newton's method, kept above zero. 1 where nothing was acted on.
    """
    own, tail = met.own, met.tail.astype(np.float64)
    offset = np.r_[np.zeros(_TAIL), np.ones(_TAIL)] * np.log(met.rest)[:, None]
    used = weight > 0
    if not used.any():
        return 1.0
    own, tail, offset, weight = own[used], tail[used], offset[used], weight[used]
    beta = 1.0 / max(float(np.nanstd(np.where(np.isfinite(tail), tail, np.nan))), 1e-6)
    finite = np.where(np.isfinite(tail), tail, 0.0)
    for _ in range(_NEWTON):
        z = np.where(np.isfinite(tail), beta * finite + offset, -np.inf)
        p = np.exp(z - np.logaddexp.reduce(z, axis=1)[:, None])
        mean = (p * finite).sum(axis=1)
        spread = (p * finite**2).sum(axis=1) - mean**2
        step = float(weight @ (own - mean)) / max(float(weight @ spread), 1e-9)
        new = float(np.clip(beta + step, beta / 2, beta * 2))
        if abs(new - beta) < 1e-4 * beta:
            return new
        beta = new
    return beta


@dataclass(frozen=True)
class FittedActions:
    """The heads of one ranking model, and how good its probabilities are on the test window."""

    heads: ActionHeads
    chances: int
    calibrations: list[Calibration]
    seconds: float

    @property
    def params(self) -> dict[str, Any]:
        """What is worth telling among a run's parameters."""
        return {
            "actions": ",".join(self.heads.base.actions),
            "actions_given": self.heads.base.given,
            "actions_chances": self.chances,
            "actions_temperature": round(self.heads.temperature, 4),
        }

    @property
    def metrics(self) -> dict[str, float]:
        """Of the calibration, all actions."""
        return {name: value for one in self.calibrations for name, value in one.metrics.items()}


def fit_actions(
    interactions: pa.Table, replay: Replay, split: Split, config: RecommenderConfig, model: Recommender
) -> FittedActions | None:
    """Heads for `model`, judged on the test window; None where a window has no chance at all or nothing positive."""
    began = time.monotonic()
    exposures = read_exposures(interactions, 3600.0 * config.actions.attribution_h)
    t = replay.events.t[exposures.row]
    early = np.flatnonzero((t >= split.warm) & (t < split.test))
    test = sample(
        np.flatnonzero((t >= split.test) & (t < split.end)), config.actions.max_test_chances, config.seed
    )
    if len(early) == 0 or len(test) == 0:
        return None
    drawn, weight = draw(exposures.pick(early), config.actions, config.seed)
    rows = np.r_[early[drawn], test]
    with one_blas_thread():
        met = meet(
            replay,
            exposures.pick(rows),
            np.r_[weight, np.ones(len(test))],
            split,
            config.split.refresh_s,
            model,
            config.seed,
        )
        past, late, now = (
            met.between(*window)
            for window in ((split.warm, split.test), (split.cut, split.test), (split.test, split.end))
        )
        if not past.exposures.positive.any() or not late.exposures.positive.any() or len(now.t) == 0:
            return None
        base = fit_base(past, config.actions)
        heads = fit_heads(base, late, config.actions)
    chances = heads.probabilities(first_step(base, now).T, now.log_chance(heads.temperature))
    rates = np.average(happened(past.exposures, base.actions), axis=0, weights=past.weight)
    done, names = happened(now.exposures, base.actions).T, (*base.actions, POSITIVE)
    judged = [
        calibration(name, chance, what, float(rate))
        for name, chance, what, rate in zip(names, chances, done, rates, strict=True)
        if rate < 1.0
    ]
    return FittedActions(heads, len(past.t), judged, time.monotonic() - began)

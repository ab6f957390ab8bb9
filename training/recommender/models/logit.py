"""Conditional logit (McFadden 1974): which of the posts on offer does a user act on.

P(c | group) = exp(w . x_c + q_c) / sum over the group; q is the log of how many posts a sampled one stands for
(McFadden 1978), so a sampled choice set estimates the full one. The penalised likelihood is concave: Newton's method.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from training.recommender.arrays import Ints

Matrix = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]


_STEPS = 30


@dataclass(frozen=True)
class Choices:
    """Groups of rows, one after the other; the first row of each group is the post that was chosen.

    `x` [rows, features], `log_weight` [rows], `starts` [groups + 1].
    """

    x: Matrix
    log_weight: npt.NDArray[np.float32]
    starts: Ints

    def __len__(self) -> int:
        return len(self.starts) - 1

    def pick(self, groups: Ints) -> "Choices":
        """Only these groups, in this order."""
        sizes = np.diff(self.starts)[groups]
        starts = np.r_[0, np.cumsum(sizes)]
        rows = np.arange(starts[-1]) + np.repeat(self.starts[:-1][groups] - starts[:-1], sizes)
        return Choices(self.x[rows], self.log_weight[rows], starts)


def probabilities(choices: Choices, weights: Vector) -> tuple[Vector, Vector]:
    """Per row the probability within its group, and per group the log-likelihood of the chosen row."""
    first, sizes = choices.starts[:-1], np.diff(choices.starts)
    score: Vector = (choices.x @ weights.astype(np.float32) + choices.log_weight).astype(np.float64)
    score -= np.repeat(np.maximum.reduceat(score, first), sizes)
    weight: Vector = np.exp(score)
    total = np.add.reduceat(weight, first)
    return weight / np.repeat(total, sizes), score[first] - np.log(total)


def fit_logit(choices: Choices, penalty: float, centre: Vector, start: Vector | None = None) -> Vector:
    """argmax of the log-likelihood minus penalty / 2 * |w - centre|^2, by Newton's method with step halving.

    `start` is where to begin (the centre by default): near the answer, two or three steps are enough.
    """
    weights = (centre if start is None else start).copy()
    first, sizes = choices.starts[:-1], np.diff(choices.starts)
    chosen = choices.x[first].sum(axis=0).astype(np.float64)
    probability, likelihood = probabilities(choices, weights)
    value = likelihood.sum() - 0.5 * penalty * ((weights - centre) ** 2).sum()
    for _ in range(_STEPS):
        share = probability.astype(np.float32)
        weighted = choices.x * share[:, None]
        # A sparse product sums the groups three times faster than `np.add.reduceat` along rows.
        means = sparse.csr_array((share, np.arange(len(share)), choices.starts)) @ choices.x
        gradient = chosen - means.sum(axis=0) - penalty * (weights - centre)
        curvature = choices.x.T @ weighted - means.T @ means
        step = np.linalg.solve(curvature.astype(np.float64) + penalty * np.eye(len(weights)), gradient)
        size = 1.0
        while size > 1e-4:
            proposal = weights + size * step
            probability, likelihood = probabilities(choices, proposal)
            new = likelihood.sum() - 0.5 * penalty * ((proposal - centre) ** 2).sum()
            if new >= value:
                break
            size /= 2
        gain = new - value
        if gain < 0:
            break
        weights, value = proposal, new
        if gain < 1e-5 * len(sizes):
            break
    return weights

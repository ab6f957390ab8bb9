"""The cheap models every other one has to beat: popularity, transition counts alone, next-item ridge regression."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from training.recommender.sequential.config import TransitionConfig
from training.recommender.sequential.histories import Histories
from training.recommender.sequential.model import Scores
from training.recommender.sequential.transitions import Transitions


class Popularity:
    """How often an item occurs."""

    def __init__(self, counts: npt.NDArray[np.float32]) -> None:
        self.counts = counts

    @classmethod
    def fit(cls, histories: Histories) -> Self:
        """Count."""
        return cls(histories.counts().astype(np.float32))

    def score(self, histories: Sequence[npt.NDArray[Any]]) -> Scores:
        """[users, n_items], the same for everybody."""
        return np.repeat(self.counts[None, :], len(histories), axis=0)


class SkipTransitions:
    """The transition scores alone."""

    def __init__(self, transitions: Transitions) -> None:
        self.transitions = transitions

    @classmethod
    def fit(cls, histories: Histories, config: TransitionConfig) -> Self:
        """Count."""
        return cls(Transitions.count(histories, config))

    def score(self, histories: Sequence[npt.NDArray[Any]]) -> Scores:
        """[users, n_items]."""
        return np.asarray(self.transitions.score(list(histories)).numpy())


class NextItemRidge:
    """Ridge regression of the next item on the decayed latest items (SLIST: Choi et al. 2021; EASE: Steck 2019).

    B = (X'X + ridge I)^-1 X'Y with a row of X and of Y a place of a sequence, X[c] = decay^k for the item k back.
    The Gram matrix is dense: n_items^2 * 8 bytes twice.
    """

    def __init__(self, weights: npt.NDArray[np.float32], window: int, decay: float) -> None:
        self.weights, self.window, self.decay = weights, window, decay

    @classmethod
    def fit(cls, histories: Histories, window: int = 20, decay: float = 0.8, ridge: float = 100.0) -> Self:
        """Solve it in closed form."""
        n = histories.n_items
        gram, cross = np.zeros((n, n)), np.zeros((n, n))
        for part in histories.parts():
            now, after = part.pairs(1)
            past = _decayed(part, window, decay)
            target = sparse.csr_array((np.ones(len(now)), (np.arange(len(now)), after)), shape=(len(now), n))
            gram += (past.T @ past).toarray()
            cross += (past.T @ target).toarray()
        gram[np.diag_indices(n)] += ridge
        weights = linalg.solve(gram, cross, assume_a="pos", overwrite_a=True, overwrite_b=True)
        return cls(weights.astype(np.float32), window, decay)

    def score(self, histories: Sequence[npt.NDArray[Any]]) -> Scores:
        """[users, n_items]."""
        out = np.empty((len(histories), len(self.weights)), dtype=np.float32)
        for row, history in enumerate(histories):
            latest = np.asarray(history[-self.window :][::-1])
            out[row] = (self.decay ** np.arange(len(latest), dtype=np.float32)) @ self.weights[latest]
        return out


def _decayed(part: Histories, window: int, decay: float) -> sparse.csr_array:
    """[predictions, n_items] the decayed items before each one that is predicted."""
    place = np.arange(len(part.items)) - np.repeat(part.starts, part.lengths)
    row_of = np.cumsum(place > 0) - 1
    rows, columns, values = [], [], []
    for back in range(window):
        (at,) = np.nonzero(place > back)
        rows.append(row_of[at])
        columns.append(part.items[at - back - 1])
        values.append(np.full(len(at), decay**back))
    shape = (int((place > 0).sum()), part.n_items)
    return sparse.csr_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape
    )

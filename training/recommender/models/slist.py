"""A closed-form sequential linear model in the manner of SLIST (Choi et al., WWW 2021): next-item ridge regression.

Every position p of a sequence gives a row: x = the posts before it, decayed by d^lag over a window, y = the post at p.
B = argmin sum_p w_p |y_p - x_p B|^2 + lambda |B|^2 = (X'WX + lambda I)^-1 X'WY, where w_p halves every `half_life_days`
before the cut. One Cholesky factorisation, no iterations. Posts beyond the most frequent `max_posts` are left out (the
Gram matrix is dense) and only the `keep` largest weights of a row are kept, so the model stays small.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from training.recommender.arrays import ABSENT, Ints
from training.recommender.models.base import Events, Parts, Scores, Vocabulary, picked
from training.recommender.sequences import Sequences
from training.recommender.view import FeedView, UserBatch

_CHUNK = 200_000


@dataclass
class SlistSignal:
    """Weights from a post in the history (row) to a post that may come next (column), as a sparse matrix."""

    names: list[str]
    weights: sparse.csr_array
    window: int
    decay: float
    key: ClassVar[str] = "slist"
    kind: ClassVar[str] = "sequential"
    trained: ClassVar[bool] = True
    scale: ClassVar[float | None] = 0.01
    _vocabulary: Vocabulary = field(init=False)

    def __post_init__(self) -> None:
        self._vocabulary = Vocabulary(self.names)

    def value(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]; zero for posts that came after training."""
        return picked(users.memo(f"slist/{id(self)}/{id(view)}", lambda: self._all(view, users)), columns)

    def without(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Scores:
        """[events, columns]: additive, so each event's own row is taken off."""
        lag = users.item.shape[1] - 1 - events.slot
        place = self._places(view, users)[events.row, events.slot]
        inside = np.flatnonzero((place >= 0) & (lag < self.window))
        shape = (len(events.row), len(self.names))
        each = sparse.csr_array((self.decay ** lag[inside], (inside, place[inside])), shape=shape)
        return self.value(view, users, columns)[events.row] - self._spread(view, each, columns)

    def _all(self, view: FeedView, users: UserBatch) -> Scores:
        return self._spread(view, self._inputs(view, users))

    def _places(self, view: FeedView, users: UserBatch) -> Ints:
        aligned = np.append(self._vocabulary.align(view), ABSENT)
        return aligned[users.item]

    def _inputs(self, view: FeedView, users: UserBatch) -> sparse.csr_array:
        place = self._places(view, users)[:, -self.window :]
        row, column = np.nonzero(place >= 0)
        value = self.decay ** (place.shape[1] - 1.0 - column)
        return sparse.csr_array((value, (row, place[row, column])), shape=(len(users), len(self.names)))

    def _spread(self, view: FeedView, inputs: sparse.csr_array, columns: Ints | None = None) -> Scores:
        known = (inputs @ self.weights).toarray()
        padded = np.concatenate([known, np.zeros((len(known), 1))], axis=1).astype(np.float32)
        return padded[:, picked(self._vocabulary.align(view), columns)]

    def parts(self) -> Parts:
        """The sparse matrix and the names of its rows and columns."""
        arrays = {
            "data": self.weights.data.astype(np.float32),
            "indices": self.weights.indices.astype(np.int32),
            "indptr": self.weights.indptr.astype(np.int64),
        }
        return Parts({"window": self.window, "decay": self.decay}, arrays, {"posts": self.names})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`."""
        names = parts.vocabularies["posts"]
        matrix = sparse.csr_array(
            tuple(parts.arrays[k] for k in ("data", "indices", "indptr")), shape=(len(names), len(names))
        )
        return cls(names, matrix, parts.config["window"], parts.config["decay"])


def fit_slist(
    sequences: Sequences,
    cut: float,
    *,
    window: int,
    decay: float,
    ridge: float,
    half_life_days: float,
    max_posts: int,
    keep: int,
) -> SlistSignal:
    """Solve for the weights. With fewer than two posts in any sequence, the matrix is empty and scores are zero."""
    names, item = _most_frequent(sequences, max_posts)
    n = len(names)
    gram, cross = np.zeros((n, n), dtype=np.float32), np.zeros((n, n), dtype=np.float32)
    position = sequences.position
    weight = np.exp2(-(cut - sequences.t) / (86_400.0 * half_life_days))
    targets = np.flatnonzero((position > 0) & (item >= 0))
    for start in range(0, len(targets), _CHUNK):
        rows = targets[start : start + _CHUNK]
        x = _window_rows(item, position, rows, window, decay, n)
        y = sparse.csr_array((np.ones(len(rows)), (np.arange(len(rows)), item[rows])), shape=(len(rows), n))
        weighted = (sparse.diags_array(weight[rows]) @ x).T.tocsr()
        gram += (weighted @ x).toarray()
        cross += (weighted @ y).toarray()
    gram[np.diag_indices(n)] += ridge
    solved = (
        linalg.cho_solve(linalg.cho_factor(gram, overwrite_a=True), cross, overwrite_b=True) if n else cross
    )
    return SlistSignal(names, _largest(solved, keep), window, decay)


def _most_frequent(sequences: Sequences, max_posts: int) -> tuple[list[str], Ints]:
    """Names kept, and every entry's index among them (-1: left out). Frequency ties go to the earlier post."""
    counts = np.bincount(sequences.item, minlength=len(sequences.names))
    kept = np.sort(np.argsort(-counts, kind="stable")[:max_posts])
    place = np.full(len(counts), ABSENT, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    return [sequences.names[code] for code in kept], place[sequences.item]


def _window_rows(
    item: Ints, position: Ints, rows: Ints, window: int, decay: float, n: int
) -> sparse.csr_array:
    """[rows, n]: the decayed window before each entry; a post left out of the vocabulary still takes its place."""
    row, column, value = [], [], []
    for lag in range(1, window + 1):
        at = np.flatnonzero(position[rows] >= lag)
        past = item[rows[at] - lag]
        inside = past >= 0
        row.append(at[inside])
        column.append(past[inside])
        value.append(np.full(int(inside.sum()), decay ** (lag - 1.0)))
    return sparse.csr_array(
        (np.concatenate(value), (np.concatenate(row), np.concatenate(column))), shape=(len(rows), n)
    )


def _largest(matrix: npt.NDArray[np.float32], keep: int) -> sparse.csr_array:
    n = len(matrix)
    if n > keep:
        limit = -np.partition(-np.abs(matrix), keep - 1, axis=1)[:, keep - 1 : keep]
        matrix = np.where(np.abs(matrix) >= limit, matrix, 0.0)
    return sparse.csr_array(matrix)

"""Implicit ALS (Hu, Koren and Volinsky 2008) by the `implicit` library, with both sides kept up to date by fold-in.

Training finds factors x_u, y_i that minimise sum c_ui (p_ui - x_u . y_i)^2 + lambda (|x|^2 + |y|^2) over all pairs:
p is 1 and c is alpha where u acted on i, 0 and 1 elsewhere. Given one side, a vector of the other has a closed form:
x = (Y'Y + (alpha - 1) Y_h'Y_h + lambda I)^-1 alpha sum Y_h over the history h. A user's vector is made from the live
history at every request. A post that came after training gets its own, in the same way, from those of its last FANS
users whom training knew; without that the model would be silent on a feed whose posts live for hours.
"""

import os
from collections.abc import Sequence
from typing import ClassVar, Self
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from scipy import sparse

from training.recommender.arrays import Ints, grown
from training.recommender.blas import one_blas_thread
from training.recommender.models.base import Events, Parts, Scores, Vocabulary, picked, removed
from training.recommender.sequences import Sequences
from training.recommender.state import FeedState
from training.recommender.view import FeedView, UserBatch

Rows = npt.NDArray[np.float32]
_CHUNK = 1000


class FoldIn:
    """One side's factors [n, f], and the vectors of the other side that follow from them."""

    def __init__(self, factors: Rows, alpha: float, ridge: float) -> None:
        self.factors, self.alpha = factors, alpha
        self._base = factors.T @ factors + np.float32(ridge) * np.eye(factors.shape[1], dtype=np.float32)

    def __call__(self, factors: Rows, met: npt.NDArray) -> Rows:
        """[m, f] vectors of what met the rows `met` [m, k] of `factors` (-1: nothing); zero for what met nothing."""
        out = np.zeros((len(met), len(self._base)), dtype=np.float32)
        # Rows with as many partners stand together, so that little is computed for nothing.
        order = np.argsort((met >= 0).sum(axis=1), kind="stable")
        for start in range(0, len(met), _CHUNK):
            rows = order[start : start + _CHUNK]
            found = -np.sort(-met[rows], axis=1)
            found = found[:, : int((found >= 0).sum(axis=1).max(initial=0))]
            theirs = factors[found] * (found >= 0)[..., None].astype(np.float32)
            left = self._base + np.float32(self.alpha - 1.0) * (theirs.transpose(0, 2, 1) @ theirs)
            right = np.float32(self.alpha) * theirs.sum(axis=1)
            out[rows] = np.linalg.solve(left, right[..., None])[..., 0]
        return out


class AlsSignal:
    """x . y: about 1 for what the user is expected to act on, 0 for a post that nobody known to training acted on."""

    key: ClassVar[str] = "als"
    kind: ClassVar[str] = "collaborative"
    trained: ClassVar[bool] = True
    scale: ClassVar[float | None] = 0.01

    def __init__(
        self,
        posts: Sequence[str],
        post_factors: Rows,
        users: Sequence[str],
        user_factors: Rows,
        alpha: float,
        ridge: float,
    ) -> None:
        self.posts, self.users = Vocabulary(posts), Vocabulary(users)
        self.alpha, self.ridge = alpha, ridge
        self._of_user = FoldIn(post_factors, alpha, ridge)
        self._of_post = FoldIn(user_factors, alpha, ridge)
        self._known: WeakKeyDictionary[FeedState, tuple[Ints, Rows]] = WeakKeyDictionary()

    def value(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]."""
        full = users.memo(
            f"als/{id(self)}/{id(view)}", lambda: self._encode(view, users) @ self._posts(view).T
        )
        return picked(full, columns)

    def without(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Scores:
        """[events, columns]: the user's vector made again, once per removed event."""
        return self._encode(view, removed(users, events)) @ self._posts(view)[columns].T

    def _encode(self, view: FeedView, users: UserBatch) -> Rows:
        return self._of_user(self._posts(view), users.item)

    def _posts(self, view: FeedView) -> Rows:
        """[n_items, f]. Of posts that came after training, those are made again that somebody has acted on since."""
        return view.memo(f"als/{id(self)}/posts", lambda: self._up_to_date(view))

    def _up_to_date(self, view: FeedView) -> Rows:
        n, state, place = view.n_items, view.state, self.posts.align(view)
        trained = self._of_user.factors
        seen, factors = self._known.get(state, (view.item_users[:0], trained[:0]))
        first = np.arange(len(seen), n)
        factors = grown(factors, n, 0.0).copy()
        factors[first] = np.where(place[first, None] >= 0, trained[place[first]], np.float32(0.0))
        changed = view.item_users != np.r_[seen, np.zeros(len(first), dtype=np.int64)]
        new = np.flatnonzero(changed & (place < 0))
        people = np.append(self.users.places(state.users, len(state.users)), -1)
        factors[new] = self._of_post(self._of_post.factors, people[state.fans.raw("user")[new]])
        self._known[state] = (view.item_users, factors)
        return factors[:n]

    def parts(self) -> Parts:
        """Both sides' factors and the names of their rows."""
        arrays = {"posts": self._of_user.factors, "users": self._of_post.factors}
        names = {"posts": self.posts.names, "users": self.users.names}
        return Parts({"alpha": self.alpha, "ridge": self.ridge}, arrays, names)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`."""
        names, arrays = parts.vocabularies, parts.arrays
        return cls(names["posts"], arrays["posts"], names["users"], arrays["users"], **parts.config)


def fit_als(
    sequences: Sequences, *, factors: int, ridge: float, alpha: float, iterations: int, seed: int
) -> AlsSignal:
    """Factorise who acted on what. The result does not depend on the number of threads."""
    from implicit.cpu.als import AlternatingLeastSquares

    rows = np.repeat(np.arange(sequences.users), np.diff(sequences.starts))
    shape = (sequences.users, len(sequences.names))
    acted = sparse.csr_matrix((np.full(len(rows), alpha, np.float32), (rows, sequences.item)), shape=shape)
    threads = max(1, (os.cpu_count() or 1) // 2)
    # The library works on threads of its own and warns of a BLAS that does so inside them.
    with one_blas_thread():
        model = AlternatingLeastSquares(
            factors=factors,
            regularization=ridge,
            iterations=iterations,
            num_threads=threads,
            random_state=seed,
        )
        model.fit(acted, show_progress=False)
    return AlsSignal(sequences.names, model.item_factors, sequences.people, model.user_factors, alpha, ridge)

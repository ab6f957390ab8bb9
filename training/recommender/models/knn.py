"""Item-kNN on the state's own co-occurrence: posts acted on by the people who acted on what this user acted on.

value(u, c) = sum over j in history(u) of d^rank(j) * sim(j, c), with
sim(j, c) = sum over users v of both posts of 1 / log2(2 + n_v), divided by sqrt((n_j + s)(n_c + s)):
cosine with shrinkage s, busy users discounted. It is summed by way of the users in common, over the last FANS users of
a post and the last HISTORY posts of a user, so it is as fresh as the state and costs the same however old the feed is.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import Ints
from training.recommender.models.base import Parts, Scores, picked
from training.recommender.view import FeedView, UserBatch


@dataclass(frozen=True)
class KnnSignal:
    """Co-occurrence with the user's history. `recency` is the weight d of one step back in the history."""

    shrinkage: float
    recency: float
    key: ClassVar[str] = "item_knn"
    kind: ClassVar[str] = "collaborative"
    trained: ClassVar[bool] = False
    scale: ClassVar[float | None] = 0.01

    def value(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts], zero or more."""
        full = users.memo(f"{self}/{id(view)}", lambda: self._all(view, users))
        return picked(full, columns)

    def without(self, view: FeedView, users: UserBatch, columns: Ints, slots: Ints) -> Scores:
        """[slots, columns]: the sum is additive, so each event's own share is taken off."""
        shares = self._shares(view, users, columns, slots)
        return np.maximum(self.value(view, users, columns) - shares, 0.0)

    def parts(self) -> Parts:
        """Two numbers: the co-occurrence itself is in the state."""
        return Parts({"shrinkage": self.shrinkage, "recency": self.recency})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`."""
        return cls(**parts.config)

    def _all(self, view: FeedView, users: UserBatch) -> Scores:
        out = np.zeros((len(users), view.n_items), dtype=np.float32)
        norm = self._norm(view)
        for row in range(len(users)):
            history = users.item[row]
            at = np.flatnonzero(history >= 0)
            if len(at) == 0:
                continue
            fans, closeness = self._neighbours(
                view, users, row, history[at], self._weights(view, history, at)
            )
            items, ok = self._acted_on(view, fans)
            weight = np.broadcast_to(closeness[:, None], items.shape)[ok]
            out[row] = np.bincount(items[ok], weight, minlength=view.n_items) * norm
        return out

    def _norm(self, view: FeedView) -> npt.NDArray[np.float64]:
        return view.memo(f"{self}/norm", lambda: 1.0 / np.sqrt(view.item_users + self.shrinkage))

    def _weights(self, view: FeedView, history: npt.NDArray, at: Ints) -> npt.NDArray[np.float64]:
        return self.recency ** (len(history) - 1.0 - at) * self._norm(view)[history[at]]

    def _neighbours(
        self, view: FeedView, users: UserBatch, row: int, items: npt.NDArray, weights: npt.NDArray[np.float64]
    ) -> tuple[Ints, npt.NDArray[np.float64]]:
        """Users who acted on `items`, and how close each is: the sum of the weights of the posts in common."""
        fans = view.state.fans.raw("user")[items]
        ok = (fans >= 0) & (fans != users.code[row])
        distinct, inverse = np.unique(fans[ok], return_inverse=True)
        closeness = np.bincount(
            inverse, np.broadcast_to(weights[:, None], fans.shape)[ok], minlength=len(distinct)
        )
        return distinct, closeness / np.log2(2.0 + view.state.user_items[distinct])

    def _acted_on(self, view: FeedView, fans: Ints) -> tuple[npt.NDArray, npt.NDArray[np.bool_]]:
        items = view.state.history.raw("item")[fans]
        return items, (items >= 0) & (items < view.n_items)

    def _shares(self, view: FeedView, users: UserBatch, columns: Ints, slots: Ints) -> Scores:
        """[slots, columns]: what each event of the single user's history adds to each post."""
        out = np.zeros((len(slots), len(columns)))
        place = np.full(view.n_items + 1, len(columns))
        place[columns] = np.arange(len(columns))
        history = users.item[0]
        for index, slot in enumerate(slots):
            if history[slot] < 0:
                continue
            at = np.array([slot])
            fans, closeness = self._neighbours(view, users, 0, history[at], self._weights(view, history, at))
            items, ok = self._acted_on(view, fans)
            weight = np.broadcast_to(closeness[:, None], items.shape)[ok]
            found = np.bincount(place[items[ok]], weight, minlength=len(columns) + 1)
            out[index] = found[: len(columns)]
        return (out * self._norm(view)[columns]).astype(np.float32)

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

from training.recommender.arrays import ABSENT, Ints
from training.recommender.models.base import Events, Parts, Scores, picked
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

    def without(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Scores:
        """[events, columns]: the sum is additive, so each event's own share is taken off."""
        shares = self._shares(view, users, columns, events)
        return np.maximum(self.value(view, users, columns)[events.row] - shares, 0.0)

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

    def _shares(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Scores:
        """[events, columns]: what each event adds to each post for its user."""
        history = users.item[events.row, events.slot]
        fans = view.state.fans.raw("user")[history]
        event, place = np.nonzero((fans >= 0) & (fans != users.code[events.row, None]))
        fan = fans[event, place]
        step = users.item.shape[1] - 1.0 - events.slot
        weight = self.recency**step * self._norm(view)[history]
        closeness = weight[event] / np.log2(2.0 + view.state.user_items[fan])
        wanted = np.full(view.n_items + 1, ABSENT)
        wanted[columns] = np.arange(len(columns))
        # Posts that came after the view, and empty slots, stand behind the last one.
        found = wanted[np.minimum(view.state.history.raw("item")[fan], view.n_items)]
        common, slot = np.nonzero(found >= 0)
        cell = event[common] * len(columns) + found[common, slot]
        out = np.bincount(cell, closeness[common], minlength=len(history) * len(columns))
        return (out.reshape(len(history), -1) * self._norm(view)[columns]).astype(np.float32)

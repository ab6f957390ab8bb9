"""Content: how alike a post and the history are, by what is said and by who says it where, whoever else has seen it.

value(u, c) = sum over j in history(u) of d^rank(j) * sim(j, c), with
sim(j, c) = s * cos(text of j, text of c) + (1 - s) * cos(labels of j, labels of c).
Texts have vectors (`text_space`). Labels are author, language, community and topics, compared exactly and weighted by
their idf among the posts of the view: to share a rare one says more. A post that nobody has seen has all of this.
"""

from typing import ClassVar, Self
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from scipy import sparse

from training.recommender.arrays import Ints, grown
from training.recommender.models.base import Events, Parts, Scores, picked
from training.recommender.models.text_space import TextSpace
from training.recommender.state import FeedState
from training.recommender.view import FeedView, UserBatch

Rows = npt.NDArray[np.float32]


class ContentSignal:
    """Likeness to the user's history. `text_share` is s above, `recency` d."""

    key: ClassVar[str] = "content"
    kind: ClassVar[str] = "content"
    trained: ClassVar[bool] = False
    scale: ClassVar[float | None] = 0.1

    def __init__(self, space: TextSpace, text_share: float, recency: float) -> None:
        self.space, self.text_share, self.recency = space, text_share, recency
        self._known: WeakKeyDictionary[FeedState, tuple[Ints, Rows]] = WeakKeyDictionary()

    def value(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]; below zero at most by chance likeness of texts."""
        full = users.memo(f"content/{id(self)}/{id(view)}", lambda: self._all(view, users))
        return picked(full, columns)

    def without(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Scores:
        """[events, columns]: the sum is additive, so each event's own share is taken off."""
        alone = self._history(view, users, events, np.arange(len(events.row)))
        texts, labels = self._texts(view), _labels(view)
        said = (alone @ texts) @ texts[columns].T
        named = (labels[columns] @ (alone @ labels).T).T.toarray()
        return self.value(view, users, columns)[events.row] - self._mixed(said, named)

    def _all(self, view: FeedView, users: UserBatch) -> Scores:
        events = Events(*np.nonzero(users.item >= 0))
        history = self._history(view, users, events, events.row, len(users))
        texts, labels = self._texts(view), _labels(view)
        said = (history @ texts) @ texts.T
        named = (labels @ (history @ labels).T.toarray()).T
        return self._mixed(said, named)

    def _history(
        self, view: FeedView, users: UserBatch, events: Events, rows: Ints, count: int | None = None
    ) -> sparse.csr_array:
        """[count, n_items]: the weights of `events`, each in its row of `rows`."""
        weight = (self.recency ** (users.item.shape[1] - 1.0 - events.slot)).astype(np.float32)
        shape = (len(rows) if count is None else count, view.n_items)
        return sparse.csr_array((weight, (rows, users.item[events])), shape=shape)

    def _mixed(self, said: Rows, named: Rows) -> Scores:
        return np.asarray(self.text_share * said + (1.0 - self.text_share) * named, dtype=np.float32)

    def _texts(self, view: FeedView) -> Rows:
        """[n_items, dimensions]; computed once for each post, when its text is known."""
        return view.memo(f"content/{id(self)}/texts", lambda: self._up_to_date(view))

    def _up_to_date(self, view: FeedView) -> Rows:
        terms = view.state.terms[: view.n_items]
        before, vectors = self._known.get(
            view.state, (np.zeros(0, dtype=np.int64), np.zeros((0, self.space.vectors.shape[1]), np.float32))
        )
        sizes = np.fromiter(map(len, terms), dtype=np.int64, count=len(terms))
        new = np.flatnonzero(sizes != np.r_[before, np.zeros(len(sizes) - len(before), dtype=np.int64)])
        vectors = grown(vectors, len(terms), 0.0)
        vectors[new] = self.space.of([terms[item] for item in new.tolist()])
        self._known[view.state] = (sizes, vectors)
        return vectors[: len(terms)]

    def parts(self) -> Parts:
        """Two numbers, and the text space."""
        inner = self.space.parts().nested("space")
        return Parts(inner.config | {"text_share": self.text_share, "recency": self.recency}, inner.arrays)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`."""
        space = TextSpace.from_parts(parts.inner("space"))
        return cls(space, parts.config["text_share"], parts.config["recency"])


def _labels(view: FeedView) -> sparse.csr_array:
    """[n_items, labels] of unit length: what a post is labelled with, weighted by idf."""

    def build() -> sparse.csr_array:
        state, columns = view.state, view.content.shape[1]
        sizes = [len(state.authors), len(state.langs), len(state.communities), len(state.topics)]
        book = np.minimum(np.arange(columns), 3)
        row, column = np.nonzero(view.content > 0)
        label = view.content[row, column] + np.cumsum([0, *sizes[:-1]])[book][column]
        counts = np.bincount(label, minlength=sum(sizes))
        idf = np.log((view.n_items + 1.0) / np.maximum(counts, 1))
        x = sparse.csr_array((idf[label], (row, label)), shape=(view.n_items, sum(sizes)))
        length = np.sqrt(x.multiply(x).sum(axis=1))
        return sparse.csr_array(sparse.diags_array(1.0 / np.maximum(length, 1e-9)) @ x, dtype=np.float32)

    return view.memo("content/labels", build)

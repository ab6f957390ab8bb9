"""Content: how alike a post and the history are, by what is said and by who says it where, whoever else has seen it.

value(u, c) = sum over j in history(u) of d^rank(j) * sim(j, c), with
sim(j, c) = s * cos(text of j, text of c) + (1 - s) * cos(labels of j, labels of c).
Texts have vectors (`text_space`). Labels are author, language, community and topics, compared exactly and weighted by
their idf among the posts of the view: to share a rare one says more. A post that nobody has seen has all of this.
"""

from typing import ClassVar, NamedTuple, Self
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
        weight, item = self._weight(users, events)[:, None], users.item[events]
        texts, labels = self._texts(view), _labels(view)
        share = (np.float32(self.text_share) * weight * texts[item]) @ texts[columns].T
        # Of all labels only those of the events matter.
        wanted, place = np.unique(labels.code[item], return_inverse=True)
        event = np.zeros((len(item), len(wanted)), dtype=np.float32)
        np.put_along_axis(event, place.reshape(len(item), -1), labels.idf[item], axis=1)
        near = np.minimum(np.searchsorted(wanted, labels.code[columns]), len(wanted) - 1)
        post, at = np.nonzero(wanted[near] == labels.code[columns])
        among = np.zeros((len(columns), len(wanted)), dtype=np.float32)
        among[post, near[post, at]] = labels.idf[columns[post], at]
        share += (np.float32(1.0 - self.text_share) * weight * event) @ among.T
        return np.subtract(self.value(view, users, columns)[events.row], share, dtype=np.float32)

    def _all(self, view: FeedView, users: UserBatch) -> Scores:
        events = Events(*np.nonzero(users.item >= 0))
        weight, item = self._weight(users, events)[:, None], users.item[events]
        texts, labels = self._texts(view), _labels(view)
        said = np.zeros((len(users), texts.shape[1]), dtype=np.float32)
        np.add.at(said, events.row, np.float32(self.text_share) * weight * texts[item])
        named = np.zeros((labels.posts.shape[1], len(users)), dtype=np.float32)
        np.add.at(
            named,
            (labels.code[item], events.row[:, None]),
            np.float32(1.0 - self.text_share) * weight * labels.idf[item],
        )
        # Posts come first in both products: so each reads its long table once, row by row.
        out: Scores = labels.posts @ named
        out += texts @ said.T
        return np.ascontiguousarray(out.T)

    def _weight(self, users: UserBatch, events: Events) -> Rows:
        """[events]."""
        return np.asarray(self.recency ** (users.item.shape[1] - 1.0 - events.slot), dtype=np.float32)

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


class _Labels(NamedTuple):
    """What posts are labelled with, weighted by idf and of unit length."""

    posts: sparse.csr_array
    """[n_items, labels]; the last label stands for none."""
    code: npt.NDArray[np.int32]
    """[n_items, columns of the content]."""
    idf: Rows
    """The same, as weights: zero for none."""


def _labels(view: FeedView) -> _Labels:
    """Built once a view."""

    def build() -> _Labels:
        state, columns = view.state, view.content.shape[1]
        sizes = [len(state.authors), len(state.langs), len(state.communities), len(state.topics)]
        book = np.minimum(np.arange(columns), 3)
        row, column = np.nonzero(view.content > 0)
        label = view.content[row, column] + np.cumsum([0, *sizes[:-1]])[book][column]
        counts = np.bincount(label, minlength=sum(sizes))
        idf = np.log((view.n_items + 1.0) / np.maximum(counts, 1))
        x = sparse.csr_array((idf[label], (row, label)), shape=(view.n_items, sum(sizes) + 1))
        # A label that a post names twice counts twice, in one entry.
        x.sum_duplicates()
        length = np.sqrt(x.multiply(x).sum(axis=1))
        posts = sparse.csr_array(sparse.diags_array(1.0 / np.maximum(length, 1e-9)) @ x, dtype=np.float32)
        each = np.diff(posts.indptr)
        row = np.repeat(np.arange(view.n_items), each)
        column = np.arange(posts.nnz) - posts.indptr[row]
        code = np.full((view.n_items, columns), sum(sizes), dtype=np.int32)
        weight = np.zeros((view.n_items, columns), dtype=np.float32)
        code[row, column], weight[row, column] = posts.indices, posts.data
        return _Labels(posts, code, weight)

    return view.memo("content/labels", build)

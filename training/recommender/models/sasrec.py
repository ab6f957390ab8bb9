"""SASRec at work: a user's history encoded once, every post's vector kept with the view, one matrix product.

score = h(history) . e(post) + w . prior(post): the prior is how popular and how fresh a post is right now, in a few
numbers that are zero for a post nobody looks at any more. It is in the training loss too, so the network learns only
what popularity does not say. A user without history gets the prior alone.
"""

import zlib
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, NamedTuple, Self
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch

from training.recommender.arrays import ABSENT, Ints
from training.recommender.models.base import Blame, Events, Parts, Scores, Vocabulary, picked, removed
from training.recommender.models.popularity import Popularity
from training.recommender.models.sasrec_net import BUCKETS, NetShape, SasrecNet
from training.recommender.state import FeedState
from training.recommender.view import FeedView, UserBatch
from training.threads import torch_threads

PRIOR_HALF_LIVES_H = (0.25, 1.0, 6.0, 24.0, 168.0)
FRESH_H = 720.0
PRIOR = len(PRIOR_HALF_LIVES_H) + 1
FLOOR = float(np.log(0.1))


def prior_features(view: FeedView) -> npt.NDArray[np.float32]:
    """[n_items, PRIOR]: log popularity above a floor at three half-lives, log freshness; zero for what is forgotten."""

    def build() -> npt.NDArray[np.float32]:
        popular = [np.logaddexp(Popularity(h, 1.0).posts(view), FLOOR) - FLOOR for h in PRIOR_HALF_LIVES_H]
        fresh = np.maximum(np.log(FRESH_H * 3600.0) - np.log(view.age), 0.0)
        return np.stack([*popular, fresh], axis=1).astype(np.float32)

    return view.memo("sasrec/prior", build)


def hashed_content(state: FeedState, content: npt.NDArray) -> Ints:
    """[posts, 3 + topics]: rows of a state's content (author, language, community, topics) as buckets, 0 for none."""
    topics = content.shape[1] - 3
    books = (state.authors, state.langs, state.communities, *[state.topics] * topics)
    sizes = (*BUCKETS[:3], *[BUCKETS[3]] * topics)
    out = np.empty(content.shape, dtype=np.int64)
    for column, (book, size) in enumerate(zip(books, sizes, strict=True)):
        distinct, inverse = np.unique(content[:, column], return_inverse=True)
        buckets = [bucket(book.names[code], size) for code in distinct.tolist()]
        out[:, column] = np.array(buckets, dtype=np.int64)[inverse]
    return out


def bucket(name: str | None, size: int) -> int:
    """A stable hash into 1..size-1; 0 for None."""
    return 0 if name is None else 1 + zlib.crc32(name.encode()) % (size - 1)


def compact(items: npt.NDArray, length: int) -> tuple[npt.NDArray, Ints]:
    """Histories [users, h] to their last `length` posts from step 0 on [users, <= length], -1 after; and sizes."""
    sizes = np.minimum((items >= 0).sum(axis=1), length)
    out = np.full((len(items), max(1, int(sizes.max(initial=0)))), -1, dtype=np.int64)
    for row, size in enumerate(sizes.tolist()):
        if size:
            out[row, :size] = items[row][items[row] >= 0][-size:]
    return out, sizes


class _Read(NamedTuple):
    """Histories as they were read: posts [users, steps] and how many, what each step says [users, steps, width], what
    the last one says [users, width], keys and values by block."""

    items: Ints
    sizes: Ints
    hidden: Scores
    last: Scores
    known: list[torch.Tensor]


class SasrecSignal:
    """The personal part of the score: h(history) . e(post), zero without a history."""

    key: ClassVar[str] = "sasrec"
    kind: ClassVar[str] = "sequential"
    trained: ClassVar[bool] = True
    scale: ClassVar[float | None] = None

    def __init__(self, net: SasrecNet, names: Sequence[str]) -> None:
        self.net = net.eval()
        self.vocabulary = Vocabulary(names)
        self._known: WeakKeyDictionary[FeedState, tuple[npt.NDArray, Scores]] = WeakKeyDictionary()

    def value(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]."""
        full = users.memo(
            f"sasrec/{id(self)}/{id(view)}", lambda: self._encode(view, users) @ self._posts(view).T
        )
        return picked(full, columns)

    def without(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Scores:
        """[events, columns]: read on from the first of a user's `events`, once without each of them."""
        return self._without(view, users, events) @ self._posts(view)[columns].T

    def _posts(self, view: FeedView) -> Scores:
        """[n_items, width]. A vector depends on id and content alone, so those of earlier views are kept."""
        return view.memo(f"sasrec/{id(self)}/posts", lambda: self._up_to_date(view))

    @torch.inference_mode()
    def _up_to_date(self, view: FeedView) -> Scores:
        content, vectors = self._known.get(
            view.state, (view.content[:0], np.zeros((0, self.net.shape.width), dtype=np.float32))
        )
        kept = min(len(content), view.n_items)
        same = (content[:kept] == view.content[:kept]).all(axis=1)
        new = np.r_[np.flatnonzero(~same), np.arange(kept, view.n_items)]
        out = np.empty((view.n_items, self.net.shape.width), dtype=np.float32)
        out[:kept] = vectors[:kept]
        if len(new):
            ids = torch.from_numpy(self.vocabulary.align(view)[new] + 1)
            hashed = torch.from_numpy(hashed_content(view.state, view.content[new]))
            with torch_threads(1):
                out[new] = self.net.tower(ids, hashed).numpy()
        self._known[view.state] = (view.content.copy(), out)
        return out

    def _encode(self, view: FeedView, users: UserBatch) -> Scores:
        """[users, width] at the end of each history, zero where there is none."""
        return self._read(view, users).last

    def _read(self, view: FeedView, users: UserBatch) -> "_Read":
        return users.memo(f"sasrec/{id(self)}/{id(view)}/read", lambda: self._read_anew(view, users))

    @torch.inference_mode()
    def _read_anew(self, view: FeedView, users: UserBatch) -> "_Read":
        items, sizes = compact(users.item, self.net.shape.length)
        vectors = self._posts(view)[np.maximum(items, 0)]
        with torch_threads(1):
            hidden, known = self.net.read(torch.from_numpy(vectors))
        after = hidden.numpy()
        last = after[np.arange(len(sizes)), np.maximum(sizes - 1, 0)]
        return _Read(items, sizes, after, np.where(sizes[:, None] > 0, last, np.float32(0.0)), known)

    @torch.inference_mode()
    def _without(self, view: FeedView, users: UserBatch, events: Events) -> Scores:
        """[events, width] at the end of the history without each event.

        What comes before the first event that is asked about stays as it was read. Where the network reads less than
        the whole history, an event that is taken out lets an older one in, and all is read anew.
        """
        past = (users.item >= 0).cumsum(axis=1)
        if past[:, -1].max(initial=0) > self.net.shape.length:
            return self._encode(view, removed(users, events))
        read = self._read(view, users)
        step = past[events.row, events.slot] - 1
        first = np.full(len(users), self.net.shape.length)
        np.minimum.at(first, events.row, step)
        start, size = first[events.row], read.sizes[events.row] - 1
        # [events, longest tail]: which step of the whole history stands at each step after the first.
        at = start[:, None] + np.arange(max(1, int((size - start).max())))
        inside = at < size[:, None]
        whole = np.minimum(at + (at >= step[:, None]), read.items.shape[1] - 1)
        items = np.where(inside, read.items[events.row[:, None], whole], ABSENT)
        vectors = self._posts(view)[np.maximum(items, 0)]
        kept = int(start.max())
        rows = torch.from_numpy(events.row)
        before = [known[:, rows, :, :kept] for known in read.known]
        steps = torch.from_numpy(np.minimum(at, self.net.shape.length - 1))
        with torch_threads(1):
            hidden = self.net.read_on(
                torch.from_numpy(vectors), steps, before, torch.from_numpy(start)
            ).numpy()
        tail = size - start
        out = hidden[np.arange(len(tail)), np.maximum(tail - 1, 0)]
        # The last event taken out: what was read before it is the end.
        for one in np.flatnonzero(tail == 0).tolist():
            out[one] = read.hidden[events.row[one], size[one] - 1] if size[one] > 0 else 0.0
        return out

    def parts(self) -> Parts:
        """Shape, weights, vocabulary."""
        arrays = {name: value.numpy() for name, value in self.net.state_dict().items()}
        return Parts({"shape": self.net.shape.as_dict()}, arrays, {"posts": self.vocabulary.names})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`."""
        net = SasrecNet(NetShape(**parts.config["shape"]))
        net.load_state_dict({name: torch.from_numpy(value) for name, value in parts.arrays.items()})
        return cls(net, parts.vocabularies["posts"])


class Sasrec:
    """The sequential model on its own: personal part plus the learned prior."""

    name: ClassVar[str] = "sasrec"

    def __init__(self, signal: SasrecSignal) -> None:
        self.signal = signal

    @cached_property
    def _prior(self) -> npt.NDArray[np.float32]:
        weights: npt.NDArray[np.float32] = self.signal.net.prior.detach().numpy()
        return weights

    def score(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]."""
        prior = view.memo(f"sasrec/{id(self)}/prior", lambda: prior_features(view) @ self._prior)
        return self.signal.value(view, users, columns) + picked(prior, columns)

    def blame(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Blame:
        """All of it is about the order of posts; what they say is in their vectors, and not told apart."""
        now = self.signal.value(view, users, columns)[events.row]
        whole = now - self.signal.without(view, users, columns, events)
        return Blame(whole, np.zeros_like(whole))

    def parts(self) -> Parts:
        """Those of the signal."""
        return self.signal.parts()

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`."""
        return cls(SasrecSignal.from_parts(parts))

"""What the blend looks at: a few dozen numbers of a post, and of a user and a post, at an instant.

Every feature is finite, zero where its source is missing (no author, no topics, no impressions), and computed
from one user and one post alone. Logarithms are taken above a floor: what nobody has looked at for long is simply dead.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import Ints
from training.recommender.models.base import Events, picked, removed
from training.recommender.models.popularity import Popularity
from training.recommender.state import ACTIVITY_HALF_LIVES_H, HALF_LIVES_H, SHOWN_HALF_LIVES_H
from training.recommender.view import FeedView, UserBatch

Rows = npt.NDArray[np.float32]
T = TypeVar("T")

FLOOR = float(np.log(0.1))
BIRTH = 3.0
"""How many actions a post's own creation counts as in its popularity: 1 and 10 were no better on three feeds."""
FRESH_H = (0.25, 1.0, 6.0, 24.0, 168.0)
_SMOOTH = 5.0
_HOUR = 3600.0


def _above_floor(log_value: npt.NDArray) -> npt.NDArray[np.float64]:
    return np.asarray(np.logaddexp(log_value, FLOOR) - FLOOR, dtype=np.float64)


POST_FEATURES: tuple[str, ...] = (
    *(f"popularity_{h:g}h" for h in HALF_LIVES_H),
    *(f"activity_{h:g}h" for h in ACTIVITY_HALF_LIVES_H),
    *(f"shown_{h:g}h" for h in SHOWN_HALF_LIVES_H),
    "disliked_168h",
    *(f"fresh_{h:g}h" for h in FRESH_H),
    "log_age_h",
    "log_users",
    "author_reach",
    "community_pulse",
)


def post_features(view: FeedView) -> Rows:
    """[n_items, POST_FEATURES], the same for every user; kept with the view."""

    def build() -> Rows:
        age_h = view.age / _HOUR
        columns = [
            *(_above_floor(Popularity(h, BIRTH).posts(view)) for h in HALF_LIVES_H),
            *_above_floor(view.log_activity).T,
            *_above_floor(view.log_shown).T,
            *_above_floor(view.log_dislikes).T,
            *(np.exp2(-age_h / h) for h in FRESH_H),
            np.log(age_h),
            np.log1p(view.item_users),
            _mean_by(view.content[:, 0], view.item_users.astype(np.float64)),
            _mean_by(view.content[:, 2], np.exp(view.log_popularity[:, HALF_LIVES_H.index(24.0)])),
        ]
        return np.stack(columns, axis=1).astype(np.float32)

    return view.memo("features/post", build)


def _mean_by(code: npt.NDArray, value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """log(1 + mean of `value` over the posts of the same code, shrunk towards none); 0 for code 0."""
    total = np.bincount(code, value)
    mean = np.log1p(total / (np.bincount(code) + 1.0)) if len(total) else total
    if len(mean):
        mean[0] = 0.0
    return mean[code]


_BOOKS = {"author": slice(0, 1), "lang": slice(1, 2), "community": slice(2, 3), "topic": slice(3, None)}
"""Columns of a view's content, by what they hold."""


class _Labels(NamedTuple):
    """The labels of one kind that some posts have: the codes that matter, and where each post has them."""

    wanted: npt.NDArray
    """[m] codes, ascending; code 0 (none) is the first."""
    places: list[npt.NDArray]
    """Each [posts] places among `wanted`: one for every column of the content that names any."""
    share: Rows
    """[posts] one over the number of labels of a post, 1 where it has none."""

    @classmethod
    def of(cls, wanted: npt.NDArray, places: list[npt.NDArray], posts: int) -> "_Labels":
        """With the shares of `posts` posts."""
        named = sum(((place > 0).astype(np.float32) for place in places), np.zeros(posts, dtype=np.float32))
        return cls(wanted, places, np.asarray(1.0 / np.maximum(named, 1.0), dtype=np.float32))

    def spread(self, table: Rows) -> Rows:
        """[users, posts]: mean of a [users, m] table over each post's labels, zero where it has none."""
        if not self.places:
            return np.zeros((len(table), len(self.share)), dtype=np.float32)
        out = np.take(table, self.places[0], axis=1)
        for place in self.places[1:]:
            out += np.take(table, place, axis=1)
        if len(self.places) > 1:
            out *= self.share
        return out


class _Groups(NamedTuple):
    """Posts that are alike but for the author: what is looked up by their other labels is summed once a group."""

    of_post: Ints
    """[n_items] the group of each."""
    labels: dict[str, _Labels]
    """Of the groups."""

    @classmethod
    def of(cls, look: "Look") -> "_Groups | None":
        """None where there are more groups than half of the posts."""
        content = look.view.content[:, 1:]
        _, first, group = np.unique(content, axis=0, return_index=True, return_inverse=True)
        if 2 * len(first) > len(content):
            return None
        kinds = ("lang", "community", "topic")
        labels = {kind: look.labels(kind) for kind in kinds}
        picked_labels = {
            kind: _Labels.of(found.wanted, [place[first] for place in found.places], len(first))
            for kind, found in labels.items()
        }
        return cls(group.ravel(), picked_labels)


@dataclass
class Look:
    """What the user features share: the posts asked for, and the labels, lengths and tallies of the histories."""

    view: FeedView
    users: UserBatch
    columns: Ints | None
    _memo: dict[str, Any] = field(default_factory=dict)

    def memo(self, key: str, build: Callable[[], T]) -> T:
        """What `build` gave the first time; kept with the view where it is the same for every request."""
        if key not in self._memo:
            self._memo[key] = build()
        return cast(T, self._memo[key])

    @property
    def posts(self) -> int:
        """How many posts are asked for."""
        return self.view.n_items if self.columns is None else len(self.columns)

    @property
    def n_past(self) -> npt.NDArray[np.float64]:
        """[users] events in the history."""
        return self.memo("n_past", lambda: (self.users.item >= 0).sum(axis=1).astype(np.float64))

    def book(self, kind: str) -> int:
        """How many codes there are of a kind."""
        state = self.view.state
        books = {"author": state.authors, "lang": state.langs, "community": state.communities}
        return len(books.get(kind, state.topics))

    def labels(self, kind: str) -> _Labels:
        """Of the posts asked for."""
        keeper = self.view if self.columns is None else self
        return keeper.memo(f"features/labels/{kind}", lambda: self._labels(kind))

    def _labels(self, kind: str) -> _Labels:
        content = picked(self.view.content[:, _BOOKS[kind]].T, self.columns)
        used = [np.ascontiguousarray(column) for column in content if column.any()]
        if self.columns is None:
            return _Labels.of(np.arange(self.book(kind)), used, self.posts)
        wanted, place = np.unique(np.concatenate([np.zeros(1, np.int32), *used]), return_inverse=True)
        return _Labels.of(wanted, list(place[1:].reshape(len(used), self.posts)), self.posts)

    def groups(self) -> "_Groups | None":
        """Of all posts of the view; None where only some are asked for, or few are alike."""
        if self.columns is not None:
            return None
        return self.view.memo("features/groups", lambda: _Groups.of(self))

    def tally(self, kind: str, past: str) -> tuple[npt.NDArray, npt.NDArray]:
        """[users, m] how often each label occurs in `item` or `disliked` of the users, and [users] how many do at all.

        "None" is not counted.
        """
        return self.memo(f"tally/{kind}/{past}", lambda: self._tally(kind, getattr(self.users, past)))

    def _tally(self, kind: str, past: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray]:
        user, slot = np.nonzero(past >= 0)
        code = self.view.content[past[user, slot], _BOOKS[kind]]
        wanted = self.labels(kind).wanted
        # Labels that nobody asked about are counted as "none", which is then set to zero.
        place = np.zeros(self.book(kind), dtype=np.int64)
        place[wanted] = np.arange(len(wanted))
        flat = place[code] + len(wanted) * user[:, None]
        out = np.bincount(flat.ravel(), minlength=len(wanted) * len(past)).reshape(len(past), -1)
        out[:, 0] = 0
        total = np.bincount(user, (code > 0).sum(axis=1), minlength=len(past))
        return out.astype(np.float64), total

    def without(self, events: Events) -> "Look":
        """The same for each event's user had it, and it alone, not happened: its labels are taken off the tallies."""
        then = Look(self.view, removed(self.users, events), self.columns)
        code = self.view.content[self.users.item[events]]
        for kind, columns in _BOOKS.items():
            labels = self.labels(kind)
            (before, total), own = self.tally(kind, "item"), code[:, columns]
            tally = before[events.row]
            place = np.minimum(np.searchsorted(labels.wanted, own), len(labels.wanted) - 1)
            event, at = np.nonzero((own > 0) & (labels.wanted[place] == own))
            np.subtract.at(tally, (event, place[event, at]), 1.0)
            then._memo[f"tally/{kind}/item"] = tally, total[events.row] - (own > 0).sum(axis=1)
            then._memo[f"features/labels/{kind}"] = labels
        return then

    def post(self, name: str) -> Rows:
        """[posts] one of POST_FEATURES."""
        index = POST_FEATURES.index(name)
        column = self.view.memo(
            f"features/{name}", lambda: np.ascontiguousarray(post_features(self.view)[:, index])
        )
        return picked(column, self.columns)


@dataclass(frozen=True)
class ByLabel:
    """A feature that is the mean of a number of the user's for each label of a kind that the post has."""

    kind: str
    table: Callable[[Look, str], npt.NDArray]
    """[users, m], given the kind."""

    def __call__(self, look: Look) -> Rows:
        """[users, posts]."""
        return look.labels(self.kind).spread(self.table(look, self.kind).astype(np.float32))


@dataclass(frozen=True)
class ByPost:
    """A feature that is a number of the user's times a number of the post's."""

    user: Callable[[Look], npt.NDArray]
    post: str
    origin: float = 0.0

    def __call__(self, look: Look) -> Rows:
        """[users, posts]."""
        return self.user(look).astype(np.float32)[:, None] * (look.post(self.post) - np.float32(self.origin))


def _count(look: Look, kind: str) -> npt.NDArray[np.float64]:
    return np.log1p(look.tally(kind, "item")[0])


def _disliked(look: Look, kind: str) -> npt.NDArray[np.float64]:
    return np.log1p(look.tally(kind, "disliked")[0])


def _lift(look: Look, kind: str) -> npt.NDArray[np.float64]:
    """log of (share of a label in the user's history, smoothed) over its share among all posts."""

    def build() -> npt.NDArray[np.float64]:
        counts = np.bincount(look.view.content[:, _BOOKS[kind]].ravel(), minlength=look.book(kind)) + 1.0
        return counts / counts.sum()

    tally, total = look.tally(kind, "item")
    overall = look.view.memo(f"features/share/{kind}", build)[look.labels(kind).wanted]
    lift = np.log((tally + _SMOOTH * overall) / (total[:, None] + _SMOOTH) / np.maximum(overall, 1e-12))
    lift[:, 0] = 0.0
    return lift


def _habit(look: Look) -> npt.NDArray[np.float64]:
    """[users]: mean log age (hours) at which the user acts on posts, smoothed towards e hours."""

    def build() -> npt.NDArray[np.float64]:
        users = look.users
        age = np.maximum(users.t - look.view.created[np.maximum(users.item, 0)], 60.0) / _HOUR
        total = np.where(users.item >= 0, np.log(age), 0.0).sum(axis=1)
        return (total + 3.0) / (look.n_past + 3.0)

    return look.memo("habit", build)


def _habit_distance(look: Look) -> Rows:
    out = look.post("log_age_h")[None, :] - _habit(look).astype(np.float32)[:, None]
    np.abs(out, out=out)
    out *= -np.log1p(look.n_past).astype(np.float32)[:, None]
    return out


def _busy(look: Look) -> npt.NDArray[np.float64]:
    return np.log1p(look.users.n_acted) - 1.0


def _shown_before(look: Look) -> Rows:
    """log(1 + how often the post was lately shown to the user)."""
    out = np.zeros((len(look.users), look.view.n_items), dtype=np.float32)
    user, slot = np.nonzero((look.users.shown >= 0) & (look.users.shown < look.view.n_items))
    at = (user, look.users.shown[user, slot])
    np.add.at(out, at, 1.0)
    # An index may come twice: its logarithm is taken of what was counted, not of a logarithm.
    out[at] = np.log1p(out[at])
    return picked(out, look.columns)


USER_FEATURES: dict[str, Callable[[Look], Rows]] = {
    "author": ByLabel("author", _count),
    "disliked_author": ByLabel("author", _disliked),
    "language": ByLabel("lang", _lift),
    "community": ByLabel("community", _lift),
    "topics": ByLabel("topic", _lift),
    "disliked_topics": ByLabel("topic", _disliked),
    "habit_age": ByPost(lambda look: _habit(look) - 1.0, "log_age_h", 3.0),
    "habit_distance": _habit_distance,
    "busy_age": ByPost(_busy, "log_age_h", 3.0),
    "busy_popularity": ByPost(_busy, "popularity_1h"),
    "shown_before": _shown_before,
}
CONTENT_FEATURES = ("author", "language", "community", "topics")
"""Those by which a post of the history makes posts of like content rise."""


_OF_HISTORY = (*CONTENT_FEATURES, "habit_age", "habit_distance")
"""The features that look at the history: an event removed from it changes no other one."""


def lost(look: Look, events: Events, then: Look, weights: Mapping[str, float]) -> Rows:
    """[events, posts]: how far the sum of weight * feature falls; `then` is `look.without(events)`."""
    out = np.zeros((len(events.row), look.posts), dtype=np.float32)
    for name in (name for name in _OF_HISTORY if name in weights):
        feature, weight = USER_FEATURES[name], weights[name]
        if isinstance(feature, ByLabel):
            now = feature.table(look, feature.kind)[events.row]
            fall = (weight * (now - feature.table(then, feature.kind))).astype(np.float32)
            out += look.labels(feature.kind).spread(fall)
        else:
            out += np.float32(weight) * (feature(look)[events.row] - feature(then))
    return out


def add_weighted(out: Rows, look: Look, weights: Mapping[str, float]) -> None:
    """Add weight * feature to `out` [users, posts]; numbers that are looked up by the same labels are summed first."""
    tables: dict[str, npt.NDArray] = {}
    for name, weight in weights.items():
        feature = USER_FEATURES[name]
        if isinstance(feature, ByLabel):
            table = weight * feature.table(look, feature.kind)
            tables[feature.kind] = table + tables.get(feature.kind, np.float64(0.0))
        else:
            value = feature(look)
            value *= np.float32(weight)
            out += value
    groups = look.groups()
    alike = None
    for kind, summed in tables.items():
        rows: Rows = summed.astype(np.float32)
        if groups is None or kind not in groups.labels:
            out += look.labels(kind).spread(rows)
        else:
            part = groups.labels[kind].spread(rows)
            alike = part if alike is None else alike + part
    if groups is not None and alike is not None:
        out += np.take(alike, groups.of_post, axis=1)

"""What the blend looks at: a few dozen numbers of a post, and of a user and a post, at an instant.

Every feature is finite, zero where its source is missing (no author, no topics, no impressions), and computed
from one user and one post alone. Logarithms are taken above a floor: what nobody has looked at for long is simply dead.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import Ints
from training.recommender.models.base import picked
from training.recommender.models.popularity import Popularity
from training.recommender.state import ACTIVITY_HALF_LIVES_H, HALF_LIVES_H, SHOWN_HALF_LIVES_H
from training.recommender.view import FeedView, UserBatch

Rows = npt.NDArray[np.float32]

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


class _Look(NamedTuple):
    """What the user features share: the view's columns asked for, and the histories' content and weights."""

    view: FeedView
    users: UserBatch
    columns: Ints | None
    present: npt.NDArray[np.bool_]
    n_past: npt.NDArray[np.float64]

    def content(self, column: int) -> npt.NDArray:
        picked_content = self.view.memo(
            f"features/content/{column}", lambda: np.ascontiguousarray(self.view.content[:, column])
        )
        return picked(picked_content, self.columns)

    def post(self, name: str) -> Rows:
        index = POST_FEATURES.index(name)
        column = self.view.memo(
            f"features/{name}", lambda: np.ascontiguousarray(post_features(self.view)[:, index])
        )
        return picked(column, self.columns)


def _tally(look: _Look, column: int, items: npt.NDArray, size: int) -> npt.NDArray[np.float64]:
    """[users, size]: how often each code of a content column occurs among `items` [users, h]; code 0 counts nothing."""
    code = np.where(items >= 0, look.view.content[np.maximum(items, 0), column], 0)
    flat = code + size * np.arange(len(items))[:, None]
    out = np.bincount(flat.ravel(), minlength=size * len(items)).reshape(len(items), size).astype(np.float64)
    out[:, 0] = 0.0
    return out


def _lift(tally: npt.NDArray[np.float64], overall: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """log of (share of a code in the user's history, smoothed) over its share among all posts."""
    total = tally.sum(axis=1, keepdims=True)
    lift = np.log((tally + _SMOOTH * overall) / (total + _SMOOTH) / np.maximum(overall, 1e-12))
    lift[:, 0] = 0.0
    return lift


def _overall(look: _Look, columns: slice, size: int, key: str) -> npt.NDArray[np.float64]:
    def build() -> npt.NDArray[np.float64]:
        counts = np.bincount(look.view.content[:, columns].ravel(), minlength=size) + 1.0
        return counts / counts.sum()

    return look.view.memo(f"features/share/{key}", build)


def _author(look: _Look) -> npt.NDArray:
    tally = _tally(look, 0, look.users.item, len(look.view.state.authors))
    return np.log1p(tally).astype(np.float32)[:, look.content(0)]


def _disliked_author(look: _Look) -> npt.NDArray:
    tally = _tally(look, 0, look.users.disliked, len(look.view.state.authors))
    return np.log1p(tally).astype(np.float32)[:, look.content(0)]


def _language(look: _Look) -> npt.NDArray:
    size = len(look.view.state.langs)
    lift = _lift(_tally(look, 1, look.users.item, size), _overall(look, slice(1, 2), size, "lang"))
    return lift.astype(np.float32)[:, look.content(1)]


def _community(look: _Look) -> npt.NDArray:
    size = len(look.view.state.communities)
    lift = _lift(_tally(look, 2, look.users.item, size), _overall(look, slice(2, 3), size, "community"))
    return lift.astype(np.float32)[:, look.content(2)]


def _topic_mean(look: _Look, table: Rows) -> npt.NDArray:
    """[users, posts]: mean of a [users, topics] table over each post's topics."""
    columns = range(3, look.view.content.shape[1])
    named = sum((look.content(column) > 0).astype(np.float32) for column in columns)
    total = sum(table[:, look.content(column)] for column in columns)
    return np.asarray(total / np.maximum(named, 1.0))


def _topics(look: _Look) -> npt.NDArray:
    size = len(look.view.state.topics)
    columns = range(3, look.view.content.shape[1])
    tally = sum((_tally(look, column, look.users.item, size) for column in columns), np.zeros(1))
    return _topic_mean(look, _lift(tally, _overall(look, slice(3, None), size, "topics")).astype(np.float32))


def _disliked_topics(look: _Look) -> npt.NDArray:
    size = len(look.view.state.topics)
    columns = range(3, look.view.content.shape[1])
    tally = sum((_tally(look, column, look.users.disliked, size) for column in columns), np.zeros(1))
    return _topic_mean(look, np.log1p(tally).astype(np.float32))


def _habit(look: _Look) -> npt.NDArray[np.float32]:
    """[users, 1]: mean log age (hours) at which the user acts on posts, smoothed towards e hours."""
    age = np.maximum(look.users.t - look.view.created[np.maximum(look.users.item, 0)], 60.0) / _HOUR
    total = np.where(look.present, np.log(age), 0.0).sum(axis=1)
    return ((total + 3.0) / (look.n_past + 3.0)).astype(np.float32)[:, None]


def _habit_distance(look: _Look) -> npt.NDArray:
    distance = np.abs(look.post("log_age_h")[None, :] - _habit(look))
    return -distance * np.log1p(look.n_past).astype(np.float32)[:, None]


def _habit_age(look: _Look) -> npt.NDArray:
    return (_habit(look) - 1.0) * (look.post("log_age_h") - 3.0)[None, :]


def _busy_age(look: _Look) -> npt.NDArray:
    return _busy(look) * (look.post("log_age_h") - 3.0)[None, :]


def _busy_popularity(look: _Look) -> npt.NDArray:
    return _busy(look) * look.post("popularity_1h")[None, :]


def _busy(look: _Look) -> npt.NDArray[np.float32]:
    return (np.log1p(look.users.n_acted) - 1.0).astype(np.float32)[:, None]


def _shown_before(look: _Look) -> npt.NDArray:
    """log(1 + how often the post was lately shown to the user)."""
    out = np.zeros((len(look.users), look.view.n_items), dtype=np.float32)
    user, place = np.nonzero((look.users.shown >= 0) & (look.users.shown < look.view.n_items))
    np.add.at(out, (user, look.users.shown[user, place]), 1.0)
    return picked(np.log1p(out), look.columns)


USER_FEATURES: dict[str, Callable[[_Look], npt.NDArray]] = {
    "author": _author,
    "disliked_author": _disliked_author,
    "language": _language,
    "community": _community,
    "topics": _topics,
    "disliked_topics": _disliked_topics,
    "habit_age": _habit_age,
    "habit_distance": _habit_distance,
    "busy_age": _busy_age,
    "busy_popularity": _busy_popularity,
    "shown_before": _shown_before,
}
CONTENT_FEATURES = ("author", "language", "community", "topics")
"""Those by which a post of the history makes posts of like content rise."""


def look_at(view: FeedView, users: UserBatch, columns: Ints | None = None) -> _Look:
    """Shared inputs of the user features; call `USER_FEATURES[name](look)` for [users, posts]."""
    present = users.item >= 0
    return _Look(view, users, columns, present, present.sum(axis=1).astype(np.float64))

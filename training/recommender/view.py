"""The state at one instant, and users as the models see them.

A view holds what depends on posts alone (popularity, age, content) and is built once a refresh; models keep what they
derive from it in `memo`. A batch of users holds one row a user; no row is computed from another one, so a score does
not depend on the batch (up to the rounding of matrix products).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from training.recommender.actions import meaning
from training.recommender.arrays import ABSENT, Ints
from training.recommender.data import Floats
from training.recommender.feed.messages import ContextEvent
from training.recommender.state import FeedState

T = TypeVar("T")
Int32s = npt.NDArray[np.int32]

_ARRAYS = ("code", "own_author", "n_acted", "item", "t", "weight", "shown", "disliked")
_LISTS = ("ids", "acted", "hidden")
MIN_AGE_S = 60.0
"""Ages are counted from one minute up: the order of posts younger than that is noise."""


@dataclass(frozen=True)
class UserBatch:
    """Users to score for. Histories are [users, HISTORY], oldest first, right-aligned, item -1 where absent."""

    ids: list[str]
    code: Ints
    own_author: Ints
    n_acted: Ints
    item: Int32s
    t: Floats
    weight: npt.NDArray[np.float32]
    shown: Int32s
    disliked: Int32s
    acted: list[Ints]
    hidden: list[dict[int, float]]
    """Items hidden or reported, and how much (a positive weight)."""
    _memo: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.code)

    def memo(self, key: str, build: Callable[[], T]) -> T:
        """What `build` gave the first time it was asked for under `key` for this batch."""
        if key not in self._memo:
            self._memo[key] = build()
        return cast(T, self._memo[key])

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """[users] whether anything is known of a user."""
        return np.asarray((self.item >= 0).any(axis=1))

    def take(self, rows: Ints) -> "UserBatch":
        """The users of `rows`, each as often as named there: a copy."""
        taken: dict[str, Any] = {name: getattr(self, name)[rows] for name in _ARRAYS}
        for name in _LISTS:
            column = getattr(self, name)
            taken[name] = [column[row] for row in rows.tolist()]
        return UserBatch(**taken)

    def one(self, row: int) -> "UserBatch":
        """The user of one row, on the same arrays."""
        return UserBatch(**{name: getattr(self, name)[row : row + 1] for name in (*_ARRAYS, *_LISTS)})


@dataclass
class FeedView:
    """Frozen at `now`: the first `n_items` posts of the state, [n_items] or [n_items, ...] a column."""

    state: FeedState
    now: float
    n_items: int
    created: Floats
    deleted: Floats
    content: Int32s
    item_users: Ints
    log_popularity: Floats
    log_activity: Floats
    log_shown: Floats
    log_dislikes: Floats
    _memo: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, state: FeedState, now: float | None = None) -> "FeedView":
        """The state at `now` (seconds), by default its own clock: the newest event it has seen."""
        with state.lock:
            n = len(state.items)
            at = state.clock if now is None else now
            return cls(
                state=state,
                now=at,
                n_items=n,
                created=state.created[:n].copy(),
                deleted=state.deleted[:n].copy(),
                content=state.content[:n],
                item_users=state.item_users[:n].copy(),
                log_popularity=state.popularity.log(n, at),
                log_activity=state.activity.log(n, at),
                log_shown=state.shown.log(n, at),
                log_dislikes=state.dislikes.log(n, at),
            )

    @property
    def age(self) -> Floats:
        """[n_items] seconds since a post was made or first seen, at least MIN_AGE_S."""
        return self.memo("age", lambda: np.maximum(self.now - self.created, MIN_AGE_S))

    def label(self, column: int) -> Int32s:
        """[n_items] one column of the content, in one piece: read through several times a request."""
        return self.memo(f"label/{column}", lambda: np.ascontiguousarray(self.content[:, column]))

    def memo(self, key: str, build: Callable[[], T]) -> T:
        """What `build` gave the first time it was asked for under `key` in this view."""
        if key not in self._memo:
            self._memo[key] = build()
        return cast(T, self._memo[key])

    def users(
        self, user_ids: Sequence[str], context: Sequence[Sequence[ContextEvent]] | None = None
    ) -> UserBatch:
        """A batch of users by id, with the events each request brings along appended to the histories."""
        state = self.state
        with state.lock:
            code = state.users.lookup(user_ids)
            past = state.history.read(code)
            shown = state.impressions.read(code)["item"]
            disliked = state.disliked.read(code)["item"]
            acted = [np.array([*state.acted[c]] if c >= 0 else [], dtype=np.int64) for c in code.tolist()]
            hidden = [dict(state.hidden[c]) if c >= 0 else {} for c in code.tolist()]
            n_acted = np.array([len(items) for items in acted], dtype=np.int64)
            own = state.authors.lookup(user_ids)
        own[own == 0] = ABSENT
        for row, events in enumerate(context or ()):
            self._append(row, events, past, disliked, acted, hidden, n_acted)
        return UserBatch(
            ids=list(user_ids),
            code=code,
            own_author=own,
            n_acted=n_acted,
            item=np.where(past["item"] < self.n_items, past["item"], ABSENT),
            t=past["t"],
            weight=past["weight"],
            shown=shown,
            disliked=np.where(disliked < self.n_items, disliked, ABSENT),
            acted=[items[items < self.n_items] for items in acted],
            hidden=[{i: weight for i, weight in items.items() if i < self.n_items} for items in hidden],
        )

    def _append(
        self,
        row: int,
        events: Sequence[ContextEvent],
        past: dict[str, npt.NDArray],
        disliked: Int32s,
        acted: list[Ints],
        hidden: list[dict[int, float]],
        n_acted: Ints,
    ) -> None:
        """Put a request's own events at the end of one user's history; posts nobody knows are passed over."""
        for event in sorted(events, key=lambda event: event.t):
            item, means = self.state.item_of(event.post_id), meaning(event.action)
            if item < 0 or item in acted[row]:
                continue
            if means.negative:
                hidden[row][item] = max(-means.weight, hidden[row].get(item, 0.0))
                disliked[row] = np.append(disliked[row][1:], item)
            elif means.positive:
                acted[row] = np.append(acted[row], item)
                n_acted[row] += 1
                for name, value in (("item", item), ("t", event.t), ("weight", means.weight)):
                    past[name][row] = np.append(past[name][row][1:], value)

    def forbidden(self, users: UserBatch, seen: bool = True) -> npt.NDArray[np.bool_]:
        """[users, n_items]: what must not be recommended: hidden, own, deleted by now, and (`seen`) acted on before."""
        out = self.content[:, 0][None, :] == users.own_author[:, None]
        out |= (self.deleted <= self.now)[None, :]
        for row, disliked in enumerate(users.hidden):
            out[row, list(disliked)] = True
        for row, items in enumerate(users.acted if seen else ()):
            out[row, items] = True
        return out

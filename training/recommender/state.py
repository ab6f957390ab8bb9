"""The feed's state: what has happened so far, kept up to date one event or one batch at a time.

Offline evaluation and serving use this one class, so a model sees the same numbers in both. The state knows only what
it was given: replay hands it the events before `t`, serving the events as they come. A view freezes what depends on
the posts (popularity, age); histories are read live, so that a user's last event counts at once.
"""

import threading
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from training.recommender.actions import meaning
from training.recommender.arrays import ABSENT, Codes, DecayedCounts, Ints, Rings, grown
from training.recommender.data import (
    ANONYMOUS,
    EventLog,
    Floats,
    Objects,
    PostLog,
    read_events,
    read_languages,
    read_posts,
    read_roots,
)
from training.recommender.terms import Terms

HALF_LIVES_H = (0.25, 1.0, 6.0, 24.0, 72.0, 168.0, 720.0)
"""Half-lives of the popularity of a post, hours."""
ACTIVITY_HALF_LIVES_H = (6.0, 72.0)
"""Half-lives of all activity on a post: repeated, the author's own and anonymous events too."""
SHOWN_HALF_LIVES_H = (6.0, 72.0)
"""Half-lives of how often a post was shown."""
HISTORY = 50
"""Positive events remembered for a user, newest kept."""
FANS = 100
"""Users remembered for a post (those who acted on it last)."""
SHOWN = 64
"""Posts lately shown to a user that are remembered."""
DISLIKED = 16
"""Posts lately hidden or reported by a user that are remembered for what they have in common."""
NO_TERMS = np.zeros(0, dtype=np.uint16)
TOPICS = 4
"""Topics of a post that count."""
DAY_S = 86_400.0


class FeedState:
    """Counts, recency, co-occurrence and histories. Methods may be called from several threads."""

    def __init__(self) -> None:
        self.items, self.users = Codes(), Codes()
        self.authors, self.langs = Codes(none=True), Codes(none=True)
        self.communities, self.topics = Codes(none=True), Codes(none=True)
        self.created = np.zeros(0)
        self.deleted = np.zeros(0)
        self.content = np.zeros((0, 3 + TOPICS), dtype=np.int32)  # author, lang, community, topics
        self.terms: list[Terms] = []
        self.item_users = np.zeros(0, dtype=np.int64)
        self.user_items = np.zeros(0, dtype=np.int64)
        self.popularity = DecayedCounts(HALF_LIVES_H)
        self.activity = DecayedCounts(ACTIVITY_HALF_LIVES_H)
        self.shown = DecayedCounts(SHOWN_HALF_LIVES_H)
        self.dislikes = DecayedCounts((168.0,))
        code = (np.int32, ABSENT)
        self.history = Rings(HISTORY, {"item": code, "t": (np.float64, 0.0), "weight": (np.float32, 0.0)})
        self.fans = Rings(FANS, {"user": code})
        self.impressions = Rings(SHOWN, {"item": code})
        self.disliked = Rings(DISLIKED, {"item": code})
        self.acted: list[set[int]] = []
        self.hidden: list[dict[int, float]] = []
        """Items hidden or reported by a user, and how much (the weight of the strongest such action, positive)."""
        self.stated_language: dict[str, str] = {}
        """What the profiles of users say that they read."""
        self.clock = -np.inf
        self._roots: dict[str, str] = {}
        self.lock = threading.RLock()

    @classmethod
    def from_tables(
        cls,
        interactions: pa.Table,
        posts: pa.Table,
        until: float | None = None,
        users: pa.Table | None = None,
    ) -> Self:
        """State after all events and posts before `until` (seconds; None: all of them), `users` for their languages.

        Raises UserError for a missing column, NotEnoughDataError for an empty table of interactions.
        """
        state = cls()
        events, roots = read_events(interactions), read_posts(posts)
        stop = np.inf if until is None else until
        state.add_posts(roots.rows(slice(0, int(np.searchsorted(roots.t, stop)))))
        state.extend(events.rows(slice(0, int(np.searchsorted(events.t, stop)))))
        state._roots = read_roots(posts)
        if users is not None:
            state.stated_language = read_languages(users)
        return state

    def add_posts(self, posts: PostLog) -> None:
        """Make posts known, or fill in the content of those first seen by an event."""
        with self.lock:
            codes = self.items.add(posts.item)
            self._reserve_items()
            self.created[codes] = np.minimum(self.created[codes], posts.t)
            self.deleted[codes] = posts.deleted
            self.content[codes, 0] = self.authors.add(posts.author)
            self.content[codes, 1] = self.langs.add(posts.lang)
            self.content[codes, 2] = self.communities.add(posts.community)
            wide = [tuple(topics)[:TOPICS] + (None,) * (TOPICS - len(topics)) for topics in posts.topics]
            flat = self.topics.add([topic for row in wide for topic in row])
            self.content[codes, 3:] = flat.reshape(len(codes), TOPICS)
            for code, terms in zip(codes.tolist(), posts.terms, strict=True):
                self.terms[code] = terms

    def extend(self, events: EventLog) -> None:
        """Take in a batch of events, oldest first."""
        if len(events) == 0:
            return
        with self.lock:
            self.clock = max(self.clock, float(events.t.max()))
            items = self._known_items(events.item, events.t)
            named = events.user != ANONYMOUS
            users = np.full(len(events), ABSENT, dtype=np.int64)
            users[named] = self.users.add(events.user[named])
            self._reserve_users()
            first = self._first_time(users, items, events.positive)
            self._count(events, items, first)
            self._remember(events, users, items, first & named)

    def observe(
        self, user_id: str, post_id: str, action: str, occurred_at: float, value: float | None = None
    ) -> None:
        """Take in one live event (`occurred_at` in seconds). Raises ValueError for an unknown action."""
        means = meaning(action, value)
        item = self._roots.get(post_id, post_id)
        code = self.items.get(item)
        author = self.authors.names[self.content[code, 0]] if code >= 0 else None
        self.extend(
            EventLog(
                t=np.array([occurred_at], dtype=np.float64),
                user=np.array([user_id], dtype=object),
                item=np.array([item], dtype=object),
                weight=np.array([means.weight]),
                positive=np.array([means.positive]),
                negative=np.array([means.negative]),
                impression=np.array([means.impression]),
                own=np.array([author == user_id]),
            )
        )

    def item_of(self, post_id: str) -> int:
        """Code of the thread that `post_id` belongs to, -1 when unknown."""
        return self.items.get(self._roots.get(post_id, post_id))

    def _known_items(self, names: Objects, t: Floats) -> Ints:
        codes = self.items.add(names)
        self._reserve_items()
        np.minimum.at(self.created, codes, t)
        return codes

    def _reserve_items(self) -> None:
        rows = len(self.items)
        self.created = grown(self.created, rows, np.inf)
        self.deleted = grown(self.deleted, rows, np.inf)
        self.content = grown(self.content, rows, 0)
        self.terms.extend([NO_TERMS] * (rows - len(self.terms)))
        self.item_users = grown(self.item_users, rows, 0)
        for part in (self.popularity, self.activity, self.shown, self.dislikes, self.fans):
            part.reserve(rows)

    def _reserve_users(self) -> None:
        rows = len(self.users)
        self.user_items = grown(self.user_items, rows, 0)
        for part in (self.history, self.impressions, self.disliked):
            part.reserve(rows)
        while len(self.acted) < rows:
            self.acted.append(set())
            self.hidden.append({})

    def _first_time(self, users: Ints, items: Ints, positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which positive events are the first of their (user, item); every anonymous one is."""
        first = positive.copy()
        for row in np.flatnonzero(positive & (users >= 0)).tolist():
            acted, item = self.acted[users[row]], int(items[row])
            if item in acted:
                first[row] = False
            else:
                acted.add(item)
        return first

    def _count(self, events: EventLog, items: Ints, first: npt.NDArray[np.bool_]) -> None:
        one = np.ones(len(events))
        active = events.weight > 0
        for counts, which in (
            (self.popularity, first),
            (self.activity, active),
            (self.shown, events.impression),
            (self.dislikes, events.negative),
        ):
            counts.add(items[which], events.t[which], one[which])

    def _remember(self, events: EventLog, users: Ints, items: Ints, first: npt.NDArray[np.bool_]) -> None:
        self.history.push(
            users[first],
            item=items[first],
            t=events.t[first],
            weight=events.weight[first],
        )
        self.fans.push(items[first], user=users[first])
        np.add.at(self.item_users, items[first], 1)
        np.add.at(self.user_items, users[first], 1)
        shown = events.impression & (users >= 0)
        self.impressions.push(users[shown], item=items[shown])
        against = events.negative & (users >= 0)
        self.disliked.push(users[against], item=items[against])
        for user, item, weight in zip(
            users[against].tolist(), items[against].tolist(), events.weight[against].tolist(), strict=True
        ):
            self.hidden[user][item] = max(-weight, self.hidden[user].get(item, 0.0))

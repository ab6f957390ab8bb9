"""Groups of held-out events: by who acted (activity, language, region) and on what (language, community, author).

Everything that is counted (activity, sizes of authors) is counted before the event or before the window.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from training.recommender.arrays import Ints
from training.recommender.data import ANONYMOUS, Objects
from training.recommender.replay import Replay

NEW_BELOW = 5
"""A user with fewer earlier first actions than this is new."""
HEAVY_SHARE = 0.2
"""Share of users with the most actions before the window that count as heavy."""
LARGEST = 8
"""Largest communities and regions that are slices of their own; the rest is `other`."""
AUTHOR_SIZES = ((100, "large"), (10, "medium"), (0, "small"))
"""Positive actions received by an author's posts before the window, at least, and what that is called."""
UNKNOWN = "unknown"
SIZES = ("small", "medium", "large", UNKNOWN)
SLICES = ("activity", "user_language", "user_region", "lang", "community", "author_size")


@dataclass(frozen=True)
class Authors:
    """Who wrote what, and how large each author was when the window began. Authors nobody acted on are small."""

    owner: dict[str, str | None]
    reach: dict[str | None, int]

    def sizes(self, posts: Iterable[str | None]) -> Objects:
        """The size of each post's author: one of SIZES."""
        return _column(self.size(self.owner.get(str(post))) for post in posts)

    def size(self, author: str | None) -> str:
        """One of SIZES; `unknown` for None."""
        if author is None:
            return UNKNOWN
        received = self.reach.get(author, 0)
        return next(size for least, size in AUTHOR_SIZES if received >= least)


def authors_before(replay: Replay, start: float) -> Authors:
    """Authors of all posts, their sizes by what happened before `start`."""
    events, posts = replay.events, replay.posts
    owner = dict(zip(posts.item, posts.author, strict=True))
    early = events.positive & (events.t < start) & (events.user != ANONYMOUS)
    return Authors(owner, Counter(owner.get(item) for item in events.item[early]))


@dataclass(frozen=True)
class Slices:
    """For each held-out event, which value of each slice it belongs to, and a number for its user."""

    user: Ints
    values: dict[str, Objects]
    authors: Authors


def slices_of(replay: Replay, rows: Ints, start: float) -> Slices:
    """Slices of the held-out events in `rows`: a user's activity before the event, who the user is, what the post is.

    `start` is the start of the window: thresholds and author sizes are taken from before it.
    """
    events, posts = replay.events, replay.posts
    place = {name: index for index, name in enumerate(posts.item)}
    at = [place.get(item, -1) for item in events.item[rows]]
    _, user = np.unique(events.user[rows].astype(str), return_inverse=True)
    authors = authors_before(replay, start)
    people = [replay.profiles.get(name, (None, None)) for name in events.user[rows]]
    return Slices(
        user,
        {
            "activity": _activity(replay, rows, start),
            "user_language": _column(language or UNKNOWN for _, language in people),
            "user_region": _largest(_column(region or UNKNOWN for region, _ in people)),
            "lang": _named(posts.lang, at, "und"),
            "community": _largest(_named(posts.community, at, "none")),
            "author_size": authors.sizes(events.item[rows]),
        },
        authors,
    )


def _column(values: Iterable[str]) -> Objects:
    listed = list(values)
    out = np.empty(len(listed), dtype=object)
    out[:] = listed
    return out


def _named(column: Objects, at: list[int], missing: str) -> Objects:
    return _column(missing if index < 0 or column[index] is None else column[index] for index in at)


def _largest(values: Objects) -> Objects:
    kept = {name for name, _ in Counter(values.tolist()).most_common(LARGEST)}
    return _column(name if name in kept else "other" for name in values)


def _activity(replay: Replay, rows: Ints, start: float) -> Objects:
    """`new`, `light` or `heavy` by the number of first actions before the event itself."""
    events = replay.events
    heldout = replay.heldout
    before = Counter(events.user[heldout[events.t[heldout] < start]].tolist())
    heavy = max(NEW_BELOW, float(np.quantile(list(before.values()), 1 - HEAVY_SHARE)) if before else 0.0)
    seen: Counter[str] = Counter()
    wanted, out = set(rows.tolist()), []
    for row in heldout.tolist():
        user = events.user[row]
        if row in wanted:
            out.append("new" if seen[user] < NEW_BELOW else "heavy" if seen[user] >= heavy else "light")
        seen[user] += 1
    return _column(out)

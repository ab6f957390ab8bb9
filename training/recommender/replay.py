"""Rolling refresh: the past is fed to a state hour by hour, and each held-out event is met with the state before it.

Social posts live hours, so nearly every held-out post is younger than any cut of the training data. What is learned is
frozen at a cut; the state is not. A held-out event at t in [e, e + refresh) is ranked by the state of the events
before e, where e lies on a grid of `refresh` seconds since 1970.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import Ints
from training.recommender.data import (
    ANONYMOUS,
    EventLog,
    PostLog,
    RecommenderTables,
    read_events,
    read_posts,
    read_profiles,
)
from training.recommender.state import FeedState
from training.recommender.view import FeedView


@dataclass(frozen=True)
class Refresh:
    """One refresh with held-out events: `rows` index the log of the replay, all in [now, now + refresh)."""

    now: float
    view: FeedView
    rows: Ints


class Replay:
    """A table of events and posts that can be walked through in time, as often as wanted."""

    def __init__(self, tables: RecommenderTables) -> None:
        """Raises UserError for a missing column, NotEnoughDataError for no interactions."""
        self.events: EventLog = read_events(tables.interactions)
        self.posts: PostLog = read_posts(tables.posts)
        self.profiles = read_profiles(tables.users)

    @cached_property
    def heldout(self) -> Ints:
        """Rows that can be held out: a user's first positive event on a post that is not the user's own."""
        events = self.events
        rows = np.flatnonzero(events.positive & (events.user != ANONYMOUS))
        met: set[tuple[str, str]] = set()
        first = []
        for row, pair in zip(
            rows.tolist(), zip(events.user[rows], events.item[rows], strict=True), strict=True
        ):
            if pair not in met:
                met.add(pair)
                if not events.own[row]:
                    first.append(row)
        return np.array(first, dtype=np.int64)

    def rows_in(self, start: float, end: float) -> Ints:
        """Held-out rows with start <= t < end."""
        t = self.events.t[self.heldout]
        return self.heldout[(t >= start) & (t < end)]

    def state_at(self, t: float) -> FeedState:
        """A state of everything strictly before `t`."""
        state = FeedState()
        self._feed(state, -np.inf, t)
        return state

    def refreshes(self, rows: Ints, refresh_s: float, state: FeedState | None = None) -> Iterator[Refresh]:
        """Every refresh that some of `rows` (in time order) falls behind, with the state advanced to it."""
        t = self.events.t[rows]
        grid = np.floor(t / refresh_s) * refresh_s
        state = state or FeedState()
        before = -np.inf
        for start, stop in _runs(grid):
            now = float(grid[start])
            self._feed(state, before, now)
            before = now
            yield Refresh(now, FeedView.of(state, now), rows[start:stop])

    def _feed(self, state: FeedState, start: float, end: float) -> None:
        posts, events = self.posts, self.events
        state.add_posts(posts.rows(slice(*np.searchsorted(posts.t, (start, end)))))
        state.extend(events.rows(slice(*np.searchsorted(events.t, (start, end)))))


def _runs(values: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """Half-open index ranges of equal neighbours."""
    if len(values) == 0:
        return []
    cuts = np.flatnonzero(values[1:] != values[:-1]) + 1
    edges = [0, *cuts.tolist(), len(values)]
    return list(pairwise(edges))

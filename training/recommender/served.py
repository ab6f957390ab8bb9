"""A recommender in service: posts for one user, best first, and why.

What depends on posts alone is computed once a refresh, on a thread of its own; a request encodes one history and adds
it up. The user's own events count at once, because histories are read live from the state.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from training.bundle import Bundle
from training.recommender.arrays import Ints
from training.recommender.models.base import Recommender, Scores
from training.recommender.models.registry import read_model
from training.recommender.state import ContextEvent, FeedState
from training.recommender.view import FeedView, UserBatch

FALLBACK = "popularity"
"""Name of what answers a user of whom nothing is known: the model's own ranking by popularity and freshness."""
REASONS = 3
LOOK_BACK = 10
"""Latest events of the history that are tried as reasons."""
REFRESH_S = 60.0


@dataclass(frozen=True)
class Recommendation:
    """One post. Reasons name the posts whose removal from the history lowers the score most: `content:<post_id>` where
    that is mostly for what they say, who wrote them and where, `history:<post_id>` else; or `popularity` where no
    such post weighs anything."""

    post_id: str
    score: float
    reasons: list[str]


@dataclass(frozen=True)
class Ranking:
    """Posts, best first, and the name of the fallback (None: the user's history was used)."""

    items: list[Recommendation]
    fallback: str | None


class ServedRecommender:
    """A model with the view it answers from. Safe to call from several threads."""

    def __init__(self, model: Recommender, refresh_s: float = REFRESH_S) -> None:
        self.model = model
        self.refresh_s = refresh_s
        self._view: FeedView | None = None
        self._built = 0.0
        self._building = threading.Lock()

    @classmethod
    def load(cls, bundle: Bundle, refresh_s: float = REFRESH_S) -> Self:
        """From a verified bundle. Raises BundleError when its parts do not fit together."""
        return cls(read_model(bundle), refresh_s)

    def refresh(self, state: FeedState, now: float | None = None) -> None:
        """Build the view of `state` at `now` (by default the newest event it has seen) and answer from it."""
        began = time.monotonic()
        view = FeedView.of(state, now)
        # One score fills everything that the model keeps with the view, before a request waits for it.
        self.model.score(view, view.users([""]))
        self._view, self._built = view, began

    def recommend(
        self,
        state: FeedState,
        user_id: str,
        k: int,
        context: Sequence[ContextEvent] = (),
        exclude_seen: bool = True,
    ) -> Ranking:
        """The `k` best posts for a user: fewer where the feed has fewer, none from an empty feed.

        `context` is what the user just did and the state has not seen; posts that nobody knows are passed over. Hidden
        posts and the user's own are never recommended. Raises ValueError for k < 1 or an unknown action.
        """
        if k < 1:
            raise ValueError("k must be at least 1")
        view = self._current(state)
        users = view.users([user_id], [context])
        scores = self.model.score(view, users)[0]
        allowed = np.flatnonzero(~view.forbidden(users, exclude_seen)[0])
        top = _best(view, scores, allowed, k)
        personal = bool(users.known[0])
        reasons = self._reasons(view, users, top) if personal else [[FALLBACK]] * len(top)
        names = view.state.items.names
        items = [
            Recommendation(str(names[item]), float(scores[item]), why)
            for item, why in zip(top.tolist(), reasons, strict=True)
        ]
        return Ranking(items, None if personal else FALLBACK)

    def _current(self, state: FeedState) -> FeedView:
        view = self._view
        if view is None or view.state is not state:
            self.refresh(state)
            view = self._view
            assert view is not None
        elif time.monotonic() - self._built > self.refresh_s and self._building.acquire(blocking=False):
            threading.Thread(target=self._refresh_aside, args=(state,), daemon=True).start()
        return view

    def _refresh_aside(self, state: FeedState) -> None:
        try:
            self.refresh(state)
        finally:
            self._building.release()

    def _reasons(self, view: FeedView, users: UserBatch, top: Ints) -> list[list[str]]:
        slots = np.flatnonzero(users.item[0] >= 0)[-LOOK_BACK:]
        if len(top) == 0:
            return []
        falls = self.model.blame(view, users, top, slots)
        kind = np.where(self.model.blame_content(view, users, top, slots) > falls / 2, "content", "history")
        names = view.state.items.names
        out = []
        for row, kinds in zip(falls, kind, strict=True):
            order = np.argsort(-row, kind="stable")[:REASONS]
            # Rounding is no reason.
            why = [f"{kinds[at]}:{names[users.item[0, slots[at]]]}" for at in order if row[at] > 1e-4]
            out.append(why or [FALLBACK])
        return out


def _best(view: FeedView, scores: Scores, allowed: Ints, k: int) -> Ints:
    """The `k` best of `allowed`, best first; equal scores by post id."""
    values = scores[allowed]
    if k < len(allowed):
        keep = np.argpartition(-values, k - 1)[:k]
        allowed, values = allowed[keep], values[keep]
    names = np.array([str(view.state.items.names[item]) for item in allowed.tolist()], dtype=object)
    order = sorted(range(len(allowed)), key=lambda at: (-float(values[at]), names[at]))
    return allowed[np.array(order, dtype=np.int64)]

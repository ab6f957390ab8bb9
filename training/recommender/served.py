"""A recommender in service: posts for one user, and why.

A request passes named stages: hydration (`Query`), filters, scoring, selection, exploration, reasons. What depends on
posts alone is computed once a refresh, on a thread of its own; a request encodes one history and adds it up. The user's
own events count at once, because histories are read live from the state.
"""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import numpy as np

from training.bundle import Bundle
from training.recommender.arrays import Ints
from training.recommender.feed.exploration import Slate, explore
from training.recommender.feed.filters import allowed
from training.recommender.feed.messages import Ranking, Recommendation, Request
from training.recommender.feed.query import Query
from training.recommender.feed.reasons import POPULARITY, reasons
from training.recommender.feed.selection import best_first, diversify
from training.recommender.feed.settings import PLAIN, FeedSettings
from training.recommender.models.base import Recommender, Scores
from training.recommender.models.registry import read_model
from training.recommender.state import FeedState
from training.recommender.value.heads import ActionHeads, Reals
from training.recommender.value.order import Scored, read_heads, score_one
from training.recommender.value.weights import Weights, read_weights
from training.recommender.view import FeedView

REFRESH_S = 60.0
_COMMUNITY, _AUTHOR = 2, 0


class ServedRecommender:
    """A model with the view it answers from. Safe to call from several threads.

    Where it has action heads, `weights` are asked anew for every batch of answers (None: the project's own).
    """

    def __init__(
        self,
        model: Recommender,
        settings: FeedSettings = PLAIN,
        refresh_s: float = REFRESH_S,
        heads: ActionHeads | None = None,
        weights: Callable[[], Weights] | None = None,
    ) -> None:
        self.model = model
        self.heads = heads
        self.weights = weights or partial(dict, read_weights())
        self.settings = settings
        self.refresh_s = refresh_s
        self._view: FeedView | None = None
        self._built = 0.0
        self._building = threading.Lock()

    @classmethod
    def load(
        cls,
        bundle: Bundle,
        settings: FeedSettings = PLAIN,
        weights: Callable[[], Weights] | None = None,
    ) -> Self:
        """From a verified bundle. Raises BundleError when its parts do not fit together."""
        return cls(read_model(bundle), settings, heads=read_heads(bundle), weights=weights)

    def refresh(self, state: FeedState, now: float | None = None) -> None:
        """Build the view of `state` at `now` (by default the newest event it has seen) and answer from it."""
        began = time.monotonic()
        view = FeedView.of(state, now)
        # One score fills everything that the model keeps with the view, before a request waits for it.
        users = view.users([""])
        scores = self.model.score(view, users)[0]
        if self.heads is not None and len(scores):
            self.heads.look(view, users, scores, np.zeros(1, dtype=np.int64))
        self._view, self._built = view, began

    def recommend(self, state: FeedState, user_id: str, k: int, *rest: Any, **more: Any) -> Ranking:
        """The answer to the one `Request` with these fields. Raises ValueError like `answer`."""
        return self.answer(state, [Request(user_id, k, *rest, **more)])[0]

    def answer(self, state: FeedState, requests: Sequence[Request]) -> list[Ranking]:
        """For each request the posts to show: fewer than k where the feed has fewer, none from an empty feed.

        They are answered together, which costs less than one by one; the answers are the same. Raises ValueError for
        k < 1 or an unknown action.
        """
        if any(request.k < 1 for request in requests):
            raise ValueError("k must be at least 1")
        view = self._current(state)
        users = view.users(
            [request.user_id for request in requests], [request.context for request in requests]
        )
        queries = [
            Query(
                view,
                users.one(row),
                request.k,
                request.exclude_seen,
                PLAIN if request.plain else self.settings,
            )
            for row, request in enumerate(requests)
        ]
        candidates = [allowed(query) for query in queries]
        weights = self.weights()
        scored = [
            Scored(row) if request.plain else self._scored(query, row, among, weights)
            for query, row, among, request in zip(
                queries, self.model.score(view, users), candidates, requests, strict=True
            )
        ]
        slates = [
            _select(query, found.scores, among, request.seed)
            for query, found, among, request in zip(queries, scored, candidates, requests, strict=True)
        ]
        why = reasons(self.model, users, queries, slates)
        return [_ranking(*parts) for parts in zip(queries, scored, slates, why, strict=True)]

    def _scored(self, query: Query, scores: Scores, candidates: Ints, weights: Weights) -> Scored:
        """Scoring after the ranking model: the best candidates by the weighted sum of their action probabilities."""
        if self.heads is None:
            return Scored(scores)
        return score_one(self.heads, weights, query.view, query.users, scores, candidates, query.k)

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


def _ranking(query: Query, scored: Scored, slate: Slate, why: list[list[str]]) -> Ranking:
    names = query.view.state.items.names
    columns = (slate.items, scored.scores[slate.items], slate.propensity, slate.explored)
    items = [
        Recommendation(str(names[item]), score, reason, propensity, explored, actions)
        for reason, actions, item, score, propensity, explored in zip(
            why, scored.of(slate.items), *(column.tolist() for column in columns), strict=True
        )
    ]
    return Ranking(items, None if query.personal else POPULARITY, scored.given)


def _select(query: Query, scores: Scores | Reals, candidates: Ints, seed: int) -> Slate:
    """Selection and exploration: the slate of at most k of `candidates`."""
    settings, content = query.settings, query.view.content
    # Deep enough that selection finds other authors and topics, and every place its pool.
    reach = query.k * (1 + settings.explore_depth)
    head = best_first(scores, candidates, query.view.state.items.names, reach)
    places = diversify(
        content[head, _AUTHOR],
        content[head, _COMMUNITY],
        query.k,
        settings.author_gap,
        settings.topic_run,
    )
    below = head.copy()
    below[places] = -1
    return explore(head[places], below[below >= 0], settings.explore, settings.explore_depth, seed)

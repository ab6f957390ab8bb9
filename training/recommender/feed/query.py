"""Hydration: a request with all that the later stages need to know of its user."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.recommender.arrays import Ints
from training.recommender.feed.settings import FeedSettings
from training.recommender.view import FeedView, UserBatch


@dataclass
class Query:
    """One request at work. `users` is a batch of this one user, with what the request brought along in the history."""

    view: FeedView
    users: UserBatch
    k: int
    exclude_seen: bool
    settings: FeedSettings

    @property
    def personal(self) -> bool:
        """Whether anything is known of the user."""
        return bool(self.users.known[0])

    @cached_property
    def history(self) -> Ints:
        """Items of the history, oldest first."""
        row = self.users.item[0]
        return row[row >= 0].astype(np.int64)

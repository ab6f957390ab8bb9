"""Popularity with time decay: what most people acted on lately. The baseline that every other model stands on.

score = log( c * 2^(-age / h) + sum over first actions of 2^(-(now - t) / h) ): a post counts as `c` actions at its own
creation, else a post without any could never be shown first. Half-life h and c are chosen on the validation window.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from training.recommender.arrays import Ints
from training.recommender.models.base import Blame, Events, Parts, Scores, picked
from training.recommender.state import HALF_LIVES_H
from training.recommender.view import FeedView, UserBatch


@dataclass(frozen=True)
class Popularity:
    """Decayed popularity; the same for every user."""

    half_life_h: float
    birth: float
    name: ClassVar[str] = "popularity"

    def __post_init__(self) -> None:
        if self.half_life_h not in HALF_LIVES_H or self.birth <= 0:
            raise ValueError(f"half_life_h must be one of {HALF_LIVES_H} and birth above 0")

    def posts(self, view: FeedView) -> Scores:
        """[n_items] the score of each post."""

        def build() -> Scores:
            decayed = view.log_popularity[:, HALF_LIVES_H.index(self.half_life_h)]
            born = np.log(self.birth) - np.log(2.0) * view.age / (3600.0 * self.half_life_h)
            return np.logaddexp(decayed, born).astype(np.float32)

        return view.memo(f"popularity/{self.half_life_h}/{self.birth}", build)

    def score(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts], every row the same."""
        row = picked(self.posts(view), columns)
        return np.broadcast_to(row, (len(users), len(row)))

    def blame(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Blame:
        """Zero: nobody's history matters."""
        nothing = np.zeros((len(events.row), len(columns)), dtype=np.float32)
        return Blame(nothing, nothing)

    def parts(self) -> Parts:
        """Two numbers."""
        return Parts({"half_life_h": self.half_life_h, "birth": self.birth})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`."""
        return cls(**parts.config)

"""A personal signal on top of popularity: the shape of the cheap personalised models.

score = popularity + strength * log(1 + signal / scale). Both are logarithms, so this is a product of "popular now" and
"close to what this user acts on"; strength and scale are chosen on the validation window. Without any history the score
is popularity itself, which is the fallback for unknown users.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from training.recommender.arrays import Ints
from training.recommender.models.base import Blame, Events, Parts, Scores, Signal
from training.recommender.models.popularity import Popularity
from training.recommender.models.signals import SIGNALS
from training.recommender.view import FeedView, UserBatch


@dataclass(frozen=True)
class Lifted:
    """Popularity times a power of (1 + signal / scale); its name is that of the signal."""

    popularity: Popularity
    signal: Signal
    strength: float
    scale: float

    @property
    def name(self) -> str:
        """The signal's key."""
        return self.signal.key

    def score(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]."""
        lift = self._lift(self.signal.value(view, users, columns))
        return self.popularity.score(view, users, columns) + lift

    def blame(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Blame:
        """Of content: all or nothing."""
        now = self._lift(self.signal.value(view, users, columns))[events.row]
        whole = now - self._lift(self.signal.without(view, users, columns, events))
        return Blame(whole, np.float32(self.signal.kind == "content") * whole)

    def _lift(self, value: Scores) -> Scores:
        return (self.strength * np.log1p(np.maximum(value, 0.0) / self.scale)).astype(np.float32)

    def parts(self) -> Parts:
        """The signal's own parts, and the numbers of the mixture."""
        inner = self.signal.parts().nested(self.name)
        config = {
            "popularity": self.popularity.parts().config,
            "signal": self.name,
            "strength": self.strength,
            "scale": self.scale,
        }
        return Parts(inner.config | config, inner.arrays, inner.vocabularies)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`. Raises KeyError for an unknown signal."""
        key = parts.config["signal"]
        return cls(
            popularity=Popularity(**parts.config["popularity"]),
            signal=SIGNALS[key](parts.inner(key)),
            strength=parts.config["strength"],
            scale=parts.config["scale"],
        )

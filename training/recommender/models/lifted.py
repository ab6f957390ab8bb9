"""A personal signal on top of popularity: the shape of the cheap personalised models.

score = popularity + strength * log(1 + signal / scale). Both are logarithms, so this is a product of "popular now" and
"close to what this user acts on"; strength and scale are chosen on the validation window. Without any history the score
is popularity itself, which is the fallback for unknown users.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from training.recommender.arrays import Ints
from training.recommender.models.base import Parts, Scores, Signal
from training.recommender.models.knn import KnnSignal
from training.recommender.models.popularity import Popularity
from training.recommender.models.slist import SlistSignal
from training.recommender.view import FeedView, UserBatch


@dataclass(frozen=True)
class Lifted:
    """Popularity times a power of (1 + signal / scale)."""

    popularity: Popularity
    signal: Any
    strength: float
    scale: float
    name: ClassVar[str]
    kind_of_signal: ClassVar[Any]

    def score(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]."""
        signal: Signal = self.signal
        return self.popularity.score(view, users, columns) + self._lift(signal.value(view, users, columns))

    def blame(self, view: FeedView, users: UserBatch, columns: Ints, slots: Ints) -> Scores:
        """[columns, slots]."""
        signal: Signal = self.signal
        now = self._lift(signal.value(view, users, columns))
        return (now - self._lift(signal.without(view, users, columns, slots))).T

    def _lift(self, value: Scores) -> Scores:
        return (self.strength * np.log1p(np.maximum(value, 0.0) / self.scale)).astype(np.float32)

    def parts(self) -> Parts:
        """The signal's own parts, and the numbers of the mixture."""
        inner: Parts = self.signal.parts().nested("signal")
        config = {
            "popularity": self.popularity.parts().config,
            "strength": self.strength,
            "scale": self.scale,
        }
        return Parts(inner.config | config, inner.arrays, inner.vocabularies)

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`."""
        return cls(
            popularity=Popularity(**parts.config["popularity"]),
            signal=cls.kind_of_signal.from_parts(parts.inner("signal")),
            strength=parts.config["strength"],
            scale=parts.config["scale"],
        )


class ItemKnn(Lifted):
    """Popularity lifted by item-kNN on the state's co-occurrence."""

    name = "item_knn"
    kind_of_signal = KnnSignal


class Slist(Lifted):
    """Popularity lifted by the closed-form sequential linear model."""

    name = "slist"
    kind_of_signal = SlistSignal

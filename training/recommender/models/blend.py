"""The blend: one explicit weighted sum over features of posts, of users and posts, and of the other models' signals.

score = sum of weight * feature. The weights come from a conditional logit (`blend_fit`), so a score is the log-odds of
being acted on, up to a constant of the user. The part that depends on posts alone is summed once a view.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np

from training.recommender.arrays import Ints
from training.recommender.models.base import Parts, Scores, picked, removed
from training.recommender.models.features import POST_FEATURES, USER_FEATURES, look_at, post_features
from training.recommender.models.knn import KnnSignal
from training.recommender.models.slist import SlistSignal
from training.recommender.view import FeedView, UserBatch

SIGNAL_SCALE = {"item_knn": 0.01, "slist": 0.01}
"""Signals whose size spans magnitudes enter as log(1 + value / scale); the others as they are."""


def sasrec_signal(parts: Parts) -> Any:
    """Read the transformer's signal: torch is imported only where a blend uses it."""
    from training.recommender.models.sasrec import SasrecSignal

    return SasrecSignal.from_parts(parts)


SIGNAL_READERS = {
    "item_knn": KnnSignal.from_parts,
    "slist": SlistSignal.from_parts,
    "sasrec": sasrec_signal,
}


def as_feature(key: str, value: Scores) -> Scores:
    """A signal's value as the blend adds it up."""
    scale = SIGNAL_SCALE.get(key)
    return value if scale is None else np.log1p(np.maximum(value, 0.0) / scale).astype(np.float32)


@dataclass
class Blend:
    """Weights by feature name (POST_FEATURES, USER_FEATURES, signal keys); features without use are absent."""

    signals: dict[str, Any]
    weights: dict[str, float]
    name: ClassVar[str] = "blend"
    _user_features: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._user_features = [name for name in USER_FEATURES if self.weights.get(name, 0.0) != 0.0]

    def score(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]."""
        signals = {key: signal.value(view, users, columns) for key, signal in self.signals.items()}
        return self._sum(view, users, columns, signals)

    def blame(self, view: FeedView, users: UserBatch, columns: Ints, slots: Ints) -> Scores:
        """[columns, slots]: scored again without each event."""
        signals = {key: signal.without(view, users, columns, slots) for key, signal in self.signals.items()}
        now = self.score(view, users, columns)
        return (now - self._sum(view, removed(users, slots), columns, signals)).T

    def _sum(
        self, view: FeedView, users: UserBatch, columns: Ints | None, signals: Mapping[str, Scores]
    ) -> Scores:
        out = np.repeat(picked(self._posts(view), columns)[None, :], len(users), axis=0)
        look = look_at(view, users, columns)
        for name in self._user_features:
            out += np.float32(self.weights[name]) * USER_FEATURES[name](look)
        for key, value in signals.items():
            out += np.float32(self.weights[key]) * as_feature(key, value)
        return out

    def _posts(self, view: FeedView) -> Scores:
        def build() -> Scores:
            weights = np.array([self.weights.get(name, 0.0) for name in POST_FEATURES], dtype=np.float32)
            return np.asarray(post_features(view) @ weights, dtype=np.float32)

        return view.memo(f"blend/{id(self)}", build)

    def parts(self) -> Parts:
        """Weights, and each signal's own parts."""
        inner = [signal.parts().nested(key) for key, signal in self.signals.items()]
        return Parts(
            {
                "weights": self.weights,
                "signals": {key: part.config[key] for key, part in zip(self.signals, inner, strict=True)},
            },
            {key: value for part in inner for key, value in part.arrays.items()},
            {key: value for part in inner for key, value in part.vocabularies.items()},
        )

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`. Raises KeyError for an unknown signal."""
        inner = Parts(parts.config["signals"], parts.arrays, parts.vocabularies)
        signals = {key: SIGNAL_READERS[key](inner.inner(key)) for key in parts.config["signals"]}
        return cls(signals, parts.config["weights"])

"""The blend: one explicit weighted sum over features of posts, of users and posts, and of the other models' signals.

score = sum of weight * feature. The weights come from a conditional logit (`blend_fit`), so a score is the log-odds of
being acted on, up to a constant of the user. The part that depends on posts alone is summed once a view.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Self

import numpy as np

from training.recommender.arrays import Ints
from training.recommender.models.base import Blame, Events, Parts, Scores, Signal, picked
from training.recommender.models.features import (
    CONTENT_FEATURES,
    POST_FEATURES,
    USER_FEATURES,
    Look,
    add_weighted,
    lost,
    post_features,
)
from training.recommender.models.signals import SIGNALS
from training.recommender.view import FeedView, UserBatch


def as_feature(signal: Signal, value: Scores) -> Scores:
    """A signal's value as the blend adds it up."""
    if signal.scale is None:
        return value
    return np.log1p(np.maximum(value, 0.0) / signal.scale).astype(np.float32)


@dataclass
class Blend:
    """Weights by feature name (POST_FEATURES, USER_FEATURES, signal keys); features without use are absent."""

    signals: dict[str, Signal]
    weights: dict[str, float]
    name: ClassVar[str] = "blend"
    _of_content: dict[str, float] = field(init=False)
    _of_others: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        used = {name: self.weights[name] for name in USER_FEATURES if self.weights.get(name, 0.0) != 0.0}
        self._of_content = {name: weight for name, weight in used.items() if name in CONTENT_FEATURES}
        self._of_others = {name: weight for name, weight in used.items() if name not in CONTENT_FEATURES}

    def score(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]."""
        out = np.repeat(picked(self._posts(view), columns)[None, :], len(users), axis=0)
        add_weighted(out, Look(view, users, columns), self._of_content | self._of_others)
        for key, signal in self.signals.items():
            out += self._weighted(key, signal.value(view, users, columns))
        return out

    def blame(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Blame:
        """All that depends on the history, summed again without each event. Of content are the features of author,
        language, community and topics, and the signals of that kind."""
        now = Look(view, users, columns)
        then = now.without(events)
        content, others = (lost(now, events, then, w) for w in (self._of_content, self._of_others))
        for key, signal in self.signals.items():
            fall = self._weighted(key, signal.value(view, users, columns))[events.row]
            fall -= self._weighted(key, signal.without(view, users, columns, events))
            part = content if signal.kind == "content" else others
            part += fall
        return Blame(content + others, content)

    def _weighted(self, key: str, value: Scores) -> Scores:
        return np.float32(self.weights[key]) * as_feature(self.signals[key], value)

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
        signals = {key: SIGNALS[key](inner.inner(key)) for key in parts.config["signals"]}
        return cls(signals, parts.config["weights"])

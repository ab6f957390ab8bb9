"""Action heads: the probability of each action, and the one weighted sum that the feed is ordered by.

Each head is a logistic regression in two steps. The first, `Base`, looks at the features of the blend and at the place:

    l_a = b_a + w_a . x + e_a[place]

The place has an additive term of its own (a shallow tower: Zhao et al. 2019, "Recommending what video to watch next"),
learned beside the features and set to the first place when serving, so that what a good place has earned is not
taken for what a post has earned. The second step adds the ranking model's own log-probability
r(u, i) = log softmax(beta * score) that the post is the next one the user acts on:

    P_a = P(action | shown in the first place, or else: the user reacts) = sigmoid(c_a + d_a * l_a + g_a * r)

A feed is ordered by what a post is expected to bring as the next one acted on,

    score(u, i) = sum over a of weight_a * P(a next on i),    P(a next on i) = exp(r(u, i)) * P_a / P_positive,

P_positive being the head of "anything that speaks for the post". Only the best posts of the ranking model are looked at
this way (`depth`). A score depends on user, post and view alone, not on the other candidates.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from training.bundle import BundleError
from training.recommender.arrays import Ints
from training.recommender.models.base import Scores
from training.recommender.models.features import POST_FEATURES, USER_FEATURES, Look, post_features
from training.recommender.value.logistic import sigmoid
from training.recommender.value.weights import Weights
from training.recommender.view import FeedView, UserBatch

Table = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]

FILE = "actions.json"
POSITIVE = "positive"
"""The head of anything that speaks for the post; the last one."""
FEATURES = (*POST_FEATURES, *USER_FEATURES)
PLACES = (0, 1, 2, 3, 4, 6, 9, 14)
"""Last position of each bucket; what lies below them is one more."""
_LEAST, _NEVER = 1e-6, -80.0


def bucket(position: Ints) -> Ints:
    """Bucket of each 0-based position, -1 where none is logged."""
    return np.where(position < 0, -1, np.searchsorted(PLACES, position))


@dataclass(frozen=True)
class Base:
    """First step, the same for every ranking model; heads are `actions` and POSITIVE, conditional on `given`.

    `weights` [FEATURES, heads], `bias` [heads] of the first place, `places` [buckets, heads] differences to it.
    """

    actions: tuple[str, ...]
    given: str
    weights: Table
    bias: Table
    places: Table
    _users: list[str] = field(init=False)

    def __post_init__(self) -> None:
        used = np.any(self.weights[len(POST_FEATURES) :] != 0, axis=1)
        names = [name for name, wanted in zip(USER_FEATURES, used.tolist(), strict=True) if wanted]
        object.__setattr__(self, "_users", names)

    def logits(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Table:
        """[heads, users, posts] for the first place."""
        posts = view.memo(f"heads/{id(self)}", lambda: self._posts(view))
        posts = posts if columns is None else posts[:, columns]
        out = np.repeat(posts[:, None, :], len(users), axis=1)
        look = Look(view, users, columns)
        for name in self._users:
            value = USER_FEATURES[name](look)
            for total, weight in zip(out, self.weights[FEATURES.index(name)], strict=True):
                total += weight * value
        return out

    def _posts(self, view: FeedView) -> Table:
        return np.ascontiguousarray((post_features(view) @ self.weights[: len(POST_FEATURES)] + self.bias).T)


@dataclass(frozen=True)
class ActionHeads:
    """The heads of one ranking model: `temperature` is beta, `second` [heads, 3] holds (c, d, g).

    `depth`: so many posts, best of the ranking model, are ordered by the weighted sum.
    """

    depth: int
    temperature: float
    base: Base
    second: Table

    def log_chance(self, scores: Scores, of: Scores) -> Reals:
        """r of the posts that score `of` [users, columns]; `scores` [users, n_items] are those of all posts."""
        top = scores.max(axis=1, keepdims=True)
        total = np.exp(np.float32(self.temperature) * (scores - top)).sum(
            axis=1, keepdims=True, dtype=np.float64
        )
        return np.maximum(self.temperature * (of - top).astype(np.float64) - np.log(total), _NEVER)

    def probabilities(self, first: Table | Reals, log_chance: npt.NDArray) -> Reals:
        """P [heads, ...] from the first step's logits [heads, ...] and r [...]."""
        c, d, g = (self.second[:, step].reshape(-1, *[1] * log_chance.ndim) for step in range(3))
        return sigmoid(c + d * first + g * log_chance)

    def value(self, chances: npt.NDArray, log_chance: npt.NDArray, weights: Weights) -> Reals:
        """The weighted sum [...]."""
        worth = np.array([weights.get(action, 0.0) for action in self.base.actions])
        expected = np.tensordot(worth, chances[:-1], axes=1) / np.maximum(chances[-1], _LEAST)
        return np.asarray(np.exp(log_chance) * expected)

    def look(self, view: FeedView, users: UserBatch, scores: Scores, columns: Ints) -> tuple[Reals, Reals]:
        """For a single user, P [heads, columns] and r [columns]; `scores` [n_items] are the ranking model's."""
        log_chance = self.log_chance(scores[None, :], scores[None, columns])[0]
        return self.probabilities(self.base.logits(view, users, columns)[:, 0], log_chance), log_chance

    def write(self, path: Path) -> None:
        """As JSON that a person can read: every weight by action and feature."""
        heads = (*self.base.actions, POSITIVE)
        by_head: dict[str, Any] = {
            head: {
                "bias": float(self.base.bias[at]),
                "weights": {
                    name: float(weight)
                    for name, weight in zip(FEATURES, self.base.weights[:, at], strict=True)
                    if weight != 0
                },
                "places": self.base.places[:, at].tolist(),
                "second": self.second[at].tolist(),
            }
            for at, head in enumerate(heads)
        }
        told = {
            "given": self.base.given,
            "depth": self.depth,
            "temperature": self.temperature,
            "heads": by_head,
        }
        path.write_text(json.dumps(told, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The inverse of `write`. Raises BundleError for a file that does not fit."""
        try:
            told = json.loads(path.read_text())
            heads = told["heads"]
            unknown = {name for head in heads.values() for name in head["weights"]} - set(FEATURES)
            if unknown or list(heads)[-1] != POSITIVE:
                raise ValueError(f"unknown features {sorted(unknown)}")
            column = [[head["weights"].get(name, 0.0) for head in heads.values()] for name in FEATURES]
            base = Base(
                tuple(heads)[:-1],
                told["given"],
                np.array(column, dtype=np.float32),
                np.array([head["bias"] for head in heads.values()], dtype=np.float32),
                np.array([head["places"] for head in heads.values()], dtype=np.float32).T,
            )
            second = np.array([head["second"] for head in heads.values()], dtype=np.float32)
            return cls(told["depth"], told["temperature"], base, second)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BundleError(f"{path}: the action heads cannot be read ({error})") from error

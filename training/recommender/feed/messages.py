"""What a recommender is asked and what it answers: plain values, which serving uses too."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContextEvent:
    """Something that the user just did and the state may not have seen; `t` in seconds since 1970."""

    post_id: str
    action: str
    t: float


@dataclass(frozen=True, slots=True)
class Request:
    """`k` posts for a user.

    `context` is what the user just did; posts that nobody knows are passed over. `plain` asks for the ranking model's
    own order, whatever settings and weights. `seed` decides what is explored: to ask again is to be answered alike.
    """

    user_id: str
    k: int
    context: Sequence[ContextEvent] = ()
    exclude_seen: bool = True
    plain: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One post. `propensity`: probability that this answer showed it, at this place (see `feed.exploration`).

    Reasons are as `feed.reasons` states them. `actions`: probability of each action (see `value.heads`), None where the
    score is the ranking model's own.
    """

    post_id: str
    score: float
    reasons: list[str]
    propensity: float = 1.0
    explored: bool = False
    actions: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Posts in the order to show, and the name of the fallback (None: the user's history was used).

    `given` is what the probabilities of actions are conditional on, None where there are none.
    """

    items: list[Recommendation]
    fallback: str | None = None
    given: str | None = None

"""The choice model: what people do with a post that they are shown, as explicit probabilities.

The utility of a post for a user is

    u = 0.45 ln(interest / mean interest), within [-1, 1.2]     what the user cares about this week
      + 1.2 in the user's first circle, 0.8 in the second       whom the user keeps company with
      + 0.8 taste                                               fixed liking of user for author, standard normal
      + 0.35 quality                                            the post's own, standard normal: popularity comes of it
      - 1.5 in a language the user does not read
      - 0.05 age in days
      - 3.0 spam

and, with s(x) = 1 / (1 + exp(-x)) and position p counted from 0,

    P(view)     = s(0.9 u - 0.4) / (1 + 0.22 p)               the eye tires down the slate: position bias
    dwell       = exp(1.5 + 0.6 u + 0.7 z) seconds             z standard normal; at least half a second
    P(action | view) = s(a + b u), for each action on its own, with the coefficients in ACTIONS below.

`impression` is recorded for every post shown. A fan's visit to a new part of a series adds 2 to u.
"""

from dataclasses import dataclass

import numpy as np

from orchestration.sources.simulated.chance import Floats, Ints, normal
from orchestration.sources.simulated.lexicon import EN, MIXED, ZH
from orchestration.sources.simulated.population import World
from orchestration.sources.simulated.supply import Posts

ACTIONS: dict[str, tuple[float, float]] = {
    "like": (-1.6, 1.0),
    "comment": (-3.9, 0.8),
    "share": (-4.6, 0.9),
    "save": (-4.2, 0.8),
    "follow_author": (-5.2, 1.0),
    "hide": (-4.4, -0.9),
    "report": (-6.5, -1.3),
}
"""Intercept and slope of the utility for each action, given a view."""

FAN_BONUS = 2.0
LONG_VIEW_SECONDS = 10.0

_CIRCLES = (1.2, 0.8)
_TASTE, _QUALITY, _FOREIGN, _AGE, _SPAM = 0.8, 0.35, -1.5, -0.05, -3.0
_ATTENTION = 0.22
# Whether a user of a language (row) reads posts in English, Chinese, mixed (column).
_READS = np.array([[True, False, False], [False, True, True], [True, True, True]])


@dataclass(frozen=True)
class Shown:
    """Posts shown to users: user, row of the post, position, time (day of the world with fraction)."""

    user: Ints
    row: Ints
    position: Ints
    time: Floats
    fan: bool = False


def utility(world: World, posts: Posts, shown: Shown, interest: Floats, circles: tuple[Ints, Ints]) -> Floats:
    """u of the module's formula. `interest` is the user's in the post's topic; `circles` are the user's."""
    topics = len(world.communities)
    row = shown.row
    value = 0.45 * np.clip(np.log(interest * topics), -1.0 / 0.45, 1.2 / 0.45)
    in_first = posts.circle[row] == circles[0]
    value += np.where(in_first, _CIRCLES[0], np.where(posts.circle[row] == circles[1], _CIRCLES[1], 0.0))
    value += _TASTE * normal(world.salt("taste"), shown.user, posts.author[row])
    value += _QUALITY * posts.quality[row]
    value += np.where(_READS[world.users.language[shown.user], posts.language[row]], 0.0, _FOREIGN)
    value += _AGE * (shown.time - posts.created[row])
    value += np.where(posts.spam[row], _SPAM, 0.0)
    return np.asarray(value + (FAN_BONUS if shown.fan else 0.0), dtype=np.float64)


def _sigmoid(value: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-value))


def view_chance(value: Floats, position: Ints) -> Floats:
    """P(view)."""
    return _sigmoid(0.9 * value - 0.4) / (1.0 + _ATTENTION * position)


def action_chance(action: str, value: Floats) -> Floats:
    """P(action | view)."""
    intercept, slope = ACTIONS[action]
    return _sigmoid(intercept + slope * value)


def expected_events(value: Floats, position: Ints) -> Floats:
    """Expected number of events for each impression, itself included."""
    acts = sum(action_chance(action, value) for action in ACTIONS)
    return np.asarray(1.0 + view_chance(value, position) * (1.0 + acts), dtype=np.float64)


def dwell_seconds(value: Floats, rng: np.random.Generator) -> Floats:
    """How long a view lasts, in steps of a tenth of a second."""
    seconds = np.exp(1.5 + 0.6 * value + 0.7 * rng.standard_normal(len(value)))
    return np.asarray(np.round(np.clip(seconds, 0.5, 600.0), 1), dtype=np.float64)


def positive_chance(value: Floats, position: Ints) -> Floats:
    """P(like, comment, share, save, follow or a view of ten seconds): what a recommender is judged by."""
    from math import log

    from scipy.special import ndtr

    nothing = ndtr((log(LONG_VIEW_SECONDS) - 1.5 - 0.6 * value) / 0.7)
    for action in ("like", "comment", "share", "save", "follow_author"):
        nothing = nothing * (1.0 - action_chance(action, value))
    return np.asarray(view_chance(value, position) * (1.0 - nothing), dtype=np.float64)


assert (EN, ZH, MIXED) == (0, 1, 2), "the rows of _READS are in this order"

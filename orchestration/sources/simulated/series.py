"""Series and their fans: what makes one post follow another in people's histories.

A fan of a series reads its parts one after the other, each at the same delay after it appears, from the part at which
they came in until they lose interest; who is a fan, since which part and for how many is a hash of user and series.
"""

from dataclasses import dataclass

import numpy as np

from orchestration.sources.simulated.chance import Bools, Floats, Ints, uniform
from orchestration.sources.simulated.population import World
from orchestration.sources.simulated.supply import SERIES_SHARE, Posts

EVENTS_A_VISIT = 3.6
"""Events that a fan's visit brings, about."""
EVENTS_SHARE = 0.2
"""Share of a day's events that fans' visits make up."""

_SECOND_CIRCLE = 0.6
_FROM_THE_START = 0.7
_READS_ON = 0.86
_MEAN_DELAY_DAYS, _LONGEST_DELAY_DAYS = 0.25, 2.0
# Of all pairs of fan and part, so many are within the fan's run of parts.
_RUN_SHARE = 0.5
_MOST_FANS = 0.75


@dataclass(frozen=True)
class SeriesVisits:
    """Visits that a new part brings: user, row of the part among the posts given, time (day of the world)."""

    user: Ints
    row: Ints
    time: Floats


def fan_share(world: World) -> float:
    """Share of a circle's members who become fans, such that series make up their share of a day's events.

    The same on every day of a stretch: a share that moved would have fans skip parts.
    """
    scenario = world.scenario
    parts_a_day = scenario.posts_a_day * SERIES_SHARE
    members = world.founders * (1 + _SECOND_CIRCLE) / len(world.circles.topic)
    wanted = EVENTS_SHARE * scenario.events_a_day / EVENTS_A_VISIT / parts_a_day
    return float(min(wanted / (members * _RUN_SHARE), _MOST_FANS))


def is_fan(world: World, users: Ints, series: Ints, second: Bools, share: float) -> Bools:
    """Whether each user, a member of the series' circle by the second circle or the first, is a fan of it."""
    drawn = uniform(world.salt("fan"), users, series)
    return np.asarray(drawn < np.where(second, _SECOND_CIRCLE, 1.0) * share)


def visits_to(
    world: World, posts: Posts, day: int, members: Ints, circles: tuple[Ints, Ints], share: float
) -> SeriesVisits:
    """The visits on `day` to the series' parts among `posts`, by fans among `members` of these two circles each."""
    first, second = circles
    rows = np.flatnonzero((posts.series >= 0) & (posts.created > day - _LONGEST_DELAY_DAYS - 0.1))
    pieces: list[tuple[Ints, Ints]] = []
    for mine, is_second in ((first, False), (second, True)):
        order = np.argsort(mine, kind="stable")
        start = np.searchsorted(mine[order], posts.circle[rows], "left")
        count = np.searchsorted(mine[order], posts.circle[rows], "right") - start
        row = np.repeat(rows, count)
        offset = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        at = order[np.repeat(start, count) + offset]
        if is_second:
            # Someone whose first and second circle are one is asked once.
            once = first[at] != second[at]
            at, row = at[once], row[once]
        user = members[at]
        fan = is_fan(world, user, posts.series[row], np.full(len(user), is_second), share)
        pieces.append((user[fan], row[fan]))
    user = np.concatenate([piece[0] for piece in pieces])
    row = np.concatenate([piece[1] for piece in pieces])
    return _timed(world, posts, day, user, row)


def _timed(world: World, posts: Posts, day: int, user: Ints, row: Ints) -> SeriesVisits:
    """Keep the pairs within the fan's run of parts whose visit falls on `day`."""
    series, part = posts.series[row], posts.part[row]
    late = uniform(world.salt("fan since"), user, series)
    middle = np.ceil(posts.parts[row] / 2)
    since = np.where(
        late < _FROM_THE_START, 0, np.floor((late - _FROM_THE_START) / (1 - _FROM_THE_START) * middle) + 1
    )
    run = np.floor(np.log1p(-uniform(world.salt("fan run"), user, series)) / np.log(_READS_ON)) + 1
    delay = -_MEAN_DELAY_DAYS * np.log1p(-uniform(world.salt("fan delay"), user, series))
    delay = (
        np.minimum(delay, _LONGEST_DELAY_DAYS)
        + 0.01
        + 0.03 * uniform(world.salt("fan jitter"), user, series, part)
    )
    time = posts.created[row] + delay
    author = posts.author[row] == user
    left = world.users.left[user] <= time
    keep = (part >= since) & (part < since + run) & (np.floor(time) == day) & ~author & ~left
    return SeriesVisits(user[keep], row[keep], time[keep])

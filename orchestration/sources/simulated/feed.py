"""The feed: who opens the app when, and which posts they are shown at which position.

A visit's slate is filled from two sources. **Circle**: posts of the user's circles; each user comes to each such post
once, after a delay that is exponential with the post's half-life, so recency and half-life need no further rule.
**Discovery**: posts by interest, by popularity and at random from everywhere else. A noisy ranking of the app's own,
that knows the source, the post's quality and its age but not the user's taste, puts them into positions.
"""

from dataclasses import dataclass

import numpy as np

from orchestration.sources.simulated.chance import Floats, Ints, uniform
from orchestration.sources.simulated.population import World
from orchestration.sources.simulated.rhythm import times_of_day
from orchestration.sources.simulated.series import is_fan
from orchestration.sources.simulated.supply import Posts

SURFACES = ("home", "following", "explore", "notification")
HOME, FOLLOWING, EXPLORE, NOTIFICATION = range(4)

_SURFACE_SHARES = np.cumsum([0.72, 0.16, 0.12])
_SLATE = (5, 9)
_DISCOVERIES = 22
_BY_INTEREST, _BY_POPULARITY = 0.62, 0.22
_MOOD = 0.5
_LONGEST_GAP_DAYS = 6
# Someone else's discovery comes to a user on every fourth day at most, so that hardly anyone meets a post twice.
_SLOTS = 4
_SECOND_CIRCLE = 0.6
_RANK_CIRCLE, _RANK_QUALITY, _RANK_AGE, _RANK_NOISE = 0.9, 0.3, 0.1, 0.5


@dataclass(frozen=True)
class Visits:
    """Openings of the app, by user and time. `gap` is days since the user's last one, `slots` the slate's length."""

    user: Ints
    time: Floats
    gap: Floats
    slots: Ints
    surface: Ints

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Impressions:
    """Posts shown: number of the visit, row of the post, position in the slate."""

    visit: Ints
    row: Ints
    position: Ints


def _chances(world: World, users: Ints, wanted: float) -> tuple[Floats, float]:
    """Each user's chance to open the app on a day, and visits per user who does, to make `wanted` visits."""
    activity = world.users.activity[users]
    active = min(wanted / 1.5, 0.7 * len(users))
    scale = active / activity.sum()
    for _ in range(12):
        scale *= active / np.minimum(scale * activity, 0.97).sum()
    return np.minimum(scale * activity, 0.97), max(wanted / active, 1.0)


def visits_of(world: World, users: Ints, day: int, wanted: float, rng: np.random.Generator) -> Visits:
    """About `wanted` visits of a day, by the users present."""
    chance, times = _chances(world, users, wanted)
    salt = world.salt("active")
    today = uniform(salt, users, day) < chance
    gap = np.full(len(users), _LONGEST_GAP_DAYS, dtype=np.float64)
    for back in range(_LONGEST_GAP_DAYS - 1, 0, -1):
        gap[uniform(salt, users, day - back) < chance] = back
    user, gap = users[today], gap[today]
    count = 1 + rng.poisson(times - 1, len(user))
    user, gap = np.repeat(user, count), np.repeat(gap, count)
    time = times_of_day(world, user, day, rng)
    order = np.lexsort((time, user))
    user, time, gap = user[order], time[order], gap[order]
    again = np.concatenate([[False], user[1:] == user[:-1]])
    gap[1:] = np.where(again[1:], np.maximum(time[1:] - time[:-1], 1e-6), gap[1:])
    slots = rng.integers(_SLATE[0], _SLATE[1] + 1, len(user))
    return Visits(user, time, gap, slots, np.searchsorted(_SURFACE_SHARES, rng.random(len(user))))


def _circle_candidates(
    world: World, visits: Visits, posts: Posts, first: Ints, second: Ints, fans: float
) -> tuple[Ints, Ints]:
    """Pairs of visit and post: those of the visitor's circles whose time has come since the last visit."""
    by_circle = np.argsort(posts.circle, kind="stable")
    circles = posts.circle[by_circle]
    found = []
    for circle, is_second in ((first, False), (second, True)):
        start = np.searchsorted(circles, circle, "left")
        count = np.searchsorted(circles, circle, "right") - start
        if is_second:
            count = np.where(first == second, 0, count)
        visit = np.repeat(np.arange(len(visits)), count)
        offset = np.arange(len(visit)) - np.repeat(np.cumsum(count) - count, count)
        row = by_circle[np.repeat(start, count) + offset]
        user = visits.user[visit]
        code = posts.code[row]
        delay = -np.log2(1.0 - uniform(world.salt("delay"), user, code)) * posts.half_life[row]
        age = visits.time[visit] - posts.created[row]
        keep = (delay <= age) & (delay > age - visits.gap[visit]) & (posts.author[row] != user)
        if is_second:
            keep &= uniform(world.salt("second circle"), user, code) < _SECOND_CIRCLE
        visit, row, user = visit[keep], row[keep], user[keep]
        series = posts.series[row]
        fan = (series >= 0) & is_fan(world, user, series, np.full(len(user), is_second), fans)
        found.append((visit[~fan], row[~fan]))
    return np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])


def _weighted(cumulative: Floats, start: Ints, end: Ints, drawn: Floats) -> Ints:
    """Indices in [start, end), by the weights whose cumulative sums are given, for numbers in [0, 1)."""
    target = cumulative[start] + drawn * (cumulative[end] - cumulative[start])
    return np.clip(np.searchsorted(cumulative, target, "right") - 1, start, np.maximum(end - 1, start))


def _draw_topics(interests: Floats, drawn: Floats) -> Ints:
    """A topic for each number in [0, 1), by the row's interests."""
    rows, topics = interests.shape
    # One sorted array for all rows: row r's sums lie between r and r + 1.
    cumulative = np.cumsum(interests, axis=1) + np.arange(rows)[:, None]
    target = np.minimum(drawn, 1 - 1e-9) + np.arange(rows)[:, None]
    found = np.searchsorted(cumulative.ravel(), target.ravel(), "right").reshape(drawn.shape)
    return np.clip(found - np.arange(rows)[:, None] * topics, 0, topics - 1)


def _discoveries(
    visits: Visits, posts: Posts, interests: Floats, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Pairs of visit and post: by interest (half of them in the visit's mood), by popularity, at random."""
    count = len(visits)
    shape = (count, _DISCOVERIES)
    mood = _draw_topics(interests, rng.random((count, 1)))
    topics = np.where(rng.random(shape) < _MOOD, mood, _draw_topics(interests, rng.random(shape)))
    by_topic = np.argsort(posts.topic, kind="stable")
    age = np.maximum(np.floor(visits.time[0]) - posts.created, 0.0)
    fresh = np.exp2(-age / posts.half_life)
    weight = np.concatenate([[0.0], np.cumsum((fresh * np.exp(0.7 * posts.quality))[by_topic])])
    bounds = np.searchsorted(posts.topic[by_topic], np.arange(interests.shape[1] + 1))
    start, end = bounds[topics], bounds[topics + 1]
    interesting = by_topic[np.minimum(_weighted(weight, start, end, rng.random(shape)), len(posts) - 1)]
    popular = np.concatenate([[0.0], np.cumsum(fresh * np.exp(1.4 * posts.quality))])
    zero, all_posts = np.zeros(shape, dtype=np.int64), np.full(shape, len(posts))
    trending = _weighted(popular, zero, all_posts, rng.random(shape))
    source = rng.random(shape)
    row = np.where(
        (source < _BY_INTEREST) & (end > start),
        interesting,
        np.where(source < _BY_INTEREST + _BY_POPULARITY, trending, rng.integers(0, len(posts), shape)),
    )
    return np.repeat(np.arange(count), _DISCOVERIES), row.ravel()


def _admissible(
    world: World, visits: Visits, posts: Posts, visit: Ints, row: Ints, circles: tuple[Ints, Ints]
) -> tuple[Ints, Ints]:
    """Leave out discoveries that are not there yet, the visitor's own, of their circles, or not due on this day."""
    user, code = visits.user[visit], posts.code[row]
    day = np.floor(visits.time[visit]).astype(np.int64)
    slot = (uniform(world.salt("slot"), user, code) * _SLOTS).astype(np.int64)
    keep = (
        (posts.created[row] < visits.time[visit]) & (posts.author[row] != user) & ((slot + day) % _SLOTS == 0)
    )
    for circle in circles:
        keep &= posts.circle[row] != circle[visit]
    return visit[keep], row[keep]


def slates(
    world: World,
    visits: Visits,
    posts: Posts,
    interests: Floats,
    circles: tuple[Ints, Ints],
    fans: float,
    rng: np.random.Generator,
) -> Impressions:
    """What each visit is shown. `interests` (rows) and `circles` are the visitors', `posts` those alive."""
    followed = _circle_candidates(world, visits, posts, *circles, fans)
    found = _admissible(world, visits, posts, *_discoveries(visits, posts, interests, rng), circles)
    visit = np.concatenate([followed[0], found[0]])
    row = np.concatenate([followed[1], found[1]])
    from_circle = np.arange(len(visit)) < len(followed[0])
    surface = visits.surface[visit]
    keep = np.where(from_circle, surface != EXPLORE, surface != FOLLOWING)
    visit, row, from_circle = visit[keep], row[keep], from_circle[keep]
    # Nobody is shown a post twice on a day.
    key = visits.user[visit] * len(posts) + row
    order = np.lexsort((visit, key))
    once = order[np.concatenate([[True], key[order][1:] != key[order][:-1]])] if len(order) else order
    visit, row, from_circle = visit[once], row[once], from_circle[once]
    age = visits.time[visit] - posts.created[row]
    score = _RANK_CIRCLE * from_circle + _RANK_QUALITY * posts.quality[row] - _RANK_AGE * age
    score += _RANK_NOISE * rng.standard_normal(len(visit))
    order = np.lexsort((-score, visit))
    visit, row = visit[order], row[order]
    position = np.arange(len(visit)) - np.searchsorted(visit, visit, "left")
    shown = position < visits.slots[visit]
    return Impressions(visit[shown], row[shown], position[shown])

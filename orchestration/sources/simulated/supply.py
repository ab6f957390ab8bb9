"""The posts of a day: who opens a thread, in which circle, about what, how good, and for how long it lives.

A day's posts are drawn by a generator of that day alone. About a sixth of them are parts of a **series**: an author
publishes parts at a steady pace, and those who read one part read the next (see `series`).
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from orchestration.sources.simulated.chance import Bools, Floats, Ints, generator, uniform
from orchestration.sources.simulated.lexicon import EN, MIXED, topics
from orchestration.sources.simulated.population import World
from orchestration.sources.simulated.rhythm import times_of_day, week_factor
from orchestration.sources.simulated.scenario import BACKLOG_DAYS

CODES_A_DAY = 1_000_000
FIRST_REPLY = 500_000
"""Codes of a day from here on are replies."""
LIVE_DAYS = 21
"""Older posts are not shown any more."""

SERIES_SHARE = 0.16
"""Share of opening posts that are parts of a series."""

_SERIES_PARTS = (4, 9)
_SERIES_PACE = (1, 2)
_MOST_SERIES_DAYS = _SERIES_PARTS[1] * _SERIES_PACE[1]
_MEAN_PARTS = sum(_SERIES_PARTS) / 2
_SERIES_QUALITY = 0.4
_GOLDEN = 0.6180339887498949
_HALF_LIFE_DAYS = 3.0
_EVERGREEN_SHARE, _EVERGREEN_HALF_LIFE_DAYS = 0.07, 12.0
_SPAM_A_BOT_DAY = 0.8


@dataclass(frozen=True)
class Posts:
    """Opening posts, a column a trait. `created` is a day of the world with fraction, `half_life` is in days.

    `code` names a post for ever: its day, counted from the backlog's first, times CODES_A_DAY, plus a number. `series`
    is -1 for single posts, `circle` is -1 for spam.
    """

    code: Ints
    author: Ints
    circle: Ints
    topic: Ints
    language: Ints
    created: Floats
    quality: Floats
    half_life: Floats
    series: Ints
    part: Ints
    parts: Ints
    spam: Bools

    def __len__(self) -> int:
        return len(self.code)

    def take(self, rows: Ints | Bools) -> "Posts":
        """The posts of some rows."""
        return Posts(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def join(pieces: list[Posts]) -> Posts:
    """Several days' posts as one table."""
    return Posts(
        **{
            field.name: np.concatenate([getattr(piece, field.name) for piece in pieces])
            for field in fields(Posts)
        }
    )


def base_code(day: int) -> int:
    """The first code of a day's posts."""
    return (day + BACKLOG_DAYS) * CODES_A_DAY


def _count_until(world: World, day: int) -> float:
    """Opening posts of all days before `day`, by the week's rhythm; whole weeks have exactly their share."""
    rate = world.scenario.posts_a_day
    since = day + BACKLOG_DAYS
    weeks, rest = divmod(since, 7)
    return rate * (7 * weeks + sum(week_factor(world, day - 1 - step) for step in range(rest)))


def authors_in(world: World, circles: Ints, day: int, rng: np.random.Generator) -> Ints:
    """An author for each circle, of those whose first it is, by authorship; any user where nobody's is."""
    present = np.flatnonzero(world.present(max(day, 0)))
    home, _ = world.circles_of(present, day)
    order = np.argsort(home, kind="stable")
    members, home = present[order], home[order]
    cumulative = np.concatenate([[0.0], np.cumsum(world.users.authorship[members])])
    start, end = np.searchsorted(home, circles, "left"), np.searchsorted(home, circles, "right")
    empty = start == end
    start, end = np.where(empty, 0, start), np.where(empty, len(members), end)
    drawn = cumulative[start] + rng.random(len(circles)) * (cumulative[end] - cumulative[start])
    chosen = np.clip(np.searchsorted(cumulative, drawn, "right") - 1, start, end - 1)
    return np.asarray(members[chosen])


def _topics(world: World, circles: Ints, rng: np.random.Generator) -> Ints:
    """The circle's topic mostly, else another of its community, else any."""
    topic = world.circles.topic[circles].copy()
    count = len(topics())
    other = rng.integers(0, count, len(circles))
    drawn = rng.random(len(circles))
    topic[drawn < 0.06] = other[drawn < 0.06]
    beside = (drawn >= 0.06) & (drawn < 0.2)
    # Communities lie side by side, so the next number is often in the same one.
    neighbour = np.where(topic % 2 == 0, topic + 1, topic - 1) % count
    topic[beside] = neighbour[beside]
    return topic


def _languages(world: World, circles: Ints, authors: Ints, rng: np.random.Generator) -> Ints:
    """The circle's language; in mixed circles a third write in the author's own."""
    language = world.circles.language[circles].copy()
    own = world.users.language[authors]
    switch = (language == MIXED) & (own != MIXED) & (rng.random(len(circles)) < 0.33)
    language[switch] = own[switch]
    return language


def _traits(rng: np.random.Generator, count: int) -> tuple[Floats, Floats]:
    """Quality and half-life."""
    half_life = _HALF_LIFE_DAYS * np.exp(0.35 * rng.standard_normal(count))
    evergreen = rng.random(count) < _EVERGREEN_SHARE
    return rng.standard_normal(count), np.where(evergreen, _EVERGREEN_HALF_LIFE_DAYS, half_life)


def _spread_circles(world: World, day: int, numbers: Floats) -> Ints:
    """A circle for each number in [0, 1) by weight; numbers close together are of one language, then of one topic."""
    weights = world.circles.weights(world.level(day))
    order = np.lexsort((world.circles.topic, world.circles.language))
    chosen = np.searchsorted(np.cumsum(weights[order]), numbers, "right")
    return np.asarray(order[np.minimum(chosen, len(order) - 1)])


def _single(world: World, day: int, circle: Ints, rng: np.random.Generator) -> Posts:
    count = len(circle)
    author = authors_in(world, circle, day, rng)
    quality, half_life = _traits(rng, count)
    nothing = np.full(count, -1, dtype=np.int64)
    return Posts(
        code=np.zeros(count, dtype=np.int64),
        author=author,
        circle=circle,
        topic=_topics(world, circle, rng),
        language=_languages(world, circle, author, rng),
        created=times_of_day(world, author, day, rng),
        quality=quality,
        half_life=half_life,
        series=nothing,
        part=nothing,
        parts=nothing,
        spam=np.zeros(count, dtype=np.bool_),
    )


@dataclass(frozen=True)
class _Begun:
    """Series that began on one day: their first parts' traits, number of parts, days from part to part."""

    posts: Posts
    parts: Ints
    pace: Ints


def _series_begun(world: World, day: int) -> _Begun:
    rate = world.scenario.posts_a_day * SERIES_SHARE / _MEAN_PARTS
    since = day + BACKLOG_DAYS
    count = int((since + 1) * rate) - int(since * rate)
    rng = generator(world.scenario.seed, "series", day)
    # Multiples of the golden ratio: a few series a day still come from all languages and topics in turn.
    spread = np.mod(
        (int(since * rate) + np.arange(count)) * _GOLDEN + uniform(world.salt("series circle")), 1.0
    )
    posts = _single(world, day, _spread_circles(world, day, spread), rng)
    return _Begun(
        posts,
        rng.integers(_SERIES_PARTS[0], _SERIES_PARTS[1] + 1, count),
        rng.integers(_SERIES_PACE[0], _SERIES_PACE[1] + 1, count),
    )


def _parts_on(world: World, begun: _Begun, begun_day: int, day: int) -> Posts:
    """The parts that appear on `day` of the series that began on `begun_day`, about as late in the day as the first."""
    count = len(begun.posts)
    part, off = np.divmod(day - begun_day, begun.pace)
    late = 0.02 * generator(world.scenario.seed, "series part", begun_day, day).random(count)
    changed = {
        "created": day + np.clip(begun.posts.created - begun_day + late, 0.0, 0.999),
        "series": (begun_day + BACKLOG_DAYS) * 1000 + np.arange(count),
        "part": part,
        "parts": begun.parts,
        "topic": world.circles.topic[begun.posts.circle],
        "quality": begun.posts.quality + _SERIES_QUALITY,
    }
    return replace(begun.posts, **changed).take((off == 0) & (part < begun.parts))


def _spam(world: World, day: int) -> Posts:
    bots = np.flatnonzero(world.users.bot)
    rng = generator(world.scenario.seed, "spam", day)
    author = np.repeat(bots, rng.poisson(_SPAM_A_BOT_DAY, len(bots)))
    count = len(author)
    posts = _single(world, day, np.zeros(count, dtype=np.int64), rng)
    return replace(
        posts,
        author=author,
        circle=np.full(count, -1, dtype=np.int64),
        topic=rng.integers(0, len(topics()), count),
        language=np.where(world.users.language[author] == MIXED, EN, world.users.language[author]),
        created=day + rng.random(count),
        half_life=np.full(count, 1.0),
        spam=np.ones(count, dtype=np.bool_),
    )


class Supply:
    """The opening posts of any day of a world; remembers the series under way, so going forward is cheapest."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._begun: dict[int, _Begun] = {}

    def _series_parts(self, day: int) -> list[Posts]:
        first = max(day - _MOST_SERIES_DAYS, -BACKLOG_DAYS)
        self._begun = {begun: series for begun, series in self._begun.items() if first <= begun <= day}
        for begun in range(first, day + 1):
            if begun not in self._begun:
                self._begun[begun] = _series_begun(self.world, begun)
        return [_parts_on(self.world, self._begun[begun], begun, day) for begun in range(first, day + 1)]

    def posts_of(self, day: int) -> Posts:
        """The opening posts of a day, in order of time; none before the backlog."""
        world = self.world
        if day < -BACKLOG_DAYS:
            return _single(world, day, np.zeros(0, dtype=np.int64), np.random.default_rng(0))
        count = round(_count_until(world, day + 1)) - round(_count_until(world, day))
        parts = join(self._series_parts(day))
        rng = generator(world.scenario.seed, "posts", day)
        circle = _spread_circles(world, day, rng.random(max(count - len(parts), 0)))
        posts = join([_single(world, day, circle, rng), parts, _spam(world, day)])
        posts = posts.take(np.argsort(posts.created, kind="stable"))
        return replace(posts, code=base_code(day) + np.arange(len(posts)))

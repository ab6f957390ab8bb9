"""One day of a simulated world: visits, slates, choices, comments that become replies, and the spam bots' doings.

A day is a function of the world, the day's number and the rate of events. Numbers stand for everything here; names,
strings and texts are made when the day is put into tables.
"""

from dataclasses import dataclass

import numpy as np

from orchestration.sources.simulated import choice
from orchestration.sources.simulated.chance import Bools, Floats, Ints, generator, uniform
from orchestration.sources.simulated.feed import HOME, NOTIFICATION, Visits, slates, visits_of
from orchestration.sources.simulated.population import World
from orchestration.sources.simulated.rhythm import week_factor
from orchestration.sources.simulated.series import fan_share, visits_to
from orchestration.sources.simulated.supply import FIRST_REPLY, LIVE_DAYS, Posts, Supply, base_code, join

ACTIONS = ("impression", "view", *choice.ACTIONS)
"""Actions by number."""

_SECONDS = 86_400.0
_EVENTS_A_VISIT = 9.0
_MORE_VISITS = 1.3
_MOST_TRIES = 4
# The feed's sessions of a day count from 0; a day's visits are fewer than that.
_SERIES_SESSIONS, _BOT_SESSIONS = 100_000_000, 200_000_000
_BUSY_NOISE = 0.04
_BOT_EVENTS, _BOT_SHARE = 40.0, 0.03
_BOT_ACTIONS = np.array(
    [ACTIONS.index(action) for action in ("like", "like", "like", "share", "follow_author")]
)
_FOLLOW_SLOTS = 4
_REPLY_TO_REPLY = 0.25


@dataclass(frozen=True)
class Events:
    """Events by column; `time` is a day of the world with fraction; `value` NaN and `position` -1 mean none."""

    time: Floats
    user: Ints
    code: Ints
    action: Ints
    value: Floats
    position: Ints
    session: Ints
    surface: Ints

    def take(self, rows: Ints | Bools) -> "Events":
        """The events of some rows."""
        return Events(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True)
class Replies:
    """Posts that comments made, in order of time: the comment's author, what is replied to, and its thread's row."""

    code: Ints
    author: Ints
    time: Floats
    parent: Ints
    root: Ints


@dataclass(frozen=True)
class Day:
    """What happened on a day, in order of time. `posts` are those alive, `new` those of this day."""

    number: int
    events: Events
    posts: Posts
    new: Posts
    replies: Replies


class Chronicle:
    """Generates days, in any order; keeps the posts of the last few weeks, so going forward is cheapest."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.supply = Supply(world)
        self._posts: dict[int, Posts] = {}

    def posts_on(self, day: int) -> Posts:
        """The opening posts of a day."""
        if day not in self._posts:
            self._posts[day] = self.supply.posts_of(day)
        return self._posts[day]

    def live(self, day: int) -> Posts:
        """The posts that may be shown on a day."""
        for old in [known for known in self._posts if known <= day - LIVE_DAYS]:
            del self._posts[old]
        return join([self.posts_on(back) for back in range(day - LIVE_DAYS + 1, day + 1)])

    def day(self, number: int) -> Day:
        """One day."""
        world = self.world
        posts = self.live(number)
        rng = generator(world.scenario.seed, "day", number)
        present = np.flatnonzero(world.present(number))
        target = world.scenario.events_a_day * week_factor(world, number)
        target *= float(np.exp(_BUSY_NOISE * rng.standard_normal()))
        bots = _bot_events(world, posts, number, target, rng)
        pieces = [bots]
        if len(present):
            fans = fan_share(world)
            series = _series_events(world, posts, number, present, fans, rng)
            rest = target - len(bots) - len(series)
            pieces += [series, _feed_events(world, posts, number, present, fans, rest, rng)]
        merged = [
            np.concatenate([getattr(piece, name) for piece in pieces]) for name in Events.__dataclass_fields__
        ]
        events = Events(*merged)
        events = events.take(np.lexsort((events.action, events.user, events.time)))
        events, replies = _replies(world, events, posts, number)
        return Day(number, events, posts, self.posts_on(number), replies)


def _outcomes(
    world: World,
    posts: Posts,
    shown: choice.Shown,
    value: Floats,
    session: Ints,
    surface: Ints,
    rng: np.random.Generator,
) -> Events:
    """Draw what happens to each impression and put it into the order in which people do it."""
    count = len(value)
    start = shown.time + (4.0 * shown.position + 2.0 * rng.random(count)) / _SECONDS
    viewed = np.flatnonzero(rng.random(count) < choice.view_chance(value, shown.position))
    dwell = choice.dwell_seconds(value[viewed], rng)
    view_time = start[viewed] + (0.3 + rng.random(len(viewed))) / _SECONDS
    rows, times, actions = (
        [np.arange(count), viewed],
        [start, view_time],
        [np.zeros(count), np.ones(len(viewed))],
    )
    values = [np.full(count, np.nan), dwell]
    for number, action in enumerate(choice.ACTIONS, start=2):
        acts = rng.random(len(viewed)) < choice.action_chance(action, value[viewed])
        if action == "follow_author":
            acts &= _may_follow(world, posts, shown, viewed)
        late = np.minimum(dwell[acts], 30.0) * 0.9 + number + rng.random(int(acts.sum()))
        rows.append(viewed[acts])
        times.append(view_time[acts] + late / _SECONDS)
        actions.append(np.full(int(acts.sum()), number))
        values.append(np.full(int(acts.sum()), np.nan))
    row = np.concatenate(rows)
    return Events(
        time=np.concatenate(times),
        user=shown.user[row],
        code=posts.code[shown.row[row]],
        action=np.concatenate(actions).astype(np.int64),
        value=np.concatenate(values),
        position=shown.position[row],
        session=session[row],
        surface=surface[row],
    )


def _may_follow(world: World, posts: Posts, shown: choice.Shown, viewed: Ints) -> Bools:
    """Following comes up for a pair of user and author on every fourth day, so that few follow twice."""
    author = posts.author[shown.row[viewed]]
    slot = (uniform(world.salt("follow"), shown.user[viewed], author) * _FOLLOW_SLOTS).astype(np.int64)
    day = np.floor(shown.time[viewed]).astype(np.int64)
    return np.asarray((slot + day) % _FOLLOW_SLOTS == 0)


def _interest_in(world: World, users: Ints, day: int, topic: Ints) -> Floats:
    """Each user's interest in the topic beside it; a user's interests are worked out once."""
    distinct, inverse = np.unique(users, return_inverse=True)
    return np.asarray(world.interests(distinct, day)[inverse, topic])


def _series_events(
    world: World, posts: Posts, day: int, present: Ints, fans: float, rng: np.random.Generator
) -> Events:
    visits = visits_to(world, posts, day, present, world.circles_of(present, day), fans)
    user, row, time = visits.user, visits.row, visits.time
    shown = choice.Shown(user, row, np.zeros(len(user), dtype=np.int64), time, fan=True)
    interest = _interest_in(world, user, day, posts.topic[row])
    value = choice.utility(world, posts, shown, interest, world.circles_of(user, day))
    session = _SERIES_SESSIONS + np.arange(len(user))
    return _outcomes(world, posts, shown, value, session, np.full(len(user), NOTIFICATION), rng)


def _feed_events(
    world: World, posts: Posts, day: int, present: Ints, fans: float, target: float, rng: np.random.Generator
) -> Events:
    wanted = max(target / _EVENTS_A_VISIT * _MORE_VISITS, 1.0)
    for _ in range(_MOST_TRIES):
        visits, at, seen, value = _visits_with_slates(world, posts, day, present, fans, wanted, rng)
        expected = choice.expected_events(value, seen.position)
        if expected.sum() >= target:
            break
        # People who come often have seen most of what there is: their visits are short, so there must be more.
        wanted *= 1.2 * target / max(float(expected.sum()), 1.0)
    kept = _cut(len(visits), at, expected, target, rng)[at]
    seen = choice.Shown(seen.user[kept], seen.row[kept], seen.position[kept], seen.time[kept])
    return _outcomes(world, posts, seen, value[kept], at[kept], visits.surface[at[kept]], rng)


def _visits_with_slates(
    world: World, posts: Posts, day: int, present: Ints, fans: float, wanted: float, rng: np.random.Generator
) -> tuple[Visits, Ints, choice.Shown, Floats]:
    """About `wanted` visits; for each post shown in them the visit's number, the showing, and its utility."""
    visits = visits_of(world, present, day, wanted, rng)
    distinct, inverse = np.unique(visits.user, return_inverse=True)
    interests = world.interests(distinct, day)[inverse]
    first, second = world.circles_of(visits.user, day)
    shown = slates(world, visits, posts, interests, (first, second), fans, rng)
    at = shown.visit
    seen = choice.Shown(visits.user[at], shown.row, shown.position, visits.time[at])
    value = choice.utility(world, posts, seen, interests[at, posts.topic[shown.row]], (first[at], second[at]))
    return visits, at, seen, value


def _cut(visits: int, visit: Ints, expected: Floats, target: float, rng: np.random.Generator) -> Bools:
    """Which visits to keep so that their expected events meet the target: a random part of them."""
    weight = np.bincount(visit, weights=expected, minlength=visits)
    order = rng.permutation(visits)
    kept = np.zeros(visits, dtype=np.bool_)
    kept[order[np.cumsum(weight[order]) <= target]] = True
    return kept


def _bot_events(world: World, posts: Posts, day: int, target: float, rng: np.random.Generator) -> Events:
    """Bots like and share each other's spam and what is popular, at an even pace, day and night.

    Each begins its round at another time of every day.
    """
    bots = np.flatnonzero(world.users.bot)
    each = int(min(_BOT_EVENTS, _BOT_SHARE * target / max(len(bots), 1)))
    old = np.flatnonzero(posts.created < day)
    count = each * len(bots) if len(old) else 0
    user = np.repeat(bots, each)[:count]
    begun = np.repeat(uniform(world.salt("bot round"), bots, day), each)[:count]
    pace = begun + np.tile(np.arange(each) / max(each, 1), len(bots))[:count]
    weight = np.exp(posts.quality[old]) * np.where(posts.spam[old], 12.0, 1.0)
    row = rng.choice(old, size=count, p=weight / weight.sum()) if count else np.zeros(0, dtype=np.int64)
    events = Events(
        time=day + np.mod(pace + rng.random(count) / (4 * max(each, 1)), 1.0),
        user=user,
        code=posts.code[row],
        action=_BOT_ACTIONS[rng.integers(0, len(_BOT_ACTIONS), count)],
        value=np.full(count, np.nan),
        position=np.full(count, -1, dtype=np.int64),
        session=_BOT_SESSIONS + user,
        surface=np.full(count, HOME, dtype=np.int64),
    )
    return events.take(posts.author[row] != user)


def _replies(world: World, events: Events, posts: Posts, day: int) -> tuple[Events, Replies]:
    """Make a post of each comment; a quarter answer the reply before them in the thread, if there was one that day."""
    at = np.flatnonzero(events.action == ACTIONS.index("comment"))
    root_code = events.code[at]
    code = base_code(day) + FIRST_REPLY + np.arange(len(at))
    order = np.lexsort((np.arange(len(at)), root_code))
    before = np.full(len(at), -1, dtype=np.int64)
    same = root_code[order][1:] == root_code[order][:-1]
    before[order[1:][same]] = code[order[:-1][same]]
    nested = (before >= 0) & (uniform(world.salt("nested"), code) < _REPLY_TO_REPLY)
    parent = np.where(nested, before, root_code)
    target = events.code.copy()
    target[at] = parent
    by_code = np.argsort(posts.code)
    root = by_code[np.searchsorted(posts.code[by_code], root_code)]
    columns = {name: getattr(events, name) for name in Events.__dataclass_fields__} | {"code": target}
    return Events(**columns), Replies(code, events.user[at], events.time[at], parent, root)

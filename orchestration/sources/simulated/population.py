"""Who lives in a simulated world: users with their fixed traits, circles of common interest, and how both move.

Every trait is a hash of the user's number, so a user is the same however many others a scenario asks for. What moves
(the circles a user belongs to, the interests) is a function of the world's own time, which runs evenly in a world
without drift, faster during a gradual shift, and leaps at a sudden one.

A **circle** is a group of users around one topic and one language; its members read each other's posts. A user belongs
to a first and a second circle and changes them about twice a year.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from orchestration.sources.simulated.chance import Bools, Floats, Ints, normal, uniform
from orchestration.sources.simulated.lexicon import EN, MIXED, ZH, topic_communities, topics
from orchestration.sources.simulated.scenario import Scenario

LEAP_DAYS = 150.0
"""Days of the world's own time that a shift adds: most users are in other circles after it."""

_CIRCLE_DAYS = 180.0
_FOUNDERS = 0.72
_USERS_A_CIRCLE = 36
_POSTS_A_CIRCLE_DAY = 2.5
_FEWEST_CIRCLES, _MOST_CIRCLES = 6, 2000
_LANGUAGES = (0.50, 0.92)
# Regions by language (English, Chinese, both), with their hours from UTC.
_REGIONS = (("US", "GB", "CA", "IN", "AU"), ("CN", "CN", "CN", "SG", "MY"), ("SG", "HK", "US", "CA", "CN"))
_HOURS_FROM_UTC = {
    "US": -6.0,
    "GB": 0.0,
    "CA": -5.0,
    "IN": 5.5,
    "AU": 10.0,
    "CN": 8.0,
    "SG": 8.0,
    "MY": 8.0,
    "HK": 8.0,
}
# How willingly a user of a language (row) reads circles in English, Chinese and mixed.
_READS = np.array([[1.0, 0.0, 0.1], [0.04, 1.0, 0.5], [0.8, 0.8, 1.0]])


@dataclass(frozen=True)
class Circles:
    """Circles by number. Weights are logarithms, before and after a shift."""

    topic: Ints
    language: Ints
    weight_before: Floats
    weight_after: Floats

    def weights(self, level: float) -> Floats:
        """How active each circle is when the world has shifted by `level`, summing to 1."""
        weights = np.exp((1 - level) * self.weight_before + level * self.weight_after)
        return np.asarray(weights / weights.sum(), dtype=np.float64)


@dataclass(frozen=True)
class Users:
    """Fixed traits by user's number. Days are days of the world, with fractions; nobody reads after `left`."""

    joined: Floats
    left: Floats
    bot: Bools
    language: Ints
    region: list[str]
    hours_from_utc: Floats
    chronotype: Floats
    activity: Floats
    authorship: Floats

    def __len__(self) -> int:
        return len(self.joined)


class World:
    """The latent world of a scenario: all that a day's events depend on. Knows no events."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.communities = np.array(topic_communities(), dtype=np.int64)
        self.circles = self._make_circles()
        self.founders = round(_FOUNDERS * scenario.users)
        self.joins_a_day = (scenario.users - self.founders) / scenario.counted_days
        self.users = self._make_users()

    def salt(self, purpose: str) -> int:
        """A number of 64 bits for hashes of one purpose in worlds of one seed."""
        digest = blake2b(f"{self.scenario.seed}/{purpose}".encode(), digest_size=8)
        return int.from_bytes(digest.digest(), "big")

    def level(self, day: float) -> float:
        """How far the world has shifted, 0 to 1: the first shift moves it there, the second back."""
        return sum((-1) ** index * shift.done(day) for index, shift in enumerate(self.scenario.all_shifts))

    def own_time(self, day: float) -> float:
        """The world's own time in days: the calendar's, and what the shifts have added."""
        return day + LEAP_DAYS * sum(shift.done(day) for shift in self.scenario.all_shifts)

    def _make_circles(self) -> Circles:
        scenario = self.scenario
        wanted = min(scenario.users / _USERS_A_CIRCLE, scenario.posts_a_day / _POSTS_A_CIRCLE_DAY)
        count = int(np.clip(round(wanted), _FEWEST_CIRCLES, _MOST_CIRCLES))
        numbers = np.arange(count)
        ranks = np.argsort(np.argsort(uniform(self.salt("circle topic"), numbers)))
        # Languages are dealt out in a fixed ratio, so that every world has circles of each.
        dealt = np.argsort(np.argsort(uniform(self.salt("circle language"), numbers))) / count
        language = np.where(dealt < 0.42, ZH, np.where(dealt < 0.84, EN, MIXED))
        toward_chinese = np.select([language == ZH, language == EN], [0.9, -0.7], 0.3)
        return Circles(
            topic=ranks % len(topics()),
            language=language,
            weight_before=0.5 * normal(self.salt("circle weight"), numbers),
            weight_after=0.8 * normal(self.salt("circle weight after"), numbers) + toward_chinese,
        )

    def _make_users(self) -> Users:
        scenario = self.scenario
        count = self.founders + int(np.ceil(scenario.end_day * self.joins_a_day))
        numbers = np.arange(count)
        newcomer = np.maximum(numbers - self.founders, 0)
        founder = numbers < self.founders
        # Founders joined within the two years before; one newcomer follows the other after that.
        joined = np.where(
            founder,
            -700.0 * uniform(self.salt("joined"), numbers) - 1.0,
            (newcomer + uniform(self.salt("joined"), numbers)) / max(self.joins_a_day, 1e-9),
        )
        # As many leave as join, so that a world without drift keeps its size.
        stay = -np.log1p(-uniform(self.salt("left"), numbers)) * self.founders / max(self.joins_a_day, 1e-9)
        bot = np.zeros(count, dtype=np.bool_)
        bot[np.argsort(uniform(self.salt("bot"), numbers[: self.founders]))[: scenario.bots]] = True
        spoken = uniform(self.salt("language"), numbers)
        language = np.where(spoken < _LANGUAGES[0], EN, np.where(spoken < _LANGUAGES[1], ZH, MIXED))
        drawn = (uniform(self.salt("region"), numbers) * 5).astype(np.int64)
        region = [_REGIONS[spoken][place] for spoken, place in zip(language, drawn, strict=True)]
        return Users(
            joined=joined,
            left=np.where(bot, np.inf, np.maximum(joined, 0.0) + 1.0 + stay),
            bot=bot,
            language=language,
            region=region,
            hours_from_utc=np.array([_HOURS_FROM_UTC[name] for name in region]),
            chronotype=1.3 * normal(self.salt("chronotype"), numbers),
            activity=np.exp(0.8 * normal(self.salt("activity"), numbers)),
            authorship=np.exp(1.1 * normal(self.salt("authorship"), numbers)),
        )

    def present(self, day: float) -> Bools:
        """Who has joined before the day begins, has not left, and is no bot."""
        return (self.users.joined < day) & (self.users.left > day) & ~self.users.bot

    def circles_of(self, users: Ints, day: float) -> tuple[Ints, Ints]:
        """First and second circle of each user on a day."""
        weights = self.circles.weights(self.level(day))
        cumulative = np.cumsum(_READS[:, self.circles.language] * weights, axis=1)
        language = self.users.language[users]
        epoch = np.floor(self.own_time(day) / _CIRCLE_DAYS + uniform(self.salt("circle phase"), users))
        chosen = []
        for rank in (0, 1):
            drawn = uniform(self.salt("circle"), users, rank, epoch)
            circle = np.empty(len(users), dtype=np.int64)
            for spoken in (EN, ZH, MIXED):
                mask = language == spoken
                row = cumulative[spoken]
                circle[mask] = np.searchsorted(row, drawn[mask] * row[-1], side="right")
            chosen.append(np.minimum(circle, len(weights) - 1))
        return chosen[0], chosen[1]

    def interests(self, users: Ints, day: float) -> Floats:
        """Interest of each user (row) in each topic (column) on a day; rows sum to 1.

        A fixed leaning, a slow wave of 60 to 140 days of the world's own time, and what the circles are about, through
        a softmax.
        """
        columns = np.arange(len(topics()))
        grid = users[:, None]
        period = 60.0 + 80.0 * uniform(self.salt("wave period"), grid, columns)
        phase = uniform(self.salt("wave phase"), grid, columns)
        score = 0.5 * normal(self.salt("leaning"), grid, columns)
        score += 0.5 * np.sin(2 * np.pi * (self.own_time(day) / period + phase))
        first, second = self.circles_of(users, day)
        for circle, topical, communal in ((first, 2.0, 0.6), (second, 1.2, 0.3)):
            about = self.circles.topic[circle]
            score += topical * (columns == about[:, None])
            score += communal * (self.communities == self.communities[about][:, None])
        score = np.exp(score)
        return np.asarray(score / score.sum(axis=1, keepdims=True), dtype=np.float64)

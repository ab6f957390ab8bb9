"""A simulated world as batches of the canonical streams, day by day; texts are written here."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from orchestration.sources.simulated.chance import Floats, Ints, generator, uniform
from orchestration.sources.simulated.day import ACTIONS, Day
from orchestration.sources.simulated.feed import SURFACES
from orchestration.sources.simulated.lexicon import EN, MIXED, ZH, topics
from orchestration.sources.simulated.names import Names
from orchestration.sources.simulated.population import World
from orchestration.sources.simulated.supply import Posts, authors_in
from orchestration.sources.simulated.writer import (
    DRAWS_A_TEXT,
    Brief,
    Written,
    handle,
    write_feedback,
    write_post,
    write_reply,
    write_spam,
)

Columns = dict[str, Any]
Streams = Iterator[tuple[str, Columns]]
Planted = list[tuple[str, str, str]]
"""Personal data planted in posts: post id, kind, value."""

_FEEDBACK_SHARE = 0.0004
_RATINGS = np.array([-1, 0, 1, 1, 1])
_EDITED_SHARE = 0.2
_FOLLOWS = (3, 8)
_PLATFORMS = ("android", "ios", "web")
_AGES = ("18-24", "25-34", "35-44", "45-54", "55+")


def _some(values: pa.Array, present: np.ndarray) -> pa.Array:
    """`values` where present, else null."""
    return pa.compute.if_else(pa.array(present), values, pa.scalar(None, values.type))


class Tables:
    """Turns days into columns of the canonical streams; `planted` grows by what the texts hold."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.names = Names(world)
        self.planted: Planted = []
        self._seed = world.scenario.seed

    def events(self, day: Day) -> Columns:
        """The day's events."""
        events = day.events
        return {
            "occurred_at": self.names.times(events.time),
            "user_id": self.names.users(events.user),
            "post_id": self.names.posts(events.code),
            "action": pa.array(ACTIONS).take(pa.array(events.action)),
            "value": pa.array(events.value, from_pandas=True),
            "session_id": self.names.sessions(day.number, events.session),
            "surface": pa.array(SURFACES).take(pa.array(events.surface)),
            "position": _some(pa.array(events.position), events.position >= 0),
        }

    def posts(self, day: int, posts: Posts) -> Columns:
        """The opening posts of a day, with their texts."""
        written = self._openings(day, posts)
        ids = self.names.posts(posts.code)
        self._note(ids, written)
        return {
            "post_id": ids,
            "created_at": self.names.times(posts.created),
            "author_id": self.names.users(posts.author),
            "text": pa.array([text.text for text in written], pa.string()),
            "lang": self._languages(posts.language),
            "topics": self._topics(posts.topic),
            "url": pa.array([f"https://tide.example/{name}" for name in ids.to_pylist()], pa.string()),
        }

    def replies(self, day: Day) -> Columns:
        """The posts that the day's comments made."""
        replies = day.replies
        root = day.posts.take(replies.root)
        briefs = self._reply_briefs(day.number, root)
        numbers = self._numbers("replies", day.number, len(briefs))
        written = [write_reply(brief, row) for brief, row in zip(briefs, numbers, strict=True)]
        ids = self.names.posts(replies.code)
        self._note(ids, written)
        return {
            "post_id": ids,
            "created_at": self.names.times(replies.time),
            "author_id": self.names.users(replies.author),
            "text": pa.array([text.text for text in written], pa.string()),
            "lang": self._languages(root.language),
            "topics": self._topics(root.topic),
            "reply_to": self.names.posts(replies.parent),
        }

    def users(self, numbers: Ints) -> Columns:
        """Users, with what they tell of themselves."""
        users = self.world.users
        platform = (uniform(self.world.salt("platform"), numbers) * len(_PLATFORMS)).astype(np.int64)
        age = (uniform(self.world.salt("age"), numbers) * len(_AGES)).astype(np.int64)
        second = uniform(self.world.salt("speaks"), numbers) < 0.5
        spoken = users.language[numbers]
        return {
            "user_id": self.names.users(numbers),
            "joined_at": self.names.times(users.joined[numbers]),
            "region": [users.region[number] for number in numbers.tolist()],
            "language": pa.array(np.where((spoken == ZH) | ((spoken == MIXED) & second), "zh", "en")),
            "attributes": [
                {"platform": _PLATFORMS[one], "age_band": _AGES[other]}
                for one, other in zip(platform.tolist(), age.tolist(), strict=True)
            ],
        }

    def first_follows(self, day: int, numbers: Ints) -> Columns:
        """Whom users follow from the time they joined on: authors of their circles."""
        rng = generator(self._seed, "follows", day)
        count = rng.integers(_FOLLOWS[0], _FOLLOWS[1] + 1, len(numbers))
        follower = np.repeat(numbers, count)
        first, second = self.world.circles_of(follower, day)
        circle = np.where(rng.random(len(follower)) < 0.7, first, second)
        followee = authors_in(self.world, circle, day, rng) if len(follower) else follower
        joined = self.world.users.joined[follower]
        until = np.maximum(np.floor(joined) + 1.0, 0.0)
        keep = follower != followee
        pair = np.unique(np.stack([follower[keep], followee[keep]]), axis=1, return_index=True)[1]
        rows = np.flatnonzero(keep)[np.sort(pair)]
        return self._follows(
            follower[rows], followee[rows], (joined + rng.random(len(joined)) * (until - joined))[rows]
        )

    def follow_events(self, day: Day) -> Columns:
        """Follows that come of the day's `follow_author` events."""
        rows = np.flatnonzero(day.events.action == ACTIONS.index("follow_author"))
        order = np.argsort(day.posts.code)
        post = order[np.searchsorted(day.posts.code[order], day.events.code[rows])]
        return self._follows(day.events.user[rows], day.posts.author[post], day.events.time[rows])

    def feedback(self, day: int) -> Columns:
        """Judgements of generated texts."""
        world = self.world
        rng = generator(self._seed, "feedback", day)
        present = np.flatnonzero(world.present(day))
        count = int(rng.poisson(_FEEDBACK_SHARE * world.scenario.events_a_day)) if len(present) else 0
        user = rng.choice(present, count) if count else np.zeros(0, dtype=np.int64)
        topic = rng.integers(0, len(topics()), count)
        numbers = self._numbers("feedback texts", day, count)
        texts = [
            write_feedback(Brief(int(about), EN if spoken == EN else ZH, world.level(day)), row)
            for about, spoken, row in zip(topic, world.users.language[user], numbers, strict=True)
        ]
        edited = rng.random(count) < _EDITED_SHARE
        return {
            "request_id": [f"f{self.names.tag}{day:04d}-{number}" for number in range(count)],
            "occurred_at": self.names.times(day + np.sort(rng.random(count))),
            "user_id": self.names.users(user),
            "prompt": [text[0] for text in texts],
            "response": [text[1] for text in texts],
            "rating": pa.array(_RATINGS[rng.integers(0, len(_RATINGS), count)]),
            "edited_text": [text[2] if take else None for text, take in zip(texts, edited, strict=True)],
        }

    def _follows(self, follower: Ints, followee: Ints, time: Floats) -> Columns:
        return {
            "follower_id": self.names.users(follower),
            "followee_id": self.names.users(followee),
            "created_at": self.names.times(time),
        }

    def _numbers(self, purpose: str, day: int, count: int) -> list[list[int]]:
        rng = generator(self._seed, purpose, day)
        rows: list[list[int]] = rng.integers(0, 2**32, (count, DRAWS_A_TEXT), dtype=np.uint32).tolist()
        return rows

    def _openings(self, day: int, posts: Posts) -> list[Written]:
        level = self.world.level(day)
        numbers = self._numbers("texts", day, len(posts))
        written = []
        columns = (
            posts.topic,
            posts.language,
            posts.series,
            posts.part,
            posts.parts,
            posts.spam,
            posts.author,
        )
        for row, values in zip(
            numbers, zip(*(column.tolist() for column in columns), strict=True), strict=True
        ):
            topic, language, series, part, parts, spam, author = values
            mention = handle(author * 7 + row[0] % 50, language)
            brief = Brief(topic, language, level, series, part, parts, mention)
            written.append(write_spam(brief, row) if spam else write_post(brief, row))
        return written

    def _reply_briefs(self, day: int, root: Posts) -> list[Brief]:
        level = self.world.level(day)
        return [
            Brief(topic, language, level, mention=handle(author, language))
            for topic, language, author in zip(
                root.topic.tolist(), root.language.tolist(), root.author.tolist(), strict=True
            )
        ]

    def _note(self, ids: pa.Array, written: list[Written]) -> None:
        for name, text in zip(ids.to_pylist(), written, strict=True):
            self.planted += [(name, kind, value) for kind, value in text.planted]

    @staticmethod
    def _languages(language: Ints) -> pa.Array:
        """Tags as an app would know them; those of mixed posts it does not, they are left to be detected."""
        return pa.array(["en", "zh", None], pa.string()).take(pa.array(language))

    @staticmethod
    def _topics(topic: Ints) -> list[list[str]]:
        named = [[entry.community, entry.name] for entry in topics()]
        return [named[number] for number in topic.tolist()]

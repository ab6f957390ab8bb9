"""The feed as the server knows it: the published state, and every event that came in since.

An event is observed at once, so the next recommendation knows it. When a newer state is published, the events that it
already holds are dropped and the others are replayed into it. One thread (`_turn`) changes the state, in the order of
arrival.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import structlog
from pydantic import ValidationError

from serving.batcher import Batcher
from serving.canonical import Event
from serving.metrics import Metrics
from serving.models import Ranker, RecommenderEngine, State
from training.recommender.feed.messages import Ranking, Request

ASKERS = 2
"""Threads that compute recommendations; the array work lets go of the interpreter lock."""
MOST_TOGETHER = 8
"""Requests that one thread answers together."""
COMPANY = 4
"""Requests that wait before a second thread joins in: batches of one or two cost three times as much a request."""
REMEMBERED = 100_000
"""Live events kept for replay into the next state; older ones wait in the landing zone for the lake."""
_KEY = pa.schema(
    [
        ("user_id", pa.string()),
        ("post_id", pa.string()),
        ("action", pa.string()),
        ("occurred_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True)
class LiveEvent:
    """The part of an event that the state looks at."""

    user_id: str
    post_id: str
    action: str
    occurred_at: datetime
    value: float | None = None

    @classmethod
    def of(cls, event: Event) -> "LiveEvent":
        """From a validated event."""
        return cls(event.user_id, event.post_id, event.action, event.occurred_at, event.value)

    def show(self, state: State) -> None:
        """Let `state` observe it."""
        state.observe(self.user_id, self.post_id, self.action, self.occurred_at.timestamp(), self.value)


@dataclass(frozen=True)
class StateInfo:
    """Which state answers."""

    id: str
    lake_snapshot: int
    published_at: str
    loaded_at: datetime

    def shown(self) -> dict[str, Any]:
        """For /readyz and /v1/models."""
        return {
            "id": self.id,
            "lake_snapshot": self.lake_snapshot,
            "published_at": self.published_at,
            "loaded_at": self.loaded_at,
        }


@dataclass(frozen=True)
class Desk:
    """What answers a request for recommendations: one model over one state, replaced as a whole."""

    version: str
    ranker: Ranker

    def answer(self, requests: Sequence[Request]) -> list[Ranking]:
        """Answers, in the order of `requests`."""
        return self.ranker.answer(requests)


class LiveFeed:
    """Holds the state, the live events and the model over them. `observe` and `ask` from the event loop, `publish` and
    `employ` from loader threads: these prepare everything aside, so that requests never wait for a swap."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._turn = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._batcher: Batcher[Request, Ranking] = Batcher(ASKERS, MOST_TOGETHER, "recommend", COMPANY)
        self._changing = threading.Lock()
        self._recent: deque[LiveEvent] = deque(maxlen=REMEMBERED)
        self._arrived = 0
        self._state: State | None = None
        self._employed: tuple[str, RecommenderEngine] | None = None
        self._log = structlog.get_logger()
        self.info: StateInfo | None = None
        self.desk: Desk | None = None
        """None until there are both a state and a model."""

    async def observe(self, events: Sequence[LiveEvent]) -> None:
        """Take in events; returns when the state knows them."""
        await asyncio.get_running_loop().run_in_executor(self._turn, self._take_in, events)

    async def ask(self, desk: Desk, request: Request) -> Ranking:
        """The answer of `desk`. Raises whatever its model raises on this request."""
        return await self._batcher.ask(desk, request)

    def recall(self, folder: Path) -> int:
        """Remember the events in the sealed segments of `folder`: acknowledged, but perhaps not yet in the lake.

        Returns how many; to be called before the first state is loaded. Raises OSError.
        """
        newest: list[LiveEvent] = []
        for path in sorted(folder.glob("*.jsonl"), reverse=True):
            newest[:0] = _read_segment(path)
            if len(newest) >= REMEMBERED:
                break
        self._take_in(newest[-REMEMBERED:])
        return len(self._recent)

    def publish(self, state: State, info: StateInfo, interactions: Path) -> None:
        """Put a newly loaded state in place. Raises what the model raises when it is prepared; nothing changes then.

        Most of the replay happens before the swap; only what arrived meanwhile is replayed while new events wait.
        """
        with self._changing:
            arrived, recent = self._turn.submit(lambda: (self._arrived, list(self._recent))).result()
            missing = not_in(interactions, recent)
            for event in missing:
                event.show(state)
            desk = None
            if self._employed is not None:
                version, engine = self._employed
                desk = Desk(version, engine.on(state))
            self._turn.submit(self._swap, state, info, missing, arrived, desk).result()

    def employ(self, version: str, engine: RecommenderEngine) -> None:
        """Let another model answer. Raises what it raises when it is prepared; the former one answers on then."""
        with self._changing:
            desk = None if self._state is None else Desk(version, engine.on(self._state))
            self._employed, self.desk = (version, engine), desk

    def dismiss(self) -> None:
        """Let no model answer."""
        with self._changing:
            self._employed, self.desk = None, None

    def close(self) -> None:
        """Let what was asked finish, then stop."""
        self._turn.shutdown(wait=True)
        self._batcher.close()

    def _take_in(self, events: Sequence[LiveEvent]) -> None:
        self._recent.extend(events)
        self._arrived += len(events)
        self._metrics.live_events.set(len(self._recent))
        if self._state is not None:
            for event in events:
                event.show(self._state)

    def _swap(
        self, state: State, info: StateInfo, missing: list[LiveEvent], arrived: int, desk: Desk | None
    ) -> None:
        late = list(islice(reversed(self._recent), self._arrived - arrived))[::-1]
        for event in late:
            event.show(state)
        self._recent = deque([*missing, *late], maxlen=REMEMBERED)
        self._state, self.info, self.desk = state, info, desk
        self._metrics.live_events.set(len(self._recent))
        self._metrics.state_published.set(datetime.fromisoformat(info.published_at).timestamp())
        self._log.info(
            "state loaded", state=info.id, lake_snapshot=info.lake_snapshot, live_events=len(self._recent)
        )


def _read_segment(path: Path) -> list[LiveEvent]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:  # ingested between listing and reading
        return []
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(LiveEvent.of(Event.model_validate_json(line)))
        except ValidationError as error:
            # Not ours to judge: the lake's border quarantines it with the reason.
            structlog.get_logger().warning(
                "journal line passed over", file=path.name, line=number, reason=str(error)
            )
    return events


def _table(events: Iterable[LiveEvent]) -> pa.Table:
    rows = [(e.user_id, e.post_id, e.action, e.occurred_at) for e in events]
    columns = list(zip(*rows, strict=True)) or [()] * len(_KEY)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _KEY, strict=True)]
    return pa.table(arrays, schema=_KEY)


def not_in(interactions: Path, events: list[LiveEvent]) -> list[LiveEvent]:
    """The events that the Parquet file of published interactions does not hold, in their order. Raises OSError."""
    if not events:
        return []
    table = _table(events).append_column("at", pa.array(range(len(events)), pa.int64()))
    earliest = min(event.occurred_at for event in events)
    known = pq.read_table(interactions, columns=_KEY.names, filters=[("occurred_at", ">=", earliest)])
    left = table.join(known.cast(_KEY), keys=_KEY.names, join_type="left anti")
    return [events[at] for at in sorted(left["at"].to_pylist())]

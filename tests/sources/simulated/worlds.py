"""Small worlds for tests, generated once a session, and helpers to take them apart."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from orchestration.sources import get_reader
from orchestration.sources.simulated import Scenario, write_scenario
from orchestration.sources.simulated.day import ACTIONS, Chronicle, Day
from orchestration.sources.simulated.population import World

SMALL = {"users": 300, "posts": 900, "events": 12_000, "days": 14}

Streams = dict[str, pa.Table]


@lru_cache(maxsize=8)
def days(**knobs: Any) -> tuple[World, list[Day]]:
    """All days of a world."""
    scenario = Scenario(**(SMALL | knobs))
    world = World(scenario)
    chronicle = Chronicle(world)
    return world, [chronicle.day(number) for number in range(scenario.first_day, scenario.end_day)]


def streams(folder: Path, scenario: Scenario) -> Streams:
    """A scenario read as the product reads it."""
    path = folder / "world.yaml"
    write_scenario(path, scenario)
    batches: dict[str, list[pa.RecordBatch]] = {}
    for stream, batch in get_reader("simulated").read(path):
        batches.setdefault(stream, []).append(batch)
    return {stream: pa.Table.from_batches(pieces) for stream, pieces in batches.items()}


def action_number(action: str) -> int:
    return ACTIONS.index(action)


def column(played: list[Day], name: str) -> np.ndarray:
    """A column of the events of all days."""
    return np.concatenate([getattr(day.events, name) for day in played])

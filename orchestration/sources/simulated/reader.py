"""Reader of simulated worlds: the path is a scenario, a small YAML or JSON file; see `scenario`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestration.sources.assemble import assemble
from orchestration.sources.base import Batches, Progress, quiet
from orchestration.sources.schema import BATCH_ROWS
from orchestration.sources.simulated.day import Chronicle
from orchestration.sources.simulated.population import World
from orchestration.sources.simulated.scenario import BACKLOG_DAYS, load_scenario
from orchestration.sources.simulated.supply import Posts
from orchestration.sources.simulated.tables import Columns, Tables
from orchestration.sources.simulated.truth import truth_folder, write_truth
from training.errors import UserError

_DAYS_A_LINE = 10
_ENDINGS = {".json", ".yaml", ".yml"}


class _Gatherer:
    """Gathers small batches of a stream until they make a large one."""

    def __init__(self) -> None:
        self.held: dict[str, list[pa.RecordBatch]] = {}
        self.rows: dict[str, int] = {}

    def add(self, stream: str, columns: Columns) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Keep a piece, row numbers given; hand over what is full."""
        count = len(next(iter(columns.values())))
        first = self.rows.get(stream, 0) + 1
        self.rows[stream] = first + count - 1
        for start in range(0, count, BATCH_ROWS):
            part = {name: column[start : start + BATCH_ROWS] for name, column in columns.items()}
            length = min(BATCH_ROWS, count - start)
            rows = pa.array(np.arange(first + start, first + start + length))
            held = self.held.setdefault(stream, [])
            if sum(batch.num_rows for batch in held) + length > BATCH_ROWS:
                yield stream, self._take(stream)
            self.held.setdefault(stream, []).append(assemble(stream, part, rows))

    def rest(self) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Hand over what is left."""
        for stream in list(self.held):
            yield stream, self._take(stream)

    def _take(self, stream: str) -> pa.RecordBatch:
        return pa.concat_batches(self.held.pop(stream))


class SimulatedReader:
    """Generates the days of a scenario; see the package."""

    name = "simulated"
    summary = "a seeded social network with known truth: the path is a scenario file (YAML or JSON)"

    def files(self, path: Path) -> list[Path]:
        """The scenario itself. Raises UserError when it is none."""
        if path.suffix.lower() not in _ENDINGS:
            raise UserError(f"{path}: the simulated reader reads a scenario file (.yaml, .yml or .json)")
        load_scenario(path)
        return [path]

    def read(self, file: Path, progress: Progress = quiet) -> Batches:
        """Stream the scenario's days; the truth, where it is asked for, is written after the last one."""
        scenario = load_scenario(file)
        world = World(scenario)
        tables = Tables(world)
        gatherer = _Gatherer()
        delivered: list[Posts] = []
        for stream, columns in _pieces(world, tables, delivered, progress):
            yield from gatherer.add(stream, columns)
        yield from gatherer.rest()
        folder = truth_folder(file, world)
        if folder is not None:
            write_truth(folder, world, tables.names, delivered, tables.planted)
            progress(f"wrote the truth to {folder}")


def _pieces(
    world: World, tables: Tables, delivered: list[Posts], progress: Progress
) -> Iterator[tuple[str, Columns]]:
    """The streams' rows a day at a time, users before what they do; what is opened is also put into `delivered`."""
    scenario = world.scenario
    chronicle = Chronicle(world)
    joined = world.users.joined
    if scenario.first_day == 0:
        founders = np.flatnonzero(joined < 0)
        yield "users", tables.users(founders)
        yield "follows", tables.first_follows(0, founders)
        for number in range(-BACKLOG_DAYS, 0):
            delivered.append(chronicle.posts_on(number))
            yield "posts", tables.posts(number, delivered[-1])
    total = 0
    for number in range(scenario.first_day, scenario.end_day):
        newcomers = np.flatnonzero((joined >= max(number, 0)) & (joined < number + 1))
        yield "users", tables.users(newcomers)
        yield "follows", tables.first_follows(number, newcomers)
        day = chronicle.day(number)
        delivered.append(day.new)
        yield "posts", tables.posts(number, day.new)
        yield "events", tables.events(day)
        yield "posts", tables.replies(day)
        yield "follows", tables.follow_events(day)
        yield "feedback", tables.feedback(number)
        total += len(day.events)
        done = number + 1 - scenario.first_day
        if done % _DAYS_A_LINE == 0 or done == scenario.days:
            progress(f"simulated day {done} of {scenario.days}: {total:,} events")

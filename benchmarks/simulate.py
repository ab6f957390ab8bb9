"""How fast is the simulated world? Prints a table; `python -m benchmarks.simulate --help`.

The peer is the same choice model, one impression after the other in plain Python: utility, view, dwell, every action.
It gets its feed for nothing (random posts, no circles, no ranking, no texts), so its figure flatters it. The floor is
pyarrow reading and writing the finished rows.
"""

import argparse
import math
import random
import tempfile
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.measured import measure, table
from orchestration.lake.ingest import ingest
from orchestration.sources import get_reader
from orchestration.sources.simulated import Scenario, choice, load_scenario, write_scenario
from orchestration.sources.simulated.day import Chronicle
from orchestration.sources.simulated.population import World
from serving.settings import Settings


def _sigmoid(value: float) -> float:
    return 1.0 / (1.0 + math.exp(-value))


def naive_events(count: int, seed: int) -> list[tuple[float, int, int, str, float | None, int]]:
    """At least `count` events of the choice model by a loop: time, user, post, action, dwell seconds, position."""
    chance = random.Random(seed)
    events: list[tuple[float, int, int, str, float | None, int]] = []
    while len(events) < count:
        user, start = chance.randrange(8000), chance.random() * 42
        for position in range(chance.randint(5, 9)):
            post, age = chance.randrange(25_000), chance.random() * 21
            taste, quality, interest = chance.gauss(0, 1), chance.gauss(0, 1), chance.expovariate(1.0)
            value = 0.45 * min(max(math.log(interest + 1e-9), -1 / 0.45), 1.2 / 0.45)
            value += 0.8 * taste + 0.35 * quality - 0.05 * age + (0.0 if chance.random() < 0.8 else -1.5)
            moment = start + 4.0 * position / 86_400
            events.append((moment, user, post, "impression", None, position))
            if chance.random() >= _sigmoid(0.9 * value - 0.4) / (1 + 0.22 * position):
                continue
            dwell = round(min(max(math.exp(1.5 + 0.6 * value + 0.7 * chance.gauss(0, 1)), 0.5), 600.0), 1)
            events.append((moment, user, post, "view", dwell, position))
            for action, (intercept, slope) in choice.ACTIONS.items():
                if chance.random() < _sigmoid(intercept + slope * value):
                    events.append((moment, user, post, action, None, position))
    return events


def _read(scenario: Path, folder: Path | None = None) -> None:
    """Read a world; keep its rows in `folder` where there is one."""
    writers: dict[str, pq.ParquetWriter] = {}
    for stream, batch in get_reader("simulated").read(scenario):
        if folder is not None:
            if stream not in writers:
                writers[stream] = pq.ParquetWriter(folder / f"{stream}.parquet", batch.schema)
            writers[stream].write_batch(batch)
    for writer in writers.values():
        writer.close()


def _play(path: Path) -> None:
    """Visits, slates and choices of every day as numbers, without names and texts."""
    scenario = load_scenario(path)
    chronicle = Chronicle(World(scenario))
    for number in range(scenario.end_day):
        chronicle.day(number)


def _rewrite(folder: Path) -> None:
    for file in folder.glob("*.parquet"):
        pq.write_table(
            pq.read_table(file), file.with_suffix(".again"), compression="zstd", compression_level=1
        )


def _ingest(home: Path, scenario: Path) -> None:
    ingest(Settings(home=home), scenario, "simulated", lambda _: None)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the world")
    parser.add_argument("--naive-events", type=int, default=100_000, help="events that the loop makes")
    known = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-benchmark-") as temporary:
        folder = Path(temporary)
        path = folder / "world.json"
        write_scenario(path, Scenario(users=8000, posts=known.events // 40, events=known.events, days=42))
        _read(path, folder)
        count = pq.read_metadata(folder / "events.parquet").num_rows
        peer = "loop in Python, choices only"
        measured = [
            measure("pyarrow reads and writes the finished rows", count, partial(_rewrite, folder)),
            measure("feed, series, bots and choices as numbers", count, partial(_play, path)),
            measure("simulated reader: events, texts, replies, follows", count, partial(_read, path)),
            measure(
                "`tidegate simulate`: reader, border, landing, lake",
                count,
                partial(_ingest, folder / "home", path),
            ),
            measure(peer, known.naive_events, partial(naive_events, known.naive_events, 7)),
        ]
    print(table(measured, peer))


if __name__ == "__main__":
    main()

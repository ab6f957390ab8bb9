"""What is known of a simulated world and no product may read: written apart, for tests and measurements.

| file | content |
|---|---|
| `users.parquet` | a row per user and week: user_id, week (first day), interests, first_circle, second_circle, bot |
| `personal.parquet` | a row per planted piece of personal data: post_id, kind, value |
| `series.parquet` | a row per part of a series: post_id, series, part, parts |
| `world.json` | the scenario, the bots, the topics in order, the shifts with dates, the columns that they move |
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.sources.simulated.chance import Ints
from orchestration.sources.simulated.lexicon import topics
from orchestration.sources.simulated.names import Names
from orchestration.sources.simulated.population import World
from orchestration.sources.simulated.supply import Posts
from orchestration.sources.simulated.tables import Planted
from training.files import write_json_atomic

MOVED_COLUMNS: tuple[str, ...] = (
    "interactions.hour",
    "posts.lang",
    "posts.community",
    "posts.n_chars",
    "documents.lang",
    "documents.community",
    "documents.length",
    "documents.share_cjk",
)
"""Columns of the marts (`table.column`) that a shift moves on purpose: times, languages, communities, lengths."""

FOLLOWING_COLUMNS: tuple[str, ...] = (
    "documents.mean_word_length",
    "documents.n_hashtags",
    "documents.share_digits",
    "documents.share_emoji",
    "documents.share_punctuation",
    "documents.type_token_ratio",
    "posts.n_hashtags",
    "top_answers.community",
    "top_answers.lang",
)
"""Columns that may move because those do. All others stay as they are."""


def truth_folder(scenario_file: Path, world: World) -> Path | None:
    """Where the truth of this stretch goes; None where the scenario asks for none."""
    truth = world.scenario.truth
    return scenario_file.parent / truth / f"day-{world.scenario.first_day:05d}" if truth else None


def _interests(world: World, names: Names) -> pa.Table:
    scenario = world.scenario
    numbers: Ints = np.arange(len(world.users))
    tables = []
    for week in range(scenario.first_day, scenario.end_day, 7):
        first, second = world.circles_of(numbers, week)
        flat = pa.array(world.interests(numbers, week).ravel())
        columns = {
            "user_id": names.users(numbers),
            "week": pa.array(np.full(len(numbers), week)),
            "interests": pa.FixedSizeListArray.from_arrays(flat, len(topics())).cast(pa.list_(pa.float64())),
            "first_circle": pa.array(first),
            "second_circle": pa.array(second),
            "bot": pa.array(world.users.bot),
        }
        tables.append(pa.table(columns))
    return pa.concat_tables(tables)


def _series(posts: list[Posts], names: Names) -> pa.Table:
    parts = [piece.take(piece.series >= 0) for piece in posts]
    return pa.table(
        {
            "post_id": names.posts(np.concatenate([piece.code for piece in parts])),
            "series": np.concatenate([piece.series for piece in parts]),
            "part": np.concatenate([piece.part for piece in parts]),
            "parts": np.concatenate([piece.parts for piece in parts]),
        }
    )


def _world(world: World, names: Names) -> dict[str, Any]:
    scenario = world.scenario
    shifts = [
        shift.model_dump() | {"date": scenario.date_of(shift.day).isoformat()}
        for shift in scenario.all_shifts
    ]
    return {
        "scenario": scenario.model_dump(mode="json"),
        "bots": names.users(np.flatnonzero(world.users.bot)).to_pylist(),
        "topics": [topic.name for topic in topics()],
        "shifts": shifts,
        "moved": list(MOVED_COLUMNS) if scenario.shift else [],
        "following": list(FOLLOWING_COLUMNS) if scenario.shift else [],
    }


def write_truth(folder: Path, world: World, names: Names, posts: list[Posts], planted: Planted) -> None:
    """Write the truth of a stretch; `world.json` comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    personal = pa.table(
        {
            name: pa.array([row[column] for row in planted], pa.string())
            for column, name in enumerate(("post_id", "kind", "value"))
        }
    )
    pq.write_table(_interests(world, names), folder / "users.parquet")
    pq.write_table(personal, folder / "personal.parquet")
    pq.write_table(_series(posts, names), folder / "series.parquet")
    write_json_atomic(folder / "world.json", _world(world, names))

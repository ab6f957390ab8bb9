"""Does the drift check cry wolf, and does it see the wolf? Prints a table; `python -m benchmarks.drift --help`.

Each seed is a simulated world of six weeks, landed, loaded and built by dbt like any other data; a model's training
ends with the fifth week, and the sixth is the latest window. Without drift every drifted column is a false alarm; after
a sudden shift on that very morning the columns that were moved are known. The peer is Evidently on the same two windows
with its own methods and thresholds, column by column.
"""

import argparse
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from orchestration.drift_watch import watched_frames
from orchestration.home import prepare_home
from orchestration.lake.connection import current_snapshot
from orchestration.lake.features import build_features
from orchestration.promotion.policy import load_policy
from orchestration.quality.drift import compare_windows
from orchestration.quality.drift_features import FEATURE_SPECS, time_span
from orchestration.quality.drift_model import FeatureSpec
from orchestration.quality.drift_windows import Windows, choose_windows, split
from orchestration.sources.simulated.truth import FOLLOWING_COLUMNS, MOVED_COLUMNS
from orchestration.world import simulate
from serving.pointers import KINDS
from serving.settings import Settings
from training.bundle import Kind

DAYS, SHIFT_DAY = 42, 35
_TABLE = """\
| drift | seed | family | check | columns judged | drifted | moved on purpose and found | neither moved nor following |
|---|---|---|---|---|---|---|---|"""


@dataclass(frozen=True)
class Found:
    """What one check said about one world."""

    judged: set[str]
    drifted: set[str]

    def row(self, drift: str, seed: int, model: str, check: str) -> str:
        """A line of the table."""
        moved = set(MOVED_COLUMNS) & self.judged if drift != "none" else set()
        false = (
            self.drifted - set(MOVED_COLUMNS) - set(FOLLOWING_COLUMNS) if drift != "none" else self.drifted
        )
        missed = f" (not {', '.join(sorted(moved - self.drifted))})" if moved - self.drifted else ""
        told = f"{len(moved & self.drifted)} of {len(moved)}{missed}" if moved else "-"
        alarms = f"{len(false)} ({', '.join(sorted(false))})" if false else "0"
        head = f"| {drift} | {seed} | {model} | {check} "
        return f"{head}| {len(self.judged)} | {len(self.drifted)} | {told} | {alarms} |"


def world(seed: int, drift: str, folder: Path, events: int) -> Settings:
    """A world of six weeks in a home of its own, up to its feature tables."""
    settings = Settings(home=folder, world_seed=seed, world_days=DAYS, world_events=events)
    prepare_home(settings)
    knobs = {"drift": drift} | ({"drift_day": SHIFT_DAY} if drift != "none" else {})
    simulate(settings, knobs, lambda _: None)
    build_features(settings, lambda _: None)
    return settings


def ours(model: Kind, frames: dict[str, pd.DataFrame], windows: Windows) -> Found:
    """The check of this project, by the gate's own policy."""
    policy = load_policy(model).drift.columns
    report = compare_windows(frames, windows, FEATURE_SPECS[model], policy, name="benchmark")
    return Found({c.name for c in report.judged}, {c.name for c in report.drifted})


def evidently(model: Kind, frames: dict[str, pd.DataFrame], windows: Windows) -> Found:
    """Evidently with its own choice of method and threshold for every column."""
    judged: set[str] = set()
    drifted: set[str] = set()
    for table, frame in frames.items():
        reference, current = split(frame, windows)
        for spec in (spec for spec in FEATURE_SPECS[model] if spec.table == table):
            outcome = _evidently_column(spec, reference, current)
            if outcome is not None:
                judged.add(spec.name)
                drifted |= {spec.name} if outcome else set()
    return Found(judged, drifted)


def _evidently_column(spec: FeatureSpec, reference: pd.DataFrame, current: pd.DataFrame) -> bool | None:
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    sides = [side[[spec.column]].dropna() for side in (reference, current)]
    if min(map(len, sides)) == 0 or sides[0][spec.column].nunique() < 2:
        return None
    if spec.kind == "categorical":
        sides = [side.astype(str) for side in sides]
        definition = DataDefinition(categorical_columns=[spec.column])
    else:
        sides = [side.astype(float) for side in sides]
        definition = DataDefinition(numerical_columns=[spec.column])
    left, right = (Dataset.from_pandas(side, data_definition=definition) for side in sides)
    snapshot = Report([ValueDrift(column=spec.column)], include_tests=True).run(right, left)
    return any(test["status"] == "FAIL" for test in snapshot.dict()["tests"])


def main() -> None:
    """Print the table, a line as it comes, and the sums."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds", type=int, default=10, help="Worlds without drift: seeds 0 to this, exclusive."
    )
    parser.add_argument("--shifted", type=int, default=3, help="Worlds with a sudden shift, from seed 0 on.")
    parser.add_argument("--events", type=int, default=150_000, help="Events of each world.")
    options = parser.parse_args()
    print(_TABLE)
    plan = [("none", seed) for seed in range(options.seeds)]
    plan += [("sudden", seed) for seed in range(options.shifted)]
    alarms = {"tidegate": 0, "evidently": 0}
    for drift, seed in plan:
        with tempfile.TemporaryDirectory(prefix="tidegate-drift-") as folder:
            settings = world(seed, drift, Path(folder), options.events)
            for model in KINDS:
                frames = watched_frames(settings, model, current_snapshot(settings))
                span = time_span(frames)
                assert span is not None
                end = span[1].to_pydatetime()
                border = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=SHIFT_DAY)
                windows = choose_windows(span[0].to_pydatetime(), border, end)
                for check, found in (
                    ("tidegate", ours(model, frames, windows)),
                    ("evidently", evidently(model, frames, windows)),
                ):
                    print(found.row(drift, seed, model, check), flush=True)
                    alarms[check] += len(found.drifted) if drift == "none" else 0
    print(f"\nFalse alarms over {options.seeds} worlds without drift: {alarms}")


if __name__ == "__main__":
    main()

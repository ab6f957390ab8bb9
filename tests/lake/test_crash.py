import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestration.lake.connection import read_table
from orchestration.lake.ingest import ingest, ingest_incoming
from orchestration.lake.landing import landed_batches
from orchestration.lake.rebuild import rebuild
from orchestration.lake.status import raw_counts
from orchestration.lake.verify import verify_landing
from serving.settings import Settings
from tests.lake.fakes import event, post, silent, write_rows
from tests.lake.features import build_features, feature_hashes

ROOT = Path(__file__).resolve().parents[2]
PHASES = (
    "while rows are written",
    "when the files are there and no manifest",
    "between two manifests",
    "when all manifests are there",
    "when rows are inserted and not committed",
    "when the load is committed",
)


def _kill(settings: Settings, phase: str, what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.lake.killed", str(settings.home), phase, what],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def _content(settings: Settings) -> dict[str, list[Any]]:
    return {
        "events": sorted(read_table(settings, "raw.events")["event_id"].to_pylist()),
        "posts": sorted(read_table(settings, "raw.posts")["post_id"].to_pylist()),
        "ledger": sorted(read_table(settings, "ops.file_ledger")["rows_new"].to_pylist()),
    }


@pytest.mark.parametrize("phase", PHASES)
def test_an_ingest_killed_at_any_phase_is_completed_by_the_next_with_nothing_lost_or_doubled(
    phase: str, settings: Settings, tmp_path: Path
) -> None:
    ingest(settings, write_rows(tmp_path / "before.jsonl", [event(1), post(1)]), "fake", silent)
    file = write_rows(tmp_path / "a.jsonl", [event(2), event(3), post(1), post(2)])
    _kill(settings, phase, str(file))
    ingest(settings, file, "fake", silent)
    expected = {"events": ["e1", "e2", "e3"], "posts": ["p1", "p2"], "ledger": [1, 1, 1, 2]}
    assert _content(settings) == expected
    assert verify_landing(settings) == []
    assert not list(settings.landing_dir.rglob("*.tmp"))
    ingest(settings, file, "fake", silent)
    assert _content(settings) == expected


def test_a_load_that_was_killed_is_made_up_for_by_whatever_is_ingested_next(
    settings: Settings, tmp_path: Path
) -> None:
    _kill(
        settings,
        "when rows are inserted and not committed",
        str(write_rows(tmp_path / "a.jsonl", [event(1)])),
    )
    report = ingest(settings, write_rows(tmp_path / "b.jsonl", [event(2)]), "fake", silent)
    assert report.rows_new == {"events": 2}


def test_a_file_in_incoming_whose_ingest_was_killed_is_archived_by_the_next(settings: Settings) -> None:
    row = {name: value for name, value in event(1).items() if name != "stream"}
    file = write_rows(settings.incoming_dir / "events.jsonl", [row])
    _kill(settings, "before incoming is cleared", "incoming")
    assert file.exists()
    assert ingest_incoming(settings, silent).files[0].outcome == "known"
    assert not file.exists()
    assert raw_counts(settings)["events"] == 1


@pytest.mark.parametrize(
    "phase",
    [
        "while the new lake is built",
        "before the new lake is adopted",
        "when the new lake is moved and the link is not",
    ],
)
def test_a_rebuild_killed_at_any_phase_leaves_the_old_lake_and_can_be_done_again(
    phase: str, settings: Settings, tmp_path: Path
) -> None:
    ingest(settings, write_rows(tmp_path / "a.jsonl", [event(1), event(2), post(1)]), "fake", silent)
    build_features(settings)
    before = feature_hashes(settings)
    _kill(settings, phase, "rebuild")
    assert feature_hashes(settings) == before
    assert len(landed_batches(settings)) == 2
    report = rebuild(settings, build_features, silent, hashes=feature_hashes)
    assert report.not_compared == ""
    assert feature_hashes(settings) == before
    assert verify_landing(settings) == []
    assert sorted(path.name for path in (settings.lake_dir / "generations").iterdir()) == ["1", "2"]

from pathlib import Path

import pytest

from orchestration.lake.connection import current_snapshot
from orchestration.lake.ingest import ingest
from orchestration.lake.quality_store import latest_results, record_results
from orchestration.quality.expectations import CheckResult
from serving.settings import Settings
from tests.lake.fakes import event, silent, write_rows
from training.errors import UserError


def _result(suite: str, success: bool, observed: float = 0.0, column: str = "c") -> CheckResult:
    return CheckResult(suite, "expect", column, success, True, observed, "" if success else "wrong")


@pytest.fixture
def filled(settings: Settings, tmp_path: Path) -> Settings:
    ingest(settings, write_rows(tmp_path / "a.jsonl", [event(1)]), "fake", silent)
    return settings


def test_without_a_lake_there_are_no_results(settings: Settings) -> None:
    assert latest_results(settings) == []


def test_the_newest_recording_of_a_suite_counts(filled: Settings) -> None:
    snapshot = current_snapshot(filled)
    record_results(
        filled, [_result("training.posts", False, 3.0), _result("training.users", True)], snapshot=snapshot
    )
    record_results(filled, [_result("training.posts", True)], snapshot=snapshot)
    found = {row["suite"]: row for row in latest_results(filled) if row["suite"].startswith("training")}
    assert found["training.posts"]["success"] and found["training.users"]["success"]
    assert found["training.posts"]["snapshot"] == snapshot


def test_results_of_training_tables_belong_to_exactly_one_snapshot(filled: Settings) -> None:
    first = current_snapshot(filled)
    record_results(filled, [_result("training.posts", True)], snapshot=first)
    second = current_snapshot(filled)
    suites = {row["suite"] for row in latest_results(filled, first)}
    assert suites == {"border.events", "training.posts"}
    assert {row["suite"] for row in latest_results(filled, second)} == {"border.events"}


def test_border_results_of_a_snapshot_are_those_known_then(filled: Settings, tmp_path: Path) -> None:
    then = current_snapshot(filled)
    rows = [event(number) for number in range(50)]
    rows[0]["action"] = "dance"
    ingest(filled, write_rows(tmp_path / "b.jsonl", rows), "fake", silent)
    assert all(row["success"] for row in latest_results(filled, then))
    failed = [row for row in latest_results(filled) if not row["success"]]
    assert [(row["column"], row["observed"]) for row in failed] == [("action", 1.0)]


def test_batches_of_one_load_are_told_together(settings: Settings, tmp_path: Path) -> None:
    for name in ("a", "b"):
        rows = [event(number, event_id=f"{name}{number}") for number in range(50)]
        rows[0]["action"] = "dance"
        write_rows(tmp_path / "in" / f"{name}.jsonl", rows)
    ingest(settings, tmp_path / "in", "fake", silent)
    (failed,) = [row for row in latest_results(settings) if not row["success"]]
    assert failed["observed"] == 2.0


def test_what_could_not_be_measured_is_kept_as_a_failure_without_a_number(filled: Settings) -> None:
    snapshot = current_snapshot(filled)
    record_results(filled, [_result("training.posts", False, float("nan"))], snapshot=snapshot)
    (row,) = [row for row in latest_results(filled, snapshot) if row["suite"] == "training.posts"]
    assert row["observed"] is None and not row["success"]


def test_an_unknown_snapshot_is_told(filled: Settings) -> None:
    with pytest.raises(UserError, match="no snapshot 99"):
        latest_results(filled, 99)

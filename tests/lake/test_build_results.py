import json
from pathlib import Path
from typing import Any

import pytest

from orchestration.lake.build_results import build_outcomes, record_build, results_of_build
from orchestration.lake.connection import current_snapshot
from orchestration.lake.ingest import ingest
from serving.settings import Settings
from tests.lake.fakes import event, silent, write_rows

TEST = "test.tidegate.unique_posts_post_id.abc123"
SINGULAR = "test.tidegate.counts_add_up"
NODES = {
    TEST: {"resource_type": "test", "attached_node": "model.tidegate.posts"},
    SINGULAR: {"resource_type": "test", "attached_node": None},
    "model.tidegate.posts": {"resource_type": "model"},
}


def row(name: str, status: str, failures: int | None = None, message: str | None = None) -> dict[str, Any]:
    return {"unique_id": name, "status": status, "failures": failures, "message": message}


SOUND = [row("model.tidegate.posts", "success"), row(TEST, "pass", 0), row(SINGULAR, "pass", 0)]


def built(settings: Settings, results: list[dict[str, Any]]) -> None:
    target = settings.dbt_dir / "target"
    target.mkdir(parents=True, exist_ok=True)
    (target / "manifest.json").write_text(json.dumps({"nodes": NODES}))
    (target / "run_results.json").write_text(json.dumps({"results": results}))
    record_build(settings, target)


@pytest.fixture
def filled(settings: Settings, tmp_path: Path) -> Settings:
    ingest(settings, write_rows(tmp_path / "a.jsonl", [event(1)]), "fake", silent)
    return settings


def test_a_test_is_told_with_its_model_and_a_rule_over_several_models_without_one() -> None:
    outcomes = build_outcomes(SOUND, NODES)
    assert {(one.expectation, one.column) for one in outcomes} == {
        ("unique_posts_post_id", "posts"),
        ("counts_add_up", "*"),
    }
    assert all(one.suite == "dbt" and one.success and one.critical and not one.detail for one in outcomes)


@pytest.mark.parametrize(
    ("results", "critical", "detail"),
    [
        ([*SOUND[:2], row(SINGULAR, "fail", 3, "Got 3 results")], True, "fail: Got 3 results"),
        ([*SOUND[:2], row(SINGULAR, "warn", 3, "Got 3 results")], False, "warn: Got 3 results"),
        ([*SOUND[:2], row(SINGULAR, "error", None, "no such\n  table")], True, "error: no such table"),
        ([*SOUND[:2], row(SINGULAR, "skipped")], True, "skipped: "),
        (SOUND[:2], True, "not run: the build left it out"),
        ([row("model.tidegate.posts", "error", None, "disk full"), *SOUND[1:]], True, "error: disk full"),
    ],
)
def test_whatever_did_not_pass_is_a_failure_with_its_reason(
    results: list[dict[str, Any]], critical: bool, detail: str
) -> None:
    (failed,) = [one for one in build_outcomes(results, NODES) if not one.success]
    assert (failed.critical, failed.detail) == (critical, detail)


def test_without_a_build_there_is_no_evidence(filled: Settings) -> None:
    assert results_of_build(filled, current_snapshot(filled)) == []


def test_the_newest_build_counts_for_every_later_snapshot_of_the_same_rows(filled: Settings) -> None:
    built(filled, [*SOUND[:2], row(SINGULAR, "fail", 3, "Got 3 results")])
    between = current_snapshot(filled)
    built(filled, SOUND)
    now = current_snapshot(filled)
    assert all(one.success for one in results_of_build(filled, now))
    assert len(results_of_build(filled, now)) == 2
    assert [one.expectation for one in results_of_build(filled, between) if not one.success] == [
        "counts_add_up"
    ]


def test_rows_that_no_test_saw_fail_the_evidence(filled: Settings, tmp_path: Path) -> None:
    built(filled, SOUND)
    ingest(filled, write_rows(tmp_path / "b.jsonl", [event(2)]), "fake", silent)
    (only,) = results_of_build(filled, current_snapshot(filled))
    assert only.critical and not only.success
    assert "after the build" in only.detail


def test_a_build_that_wrote_no_results_records_nothing(filled: Settings) -> None:
    before = current_snapshot(filled)
    record_build(filled, filled.dbt_dir / "nowhere")
    assert current_snapshot(filled) == before

"""What a dbt build's tests found, kept as evidence for the gate in suite `dbt`: one outcome a test or failed model.

A build records its outcome at the snapshot that it ended with. Training reads a later one, so the outcome is carried
over to it, and only where no rows were loaded in between: views over the raw tables would show rows that no test saw.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.lake.catalog import hide_password
from orchestration.lake.connection import connect, current_snapshot, read_table
from orchestration.lake.quality_store import record_results
from serving.settings import Settings

if TYPE_CHECKING:
    from orchestration.quality.expectations import CheckResult

SUITE = "dbt"
_NEWEST = (
    "suite = 'dbt' and recording = "
    "(select max(recording) from lake.ops.quality_results where suite = 'dbt' and snapshot is not null)"
)


def record_build(settings: Settings, target: Path) -> None:
    """Record what the build found whose `manifest.json` and `run_results.json` lie in `target`.

    The caller holds the write lock since before the build. A test of the project that the build did not run is recorded
    as failed. Records nothing when dbt ended before it wrote its results. Raises UserError when the lake stays busy.
    """
    results, manifest = target / "run_results.json", target / "manifest.json"
    if not results.exists() or not manifest.exists():
        return
    outcomes = build_outcomes(
        json.loads(results.read_text())["results"], json.loads(manifest.read_text())["nodes"]
    )
    record_results(settings, outcomes, snapshot=current_snapshot(settings))


def build_outcomes(results: list[dict[str, Any]], nodes: dict[str, dict[str, Any]]) -> list["CheckResult"]:
    """One outcome a test, and one a model that was not built; `results` and `nodes` as dbt writes them."""
    found = {row["unique_id"]: row for row in results}
    tests = [name for name, node in nodes.items() if node["resource_type"] == "test"]
    broken = [
        name
        for name, row in found.items()
        if name not in tests and row["status"] in ("error", "fail", "skipped")
    ]
    return [_outcome(name, nodes.get(name, {}), found.get(name)) for name in sorted([*tests, *broken])]


def _outcome(name: str, node: dict[str, Any], row: dict[str, Any] | None) -> "CheckResult":
    from orchestration.quality.expectations import CheckResult

    attached = node.get("attached_node") or "."
    status = row["status"] if row else "not run"
    message = " ".join(str(row["message"] or "").split()) if row else "the build left it out"
    return CheckResult(
        suite=SUITE,
        expectation=name.split(".")[2],
        column=attached.split(".")[-1] or "*",
        success=status == "pass",
        critical=status != "warn",
        observed=float(row["failures"] or 0) if row and row.get("failures") is not None else float("nan"),
        detail="" if status == "pass" else hide_password(f"{status}: {message}"),
    )


def results_of_build(settings: Settings, snapshot: int) -> list["CheckResult"]:
    """The outcome of the build that made the feature tables of `snapshot`; empty when no build recorded one.

    One failed critical result when rows were loaded after that build. Raises UserError for an unknown snapshot.
    """
    from orchestration.quality.expectations import CheckResult

    rows = read_table(settings, "ops.quality_results", snapshot=snapshot, where=_NEWEST).to_pylist()
    if not rows:
        return []
    built = int(rows[0]["snapshot"])
    if _loads(settings, built) != _loads(settings, snapshot):
        detail = f"rows were loaded after the build at snapshot {built}: build the features again"
        return [CheckResult(SUITE, "features_are_of_the_newest_rows", "*", False, True, float("nan"), detail)]
    return [
        CheckResult(
            suite=row["suite"],
            expectation=row["expectation"],
            column=row["column_name"],
            success=row["success"],
            critical=row["critical"],
            observed=float("nan") if row["observed"] is None else row["observed"],
            detail=row["detail"],
        )
        for row in rows
    ]


def _loads(settings: Settings, snapshot: int) -> int:
    with connect(settings, read_only=True, snapshot=snapshot) as connection:
        row = connection.execute("select coalesce(max(load_seq), 0) from lake.ops.file_ledger").fetchone()
    assert row is not None
    return int(row[0])

"""Outcomes of contracts, kept in `ops.quality_results` as evidence for the gate."""

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from orchestration.lake.connection import connect, lake_exists, read_table, write
from orchestration.lake.raw import prepare_tables
from serving.settings import Settings

if TYPE_CHECKING:
    from orchestration.quality.expectations import CheckResult

_SCHEMA = pa.schema(
    [
        ("batch_id", pa.string()),
        ("snapshot", pa.int64()),
        ("suite", pa.string()),
        ("expectation", pa.string()),
        ("column_name", pa.string()),
        ("success", pa.bool_()),
        ("critical", pa.bool_()),
        ("observed", pa.float64()),
        ("detail", pa.string()),
    ]
)
_LATEST = """
select
    suite,
    expectation,
    column_name as "column",
    bool_and(success) as success,
    bool_or(critical) as critical,
    sum(observed) as observed,
    coalesce(string_agg(distinct detail, '; ' order by detail) filter (where detail <> ''), '') as detail,
    max(snapshot) as snapshot,
    max(recorded_at) as recorded_at,
from lake.ops.quality_results
where {condition}
group by all
"""


def record_results(settings: Settings, results: Sequence["CheckResult"], *, snapshot: int) -> None:
    """Keep the outcomes of suites that ran over the tables at `snapshot`. Raises UserError when the lake stays busy."""
    rows = [
        {
            "snapshot": snapshot,
            "suite": result.suite,
            "expectation": result.expectation,
            "column_name": result.column,
            "success": result.success,
            "critical": result.critical,
            "observed": result.observed,
            "detail": result.detail,
        }
        for result in results
    ]

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        prepare_tables(connection)
        insert_results(connection, rows)

    write(settings, work, f"contracts at snapshot {snapshot}")


def insert_results(connection: duckdb.DuckDBPyConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert outcomes as one recording inside an open transaction; what is not a finite number is stored as null."""
    if not rows:
        return
    plain = [
        row
        | {"observed": row["observed"] if row["observed"] is not None and isfinite(row["observed"]) else None}
        for row in rows
    ]
    connection.register("outcomes", pa.Table.from_pylist(plain, schema=_SCHEMA))
    connection.execute(
        "insert into lake.ops.quality_results by name select *, now() as recorded_at, "
        "(select coalesce(max(recording), 0) + 1 from lake.ops.quality_results) as recording from outcomes"
    )
    connection.unregister("outcomes")


def latest_results(settings: Settings, snapshot: int | None = None) -> list[dict[str, Any]]:
    """The newest outcome of every expectation, as rows with the fields of CheckResult, `snapshot` and `recorded_at`.

    With `snapshot`, those of training suites that ran over exactly that snapshot; border suites are the last ones
    recorded up to it, over all batches of one load. An expectation that has no row was not checked. Empty without a
    lake; raises UserError for a snapshot that is not there.
    """
    if not lake_exists(settings):
        return []
    training = "snapshot is not null" if snapshot is None else f"snapshot = {int(snapshot)}"
    found = _query(settings, training, None)
    return sorted(
        [*found, *_query(settings, "snapshot is null", snapshot)],
        key=lambda row: (row["suite"], row["expectation"], row["column"]),
    )


def _query(settings: Settings, condition: str, snapshot: int | None) -> list[dict[str, Any]]:
    newest = (
        "(suite, recording) in (select (suite, max(recording)) "
        f"from lake.ops.quality_results where {condition} group by suite)"
    )
    with connect(settings, read_only=True, snapshot=snapshot) as connection:
        try:
            table = connection.execute(_LATEST.format(condition=f"{condition} and {newest}")).to_arrow_table()
        except duckdb.CatalogException:
            return []  # a lake that was made and never checked
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def carry_results(old: Settings, new: Settings) -> None:
    """Copy what the lake of `old` knows of tables at its snapshots to the lake of `new`. Raises UserError."""
    known = read_table(old, "ops.quality_results", where="snapshot is not null")

    def work(connection: duckdb.DuckDBPyConnection) -> None:
        prepare_tables(connection)
        connection.register("known", known)
        connection.execute("insert into lake.ops.quality_results by name select * from known")
        connection.unregister("known")

    write(new, work, "outcomes of contracts before the rebuild")

"""The lake's raw tables: canonical columns, where each row came from, and how a row is told from another."""

import duckdb
import pyarrow as pa

from orchestration.sources.schema import STREAMS

_TYPES = {
    pa.string(): "varchar",
    pa.float64(): "double",
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    pa.timestamp("us", tz="UTC"): "timestamptz",
    pa.list_(pa.string()): "varchar[]",
}
ORIGIN = {"_batch_id": "varchar", "_landed_at": "timestamptz", "_load_seq": "bigint"}
OPS = {
    "file_ledger": {
        "batch_id": "varchar",
        "source": "varchar",
        "reader": "varchar",
        "stream": "varchar",
        "content_sha256": "varchar",
        "rows_in": "bigint",
        "rows_accepted": "bigint",
        "rows_quarantined": "bigint",
        "rows_new": "bigint",
        "file": "varchar",
        "file_sha256": "varchar",
        "landed_at": "timestamptz",
        "loaded_at": "timestamptz",
        "load_seq": "bigint",
    },
    "gate_ledger": {
        "seq": "bigint",
        "decided_at": "timestamptz",
        "model": "varchar",
        "version": "varchar",
        "run_id": "varchar",
        "decision": "varchar",
        "action": "varchar",
        "champion_before": "varchar",
        "champion_after": "varchar",
        "reasons": "varchar",
        "policy_digest": "varchar",
        "evidence": "varchar",
        "actor": "varchar",
        "why": "varchar",
    },
    "quality_results": {
        "recording": "bigint",
        "recorded_at": "timestamptz",
        "suite": "varchar",
        "snapshot": "bigint",
        "batch_id": "varchar",
        "expectation": "varchar",
        "column_name": "varchar",
        "success": "boolean",
        "critical": "boolean",
        "observed": "double",
        "detail": "varchar",
    },
}


def key_of(stream: str) -> str:
    """The column that is unique in the raw table: an event's id, else the hash of the row's content."""
    return "event_id" if stream == "events" else "_row_hash"


def columns_of(stream: str) -> dict[str, str]:
    """Names and types of the raw table's columns."""
    data = {field.name: _TYPES[field.type] for field in STREAMS[stream]}
    return data | ({} if stream == "events" else {"_row_hash": "varchar"}) | ORIGIN


def prepare_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the schemas `raw` and `ops` and their tables where they are missing; add columns that came later."""
    for schema, tables in (("raw", {stream: columns_of(stream) for stream in STREAMS}), ("ops", OPS)):
        connection.execute(f"create schema if not exists lake.{schema}")
        for name, columns in tables.items():
            _prepare(connection, schema, name, columns)


def _prepare(connection: duckdb.DuckDBPyConnection, schema: str, name: str, columns: dict[str, str]) -> None:
    rows = connection.execute(
        "select column_name from duckdb_columns() "
        "where database_name = 'lake' and schema_name = ? and table_name = ?",
        [schema, name],
    ).fetchall()
    present = {row[0] for row in rows}
    if not present:
        typed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
        connection.execute(f"create table lake.{schema}.{name} ({typed})")
        return
    for column, kind in columns.items():
        if column not in present:
            connection.execute(f'alter table lake.{schema}.{name} add column "{column}" {kind}')

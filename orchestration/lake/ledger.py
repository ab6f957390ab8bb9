"""The gate's ledger: append-only rows in `ops.gate_ledger`. It decides; registry aliases and pointers only follow it.

Decisions follow from no landed data, so each is kept as a file in `landing/decisions` too: a rebuilt lake reads them
back.
"""

import json
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.lake.connection import connect, lake_exists, write
from orchestration.lake.raw import OPS, prepare_tables
from serving.settings import Settings
from training.errors import UserError
from training.files import write_json_atomic

_COLUMNS = tuple(OPS["gate_ledger"])
_JSON = ("reasons", "evidence")
_ACTIONS = ("promote", "hold", "review", "approve", "reject", "rollback")


class LedgerMovedError(UserError):
    """Somebody else appended a decision since the ledger was read."""


def append_decision(settings: Settings, row: dict[str, Any], *, expected_last: int | None = None) -> int:
    """Append a decision and return its `seq`; `seq` and, where absent, `decided_at` are set here.

    `row` has the ledger's columns; `reasons` is a list of texts, `evidence` any JSON value. `expected_last` is the last
    `seq` that the caller read (0 for an empty ledger): of two decisions on the same ground only one is appended, the
    other raises LedgerMovedError. Raises ValueError for an unknown column or action.
    """
    unknown = set(row) - set(_COLUMNS)
    if unknown or row.get("action") not in _ACTIONS:
        raise ValueError(f"no ledger row: action {row.get('action')!r}, unknown columns {sorted(unknown)}")

    def work(connection: duckdb.DuckDBPyConnection) -> int:
        prepare_tables(connection)
        last = _last(connection)
        if expected_last is not None and expected_last != last:
            raise LedgerMovedError(
                f"the gate's ledger moved on from row {expected_last} to {last}: decide again"
            )
        entry = {"decided_at": datetime.now(UTC)} | row | {"seq": last + 1}
        _insert(connection, [entry])
        return last + 1

    sequence = write(settings, work, f"gate: {row['action']} {row.get('model')} {row.get('version')}")
    keep_decisions(settings)
    return sequence


def _last(connection: duckdb.DuckDBPyConnection) -> int:
    row = connection.execute("select coalesce(max(seq), 0) from lake.ops.gate_ledger").fetchone()
    assert row is not None
    return int(row[0])


def _insert(connection: duckdb.DuckDBPyConnection, entries: list[dict[str, Any]]) -> None:
    plain = []
    for entry in entries:
        full = dict.fromkeys(_COLUMNS) | entry
        for name in _JSON:
            if full[name] is not None:
                full[name] = json.dumps(full[name], ensure_ascii=False, default=str)
        plain.append({name: _plain(name, full[name]) for name in _COLUMNS})
    types = {"bigint": pa.int64(), "timestamptz": pa.timestamp("us", tz="UTC"), "varchar": pa.string()}
    schema = pa.schema([(name, types[kind]) for name, kind in OPS["gate_ledger"].items()])
    connection.register("entries", pa.Table.from_pylist(plain, schema=schema))
    connection.execute("insert into lake.ops.gate_ledger by name select * from entries")
    connection.unregister("entries")


def _plain(name: str, value: Any) -> Any:
    if name == "decided_at" and isinstance(value, str):
        return datetime.fromisoformat(value)
    if value is None or name in ("seq", "decided_at"):
        return value
    return str(value)


def decisions(settings: Settings, model: str | None = None) -> list[dict[str, Any]]:
    """All decisions (of `model`), oldest first; `reasons` and `evidence` as values. Empty without a lake."""
    if not lake_exists(settings):
        return []
    condition = "" if model is None else " where model = $1"
    with connect(settings, read_only=True) as connection:
        try:
            found = connection.execute(
                f"select {', '.join(_COLUMNS)} from lake.ops.gate_ledger{condition} order by seq",
                [] if model is None else [model],
            )
        except duckdb.CatalogException:
            return []  # a lake that was made and never written
        rows = [dict(zip(_COLUMNS, row, strict=True)) for row in found.fetchall()]
    for row in rows:
        row["decided_at"] = row["decided_at"].astimezone(UTC)
        for name in _JSON:
            row[name] = None if row[name] is None else json.loads(row[name])
    return rows


def keep_decisions(settings: Settings) -> None:
    """Write the file of every decision that has none yet. Raises OSError."""
    folder = settings.landing_dir / "decisions"
    kept = {int(path.stem) for path in folder.glob("*.json")}
    for row in decisions(settings):
        if row["seq"] not in kept:
            plain = row | {"decided_at": row["decided_at"].isoformat()}
            write_json_atomic(folder / f"{row['seq']:08d}.json", plain)


def restore_decisions(settings: Settings) -> int:
    """Read the kept decisions back into a lake whose ledger is empty; returns their number. Raises UserError."""
    entries = []
    for path in sorted((settings.landing_dir / "decisions").glob("*.json")):
        try:
            entries.append(json.loads(path.read_bytes()))
        except ValueError as error:
            raise UserError(f"{path}: the decision cannot be read ({error})") from error

    def work(connection: duckdb.DuckDBPyConnection) -> int:
        prepare_tables(connection)
        if _last(connection):
            raise UserError("the lake's ledger is not empty")
        _insert(connection, entries)
        return len(entries)

    return write(settings, work, "restore the gate's ledger") if entries else 0

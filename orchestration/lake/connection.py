"""Connections to the lake: readers that never wait, one transaction a write, time travel.

Everything that writes goes through `write`: one transaction under the write lock, tried again with back-off when the
catalog refuses the commit. Everything that reads attaches read-only, at the newest snapshot or at a named one.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import duckdb
import pyarrow as pa

from orchestration.lake.catalog import Catalog, attach, attach_options, attach_path, catalog, quoted
from orchestration.lake.generations import ensure_lake, lake_exists, older_catalogs, settle_data_path
from orchestration.lake.locks import is_conflict, retrying, write_lock
from orchestration.lake.session import extension_directory, open_session, reason_of
from serving.settings import Settings
from training.errors import UserError

__all__ = [
    "ALIAS",
    "LakeMissingError",
    "attach_options",
    "attach_path",
    "connect",
    "current_snapshot",
    "ensure_lake",
    "extension_directory",
    "lake_exists",
    "read_table",
    "retrying",
    "write",
    "write_lock",
]

ALIAS = "lake"
_TABLE = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
T = TypeVar("T")


class LakeMissingError(UserError):
    """There is no lake yet."""


@contextmanager
def connect(
    settings: Settings,
    *,
    read_only: bool = False,
    snapshot: int | None = None,
    memory_limit: str | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB connection with the lake attached as `lake`, closed at the end; an open transaction is rolled back.

    `snapshot` attaches the lake as it was then, read-only, also from before a rebuild. A writer makes a missing lake; a
    reader raises LakeMissingError. Raises UserError for a catalog that cannot be opened or an unknown snapshot.
    """
    reading = read_only or snapshot is not None
    if not reading:
        ensure_lake(settings)
    elif not lake_exists(settings):
        raise LakeMissingError(
            f"there is no lake under {settings.home} yet: `tidegate ingest` or `tidegate run` first"
        )
    settle_data_path(settings)
    with open_session(settings, memory_limit) as connection:
        if snapshot is None:
            _attach(connection, catalog(settings), read_only=reading)
        else:
            _attach_at(connection, settings, snapshot)
        yield connection


def _attach(connection: duckdb.DuckDBPyConnection, where: Catalog, *, read_only: bool, **more: int) -> None:
    options: dict[str, int | bool] = {"create_if_not_exists": False, **more}
    if read_only:
        options["read_only"] = True
    try:
        attach(connection, where, ALIAS, **options)
    except duckdb.Error as error:
        if is_conflict(error) or _unknown_snapshot(error):
            raise
        raise UserError(f"the lake's catalog {where.shown()} cannot be opened: {reason_of(error)}") from error


def _unknown_snapshot(error: duckdb.Error) -> bool:
    return "No snapshot found" in str(error)


def _attach_at(connection: duckdb.DuckDBPyConnection, settings: Settings, snapshot: int) -> None:
    def tried() -> Iterator[Catalog]:
        yield catalog(settings)
        yield from older_catalogs(settings)

    for where in tried():
        try:
            _attach(connection, where, read_only=True, snapshot_version=snapshot)
        except duckdb.Error as error:
            if not _unknown_snapshot(error):
                raise
        else:
            return
    raise UserError(f"the lake has no snapshot {snapshot}")


def write(
    settings: Settings,
    work: Callable[[duckdb.DuckDBPyConnection], T],
    message: str,
    *,
    memory_limit: str | None = None,
) -> T:
    """Run `work` as one transaction under the write lock and return what it returns.

    All of it is in the lake afterwards, in one snapshot that carries `message`, or nothing. A refused commit is tried
    again from the start, so `work` may run more than once. Raises UserError when the lake stays busy, else what `work`
    or DuckDB raises.
    """
    with write_lock(settings):
        try:
            for attempt in retrying(settings):
                with attempt, connect(settings, memory_limit=memory_limit) as connection:
                    connection.begin()
                    result = work(connection)
                    connection.execute(f"call {ALIAS}.set_commit_message('tidegate', {quoted(message)})")
                    connection.commit()
        except duckdb.Error as error:
            if is_conflict(error):
                raise UserError(f"the lake stayed busy and `{message}` was not written; try again") from error
            if "no space left" in str(error).lower():
                raise UserError(f"no space is left for the lake: `{message}` was not written") from error
            raise
    return result


def current_snapshot(settings: Settings) -> int:
    """Number of the newest snapshot. Raises LakeMissingError, UserError."""
    with connect(settings, read_only=True) as connection:
        row = connection.execute(f"from {ALIAS}.current_snapshot()").fetchone()
    assert row is not None
    return int(row[0])


def read_table(
    settings: Settings,
    table: str,
    *,
    snapshot: int | None = None,
    columns: Sequence[str] | None = None,
    where: str | None = None,
) -> pa.Table:
    """Rows of `schema.name` as an Arrow table, at `snapshot` or the newest one; `where` is an SQL condition.

    Raises UserError when the lake has no such table or column then, LakeMissingError without a lake.
    """
    if not _TABLE.fullmatch(table):
        raise ValueError(f"{table!r} is not schema.table")
    chosen = ", ".join(f'"{column}"' for column in columns) if columns is not None else "*"
    condition = f" where {where}" if where else ""
    with connect(settings, read_only=True, snapshot=snapshot) as connection:
        try:
            return connection.execute(f"select {chosen} from {ALIAS}.{table}{condition}").to_arrow_table()
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            at = "" if snapshot is None else f" at snapshot {snapshot}"
            raise UserError(f"the lake cannot give {table}{at}: {reason_of(error)}") from error

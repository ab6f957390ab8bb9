"""Generations of the lake: how one is made, found again and replaced by a rebuilt one, in a single step.

With SQLite the current generation is where the symbolic link `home/lake/catalog.sqlite` points:
`home/lake/generations/<n>/` with the catalog and its data. With PostgreSQL it is a schema, and the ones before bear
the same name with `_before_<n>`. Snapshot numbers go on growing from one generation to the next, so a number names
one state of the data for ever, also after a rebuild.
"""

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb

from orchestration.lake.catalog import (
    BUSY_MS,
    Catalog,
    attach,
    catalog,
    postgres_catalog,
    quoted,
    sqlite_catalog,
)
from orchestration.lake.locks import write_lock
from orchestration.lake.session import attached_server, open_session, run_on_server
from serving.settings import Settings
from training.errors import UserError
from training.files import fsync_dir

_INLINED_ROWS = 100


def lake_exists(settings: Settings) -> bool:
    """Whether there is a lake. Raises UserError when a PostgreSQL server cannot be reached."""
    where = catalog(settings)
    if where.is_sqlite:
        return where.file.exists()
    with open_session(settings) as connection, attached_server(connection, where):
        return _server_has(connection, where.schema)


def _server_has(connection: duckdb.DuckDBPyConnection, schema: str) -> bool:
    row = connection.execute(
        "select count(*) from pg.information_schema.tables "
        f"where table_schema = {quoted(schema)} and table_name = 'ducklake_snapshot'"
    ).fetchone()
    return row is not None and row[0] > 0


def ensure_lake(settings: Settings, first_snapshot: int = 0) -> None:
    """Make the lake when there is none; its snapshots count from `first_snapshot`. Idempotent; raises UserError."""
    if lake_exists(settings):
        return
    with write_lock(settings):
        if lake_exists(settings):
            return
        if settings.lake_catalog:
            _create_on_server(settings, first_snapshot)
        else:
            _create_embedded(settings, first_snapshot)


def _create_embedded(settings: Settings, first_snapshot: int) -> None:
    folder = _next_folder(settings)
    # A folder that a killed attempt left behind has no catalog that the link points to; it is made anew.
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    made = sqlite_catalog(unfinished / "catalog.sqlite")
    _initialise(settings, made, settings.lake_data_path or f"{folder.resolve()}/data/", first_snapshot)
    unfinished.rename(folder)
    point_to(settings, folder)


def _next_folder(settings: Settings) -> Path:
    return settings.lake_dir / "generations" / str(_newest_folder(settings) + 1)


def _newest_folder(settings: Settings) -> int:
    known = [int(path.name) for path in (settings.lake_dir / "generations").glob("[0-9]*")]
    return max(known, default=0)


def point_to(settings: Settings, folder: Path) -> None:
    """Make the generation in `folder` the current one, in one step that a crash cannot halve."""
    link = catalog(settings).file
    temporary = link.with_name(".catalog.sqlite.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(Path("generations") / folder.name / "catalog.sqlite")
    temporary.replace(link)
    fsync_dir(link.parent)


def _create_on_server(settings: Settings, first_snapshot: int) -> None:
    where = catalog(settings)
    with open_session(settings) as connection, attached_server(connection, where):
        run_on_server(connection, f"create schema if not exists {where.schema}")
    data_path = settings.lake_data_path or f"{settings.lake_dir.resolve()}/data/{where.schema}/"
    _initialise(settings, where, data_path, first_snapshot)


def _initialise(settings: Settings, where: Catalog, data_path: str, first_snapshot: int) -> None:
    # Readers would wait for a committing writer without SQLite's write-ahead log.
    wal = {"meta_journal_mode": "WAL"} if where.is_sqlite else {}
    with open_session(settings) as connection:
        attach(connection, where, "made", data_path=data_path, **wal)
        # Rows of a table are Parquet; only bookkeeping, a few rows at a time, is kept in the catalog itself.
        connection.execute("call made.set_option('data_inlining_row_limit', 0)")
        connection.execute("create schema made.ops")
        connection.execute(
            f"call made.set_option('data_inlining_row_limit', {_INLINED_ROWS}, schema => 'ops')"
        )
        connection.execute("detach made")
        if first_snapshot:
            _count_from(connection, where, first_snapshot)


def _count_from(connection: duckdb.DuckDBPyConnection, where: Catalog, first: int) -> None:
    """Shift the snapshots of a lake that holds nothing yet, so that they begin at `first`."""
    prefix = "" if where.is_sqlite else f"{where.schema}."
    statements = [
        f"update {prefix}ducklake_snapshot set snapshot_id = snapshot_id + {first}",
        f"update {prefix}ducklake_snapshot_changes set snapshot_id = snapshot_id + {first}",
        f"update {prefix}ducklake_schema set begin_snapshot = begin_snapshot + {first}",
        f"update {prefix}ducklake_schema_versions set begin_snapshot = begin_snapshot + {first}",
    ]
    if where.is_sqlite:
        with closing(sqlite3.connect(where.file)) as database, database:
            for statement in statements:
                database.execute(statement)
        return
    with attached_server(connection, where):
        connection.begin()
        for statement in statements:
            run_on_server(connection, statement)
        connection.commit()


def settle_data_path(settings: Settings) -> None:
    """Let an embedded catalog follow its folder when home was moved or a rebuilt lake took its place.

    Raises UserError when the lake's files lie elsewhere than TIDEGATE_LAKE_DATA_PATH says.
    """
    where = catalog(settings)
    if not where.is_sqlite:
        return
    try:
        with closing(sqlite3.connect(where.file, timeout=BUSY_MS / 1000)) as database, database:
            query = "select value from ducklake_metadata where key = 'data_path'"
            stored = str(database.execute(query).fetchone()[0])
            expected = settings.lake_data_path or f"{where.file.resolve().parent}/data/"
            if not settings.lake_data_path and stored != expected:
                database.execute(
                    "update ducklake_metadata set value = ? where key = 'data_path'", (expected,)
                )
    except (sqlite3.DatabaseError, TypeError) as error:
        raise UserError(
            f"the lake's catalog {where.file} is damaged ({error}); `tidegate lake rebuild` makes it anew"
        ) from error
    if settings.lake_data_path and not stored.startswith(settings.lake_data_path.rstrip("/")):
        raise UserError(
            f"the lake's files lie in {stored}, TIDEGATE_LAKE_DATA_PATH is {settings.lake_data_path}"
        )


def older_catalogs(settings: Settings) -> Iterator[Catalog]:
    """Catalogs of the generations before the current one, newest first."""
    where = catalog(settings)
    if where.is_sqlite:
        folder = where.file.resolve().parent
        for number in range(int(folder.name) - 1, 0, -1):
            file = folder.with_name(str(number)) / "catalog.sqlite"
            if file.exists():
                yield sqlite_catalog(file)
        return
    for schema in sorted(server_generations(settings), key=lambda name: -_number(name)):
        yield postgres_catalog(where.dsn, schema)


def server_generations(settings: Settings) -> list[str]:
    """PostgreSQL schemas of the generations before the current one, in no order."""
    where = catalog(settings)
    with open_session(settings) as connection, attached_server(connection, where):
        rows = connection.execute("select nspname from pg.pg_catalog.pg_namespace").fetchall()
    return [name for (name,) in rows if re.fullmatch(rf"{where.schema}_before_\d+", name)]


def _number(schema: str) -> int:
    return int(schema.rsplit("_", 1)[1])


def generation_number(settings: Settings) -> int:
    """Number of the newest generation, 0 before the first. Raises UserError when a server cannot be reached."""
    if catalog(settings).is_sqlite:
        return _newest_folder(settings)
    return max((_number(name) for name in server_generations(settings)), default=0) + 1


def drop_staged(settings: Settings, staged: Settings) -> None:
    """Remove what a rebuild left behind, also one that was killed; the current lake and the ones before it stay."""
    shutil.rmtree(staged.home, ignore_errors=True)
    where = catalog(staged)
    if where.is_sqlite:
        current = catalog(settings).file
        for folder in (settings.lake_dir / "generations").glob("[0-9]*"):
            # Moved here, and killed before the link was: never current, so nothing refers to it.
            if current.exists() and int(folder.name) > int(current.resolve().parent.name):
                shutil.rmtree(folder)
    else:
        with open_session(settings) as connection, attached_server(connection, where):
            run_on_server(connection, f"drop schema if exists {where.schema} cascade")


def adopt(settings: Settings, staged: Settings) -> None:
    """Put the lake of `staged` in the place of the lake of `settings`; the old one stays, for its snapshots.

    One rename decides: killed before it the old lake is current, after it the new one. The caller holds the write lock.
    """
    where, made = catalog(settings), catalog(staged)
    if where.is_sqlite:
        folder = _next_folder(settings)
        folder.parent.mkdir(parents=True, exist_ok=True)
        # The catalog still names the folder it was built in; the first to open it settles that.
        made.file.resolve().parent.rename(folder)
        point_to(settings, folder)
        return
    number = max([_number(name) for name in server_generations(settings)], default=0) + 1
    with open_session(settings) as connection, attached_server(connection, where):
        connection.begin()
        if _server_has(connection, where.schema):
            run_on_server(connection, f"alter schema {where.schema} rename to {where.schema}_before_{number}")
        run_on_server(connection, f"alter schema {made.schema} rename to {where.schema}")
        connection.commit()

"""DuckDB sessions that never download: extensions come from wheels, credentials of an object store from AWS_*."""

import importlib.util
import os
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlparse

import duckdb

from orchestration.lake.catalog import Catalog, hide_password, quoted
from serving.settings import Settings
from training.errors import UserError

_EXTENSIONS = ("ducklake", "sqlite_scanner", "postgres_scanner", "httpfs")


def extension_directory(settings: Settings) -> Path:
    """A folder laid out as DuckDB's `extension_directory`, its files linked from the installed extension wheels.

    Made on first use and again after an upgrade; safe in several processes at once. DuckDB verifies the signatures when
    it loads them. Raises UserError when a wheel is missing or made for another DuckDB.
    """
    root = settings.home / "duckdb" / "extensions"
    version = f"v{duckdb.__version__}"
    for name in _EXTENSIONS:
        wheel = _wheel_folder(name) / version / f"{name}.duckdb_extension"
        if not wheel.is_file():
            raise UserError(
                f"the installed duckdb-extension-{name} is not for DuckDB {version}: `make install`"
            )
        _link(wheel, root / version / _platform() / wheel.name)
    return root


def _wheel_folder(name: str) -> Path:
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is None or spec.origin is None:
        raise UserError(f"the package duckdb-extension-{name.replace('_', '-')} is missing: `make install`")
    return Path(spec.origin).parent / "extensions"


def _link(source: Path, target: Path) -> None:
    if target.is_symlink() and target.readlink() == source:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    temporary.symlink_to(source)
    temporary.replace(target)


@cache
def _platform() -> str:
    with duckdb.connect() as connection:
        row = connection.execute("pragma platform").fetchone()
    assert row is not None
    return str(row[0])


@contextmanager
def open_session(settings: Settings, memory_limit: str | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to an in-memory DuckDB of its own, with the lake's extensions loaded and nothing attached.

    At the end an open transaction is rolled back and everything attached is detached. Spills to `home/lake/tmp`; times
    are in UTC. `memory_limit` as DuckDB writes it, e.g. `2GB`. Raises UserError.
    """
    key = (os.getpid(), str(settings.home), bool(settings.lake_catalog), memory_limit)
    engine = _IDLE.take(key) or _start_engine(settings, memory_limit)
    try:
        with engine.cursor() as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute("set enable_progress_bar = false")
            if "://" in settings.lake_data_path:
                connection.execute("load httpfs")
                connection.execute(object_store_secret(settings.lake_data_path))
            yield connection
        _detach_all(engine)
    except BaseException:
        # Whatever state it is in, nobody else shall inherit it.
        engine.close()
        raise
    _IDLE.give(key, engine)


def _start_engine(settings: Settings, memory_limit: str | None) -> duckdb.DuckDBPyConnection:
    temporary = settings.lake_dir / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]] = {
        "extension_directory": str(extension_directory(settings)),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "temp_directory": str(temporary),
    }
    if memory_limit is not None:
        config["memory_limit"] = memory_limit
    engine = duckdb.connect(config=config)
    try:
        engine.execute("load ducklake")
        engine.execute(f"load {'postgres' if settings.lake_catalog else 'sqlite'}_scanner")
    except BaseException:
        engine.close()
        raise
    return engine


def _detach_all(engine: duckdb.DuckDBPyConnection) -> None:
    rows = engine.execute("select database_name from duckdb_databases() where not internal").fetchall()
    for (name,) in rows:
        if name != "memory":
            engine.execute(f'detach "{name}"')


class _IdleEngines:
    """A few engines kept between sessions: loading the extensions takes longer than most questions to the lake."""

    _KEPT = 2

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engines: list[tuple[Hashable, duckdb.DuckDBPyConnection]] = []

    def take(self, key: Hashable) -> duckdb.DuckDBPyConnection | None:
        """An engine that was given back under `key`, or None."""
        with self._lock:
            for index in reversed(range(len(self._engines))):
                if self._engines[index][0] == key:
                    return self._engines.pop(index)[1]
        return None

    def give(self, key: Hashable, engine: duckdb.DuckDBPyConnection) -> None:
        """Keep an engine; the one that waited longest is closed when there are too many."""
        with self._lock:
            self._engines.append((key, engine))
            surplus = self._engines.pop(0)[1] if len(self._engines) > self._KEPT else None
        if surplus is not None:
            surplus.close()


_IDLE = _IdleEngines()


def object_store_secret(data_path: str) -> str:
    """The SQL that hands DuckDB the credentials S3 clients take from the environment.

    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION (or AWS_DEFAULT_REGION), and for stores
    other than Amazon's AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL). Raises UserError for an address that is not s3://.
    """
    if not data_path.startswith("s3://"):
        raise UserError(
            f"TIDEGATE_LAKE_DATA_PATH is {data_path!r}; object stores are addressed as s3://bucket/folder"
        )
    known = os.environ
    options = {
        "key_id": known.get("AWS_ACCESS_KEY_ID"),
        "secret": known.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": known.get("AWS_SESSION_TOKEN"),
        "region": known.get("AWS_REGION") or known.get("AWS_DEFAULT_REGION"),
    }
    endpoint = known.get("AWS_ENDPOINT_URL_S3") or known.get("AWS_ENDPOINT_URL")
    if endpoint:
        parsed = urlparse(endpoint)
        options |= {"endpoint": parsed.netloc, "url_style": "path"}
        options["use_ssl"] = "true" if parsed.scheme == "https" else "false"
    words = [f"{key} {quoted(value)}" for key, value in options.items() if value]
    return f"create or replace secret lake_store ({', '.join(['type s3', *words])})"


@contextmanager
def attached_server(connection: duckdb.DuckDBPyConnection, where: Catalog) -> Iterator[None]:
    """The PostgreSQL database of a catalog, attached as `pg`. Raises UserError when the server cannot be reached."""
    try:
        connection.execute(f"attach {quoted(where.dsn)} as pg (type postgres)")
    except duckdb.Error as error:
        raise UserError(f"the lake's catalog cannot be reached: {reason_of(error)}") from error
    try:
        yield
    finally:
        connection.execute("detach pg")


def reason_of(error: Exception) -> str:
    """The first line of an error's text, without a password."""
    return hide_password(str(error).strip().splitlines()[0])


def run_on_server(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Run one SQL statement on the server attached as `pg`, inside the open transaction if there is one."""
    connection.execute(f"call postgres_execute('pg', {quoted(statement)})")

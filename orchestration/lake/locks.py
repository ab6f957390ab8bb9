"""One writer at a time, and what to do when the catalog refuses a commit all the same."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from orchestration.lake.catalog import catalog
from orchestration.lake.session import attached_server, open_session, run_on_server
from serving.settings import Settings
from training.errors import UserError

_WAIT_SECONDS = 3600.0
_CONFLICTS = ("database is locked", "conflict", "could not serialize", "deadlock detected")
_HELD = threading.local()


@contextmanager
def write_lock(settings: Settings) -> Iterator[None]:
    """Hold the right to write to the lake: one holder at a time, re-entrant within a thread, freed by a crash.

    A file lock under home; with a PostgreSQL catalog also an advisory lock there, for writers on other machines.
    Raises UserError when another holder does not let go within an hour.
    """
    path = settings.lake_dir / ".write.lock"
    depth: dict[Path, int] = _HELD.__dict__.setdefault("depth", {})
    with ExitStack() as stack:
        if not depth.get(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(exclusive(path, "writing to the lake"))
            if settings.lake_catalog:
                stack.enter_context(_advisory_lock(settings))
        depth[path] = depth.get(path, 0) + 1
        try:
            yield
        finally:
            depth[path] -= 1


@contextmanager
def exclusive(path: Path, doing: str) -> Iterator[None]:
    """A file lock at `path`, waited for at most an hour. Raises UserError that says what the other one is `doing`."""
    try:
        lock = FileLock(path).acquire(timeout=_WAIT_SECONDS)
    except Timeout as error:
        raise UserError(f"another process has been {doing} for an hour ({path})") from error
    with lock:
        yield


@contextmanager
def _advisory_lock(settings: Settings) -> Iterator[None]:
    where = catalog(settings)
    with open_session(settings) as connection, attached_server(connection, where):
        # The lock belongs to the transaction on the server, which ends with this process if it crashes.
        connection.begin()
        run_on_server(connection, f"select pg_advisory_xact_lock(hashtext('tidegate {where.schema}'))")
        try:
            yield
        finally:
            connection.rollback()


def is_conflict(error: BaseException) -> bool:
    """Whether the catalog refused a commit only because somebody else was committing."""
    return isinstance(error, duckdb.Error) and any(word in str(error).lower() for word in _CONFLICTS)


def retrying(settings: Settings) -> Retrying:
    """tenacity's loop over attempts: waits with jitter and back-off after a refused commit, re-raises the last one."""
    return Retrying(
        retry=retry_if_exception(is_conflict),
        stop=stop_after_attempt(settings.lake_retries + 1),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
    )

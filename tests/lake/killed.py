"""A process that ingests a file and kills itself with SIGKILL at the named phase: `python -m tests.lake.killed ...`."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from orchestration.lake import generations, ingest, landing, load, rebuild
from orchestration.quality.expectations import Border
from orchestration.sources import READERS
from tests.lake.fakes import FakeReader, make_settings, silent
from tests.lake.features import build_features, feature_hashes


def _die(*args: Any, **named: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying_after(function: Callable[..., Any], calls: int) -> Callable[..., Any]:
    left = [calls]

    def wrapped(*args: Any, **named: Any) -> Any:
        result = function(*args, **named)
        left[0] -= 1
        if left[0] == 0:
            _die()
        return result

    return wrapped


def _die_before_commit(connection: duckdb.DuckDBPyConnection, *args: Any) -> None:
    connection.execute("select count(*) from lake.raw.events").fetchall()
    _die()


def _arm(phase: str) -> None:
    writer = landing.LandingWriter
    if phase == "while rows are written":
        writer.write = _dying_after(writer.write, 1)  # type: ignore[method-assign]
    elif phase == "when the files are there and no manifest":
        landing.write_manifest = _die  # type: ignore[assignment]
    elif phase == "between two manifests":
        landing.write_manifest = _dying_after(landing.write_manifest, 1)
    elif phase == "when all manifests are there":
        ingest.load_landed = _die
    elif phase == "when rows are inserted and not committed":
        load._insert_ledger = _die_before_commit  # type: ignore[assignment]
    elif phase == "when the load is committed":
        load.write = _dying_after(load.write, 1)
    elif phase == "before incoming is cleared":
        ingest.archive = _die
    elif phase == "while the new lake is built":
        rebuild.load_landed = _dying_after(load.load_landed, 2)
    elif phase == "before the new lake is adopted":
        rebuild.adopt = _die
    elif phase == "when the new lake is moved and the link is not":
        generations.point_to = _die  # type: ignore[assignment]
    else:
        raise ValueError(phase)


def main() -> None:
    """Arguments: home, phase, and the file to ingest, `incoming` or `rebuild`."""
    settings, phase, what = make_settings(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
    # Great Expectations takes seconds to import and has no part in what is tested here.
    Border.results = lambda self: []  # type: ignore[method-assign]
    READERS["fake"] = FakeReader()
    if what == "rebuild":
        _arm(phase)
        rebuild.rebuild(settings, build_features, silent, hashes=feature_hashes)
    elif what == "incoming":
        _arm(phase)
        ingest.ingest_incoming(settings, silent)
    else:
        _arm(phase)
        ingest.ingest(settings, Path(what), "fake", silent)


if __name__ == "__main__":
    main()

"""Feature tables: one `dbt build` over the lake, and content hashes by which two builds are compared."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration.lake.build_results import record_build
from orchestration.lake.catalog import hide_password
from orchestration.lake.connection import (
    attach_options,
    attach_path,
    connect,
    ensure_lake,
    extension_directory,
    write_lock,
)
from orchestration.lake.locks import exclusive
from serving.settings import Settings
from training.errors import UserError

Progress = Callable[[str], None]

DBT_PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
FEATURE_TABLES: tuple[str, ...] = (
    "marts.interactions",
    "marts.posts",
    "marts.users",
    "marts.user_sequences",
    "marts.user_days",
    "marts.daily_activity",
    "marts.corpus_documents",
    "marts.document_reports",
)
_HEADING = re.compile(r".* error:|(?:\w+ )*Error(?: in \w+ \S+ \(.*\))?")
_MADE_BY = (
    "macros/*.sql",
    "seeds/*.csv",
    "models/staging/*.sql",
    "models/intermediate/*.sql",
    "models/marts/interactions.sql",
    "dbt_project.yml",
)


@dataclass(frozen=True)
class NodeResult:
    """One model, seed or test of a build."""

    name: str
    kind: str
    """model, seed or test."""
    status: str
    """As dbt says it: success, pass, warn, fail, error, skipped."""
    seconds: float
    message: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was built, or passed."""
        return self.status in ("success", "pass", "warn")

    def why(self) -> str:
        """Name and the line of dbt's message that says what is wrong."""
        return f"{self.kind} {self.name}: {_first_line(self.message)}"


class FeaturesError(UserError):
    """A build that failed; `report` holds what there is of it."""

    def __init__(self, line: str, report: "FeatureReport") -> None:
        super().__init__(line)
        self.report = report


@dataclass(frozen=True)
class FeatureReport:
    """What one build made and checked."""

    nodes: tuple[NodeResult, ...]
    seconds: float
    """From the call to its end; waiting for the write lock is not counted."""

    @property
    def models(self) -> tuple[NodeResult, ...]:
        """Tables and views that were made."""
        return tuple(node for node in self.nodes if node.kind == "model")

    @property
    def passed(self) -> tuple[str, ...]:
        """Names of the tests that passed."""
        return tuple(node.name for node in self.nodes if node.kind == "test" and node.ok)

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of what failed or was skipped."""
        return tuple(node.name for node in self.nodes if not node.ok)

    def line(self) -> str:
        """One line for a person."""
        return f"features: {len(self.models)} models, {len(self.passed)} tests passed, {self.seconds:.1f} s"


def dbt_environment(settings: Settings) -> dict[str, str]:
    """Variables that dbt needs in its environment to build into the lake of `settings`. Raises UserError.

    The address of the lake may hold a password: dbt keeps variables named DBT_ENV_SECRET_* out of logs and manifest.
    """
    home = settings.dbt_dir
    temporary = settings.lake_dir / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {
        "TIDEGATE_HOME": str(settings.home),
        "TIDEGATE_LAKE_CATALOG": settings.lake_catalog,
        "TIDEGATE_LAKE_DATA_PATH": settings.lake_data_path,
        "TIDEGATE_DBT_TARGET": "postgres" if settings.lake_catalog else "embedded",
        "TIDEGATE_DBT_METADATA_SCHEMA": str(attach_options(settings).get("metadata_schema", "")),
        "TIDEGATE_DBT_EXTENSIONS": str(extension_directory(settings)),
        "TIDEGATE_DBT_TEMP": str(temporary),
        "TIDEGATE_DBT_CODE": code_digest(),
        "DBT_ENV_SECRET_TIDEGATE_LAKE": attach_path(settings),
        "DBT_PROJECT_DIR": str(DBT_PROJECT),
        "DBT_PROFILES_DIR": str(DBT_PROJECT),
        "DBT_TARGET_PATH": str(home / "target"),
        "DBT_LOG_PATH": str(home / "logs"),
        "DBT_LOG_LEVEL_FILE": "info",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        # They test the code, not the data, and belong to the test suite.
        "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test",
    }


def code_digest() -> str:
    """Digest of the code that makes the incremental tables: when it changes, they are made anew."""
    digest = hashlib.sha256()
    for pattern in _MADE_BY:
        for path in sorted(DBT_PROJECT.glob(pattern)):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def build_features(settings: Settings, progress: Progress, full_refresh: bool = False) -> FeatureReport:
    """Make the feature tables of the newest raw rows: one `dbt build` under the lake's write lock.

    Only days that new rows fall on are counted anew; `full_refresh` makes everything anew. `progress` gets a line per
    table. What the tests found is recorded as evidence, also of a build that fails.

    Raises FeaturesError with the first line of dbt's own error, UserError when nothing was ingested yet.
    """
    ensure_lake(settings)
    environment = dbt_environment(settings)
    target = Path(environment["DBT_TARGET_PATH"])
    target.mkdir(parents=True, exist_ok=True)
    results = target / "run_results.json"
    with write_lock(settings):
        _require_raw_tables(settings)
        results.unlink(missing_ok=True)
        started = time.monotonic()
        arguments = ["build", *(["--full-refresh"] if full_refresh else [])]
        code, error = _dbt(arguments, environment, progress)
        report = FeatureReport(_node_results(results), time.monotonic() - started)
        record_build(settings, target)
    if code:
        broken = next((node for node in report.nodes if node.status in ("error", "fail")), None)
        raise FeaturesError(f"features: {broken.why()}" if broken else f"features: {error}", report)
    return report


def _require_raw_tables(settings: Settings) -> None:
    with connect(settings, read_only=True) as connection:
        row = connection.execute(
            "select count(*) from duckdb_tables() where database_name = 'lake' and schema_name = 'raw'"
        ).fetchone()
    if row is None or row[0] == 0:
        raise UserError("nothing has been ingested yet: `tidegate ingest` or `tidegate run` first")


def _dbt(arguments: list[str], environment: dict[str, str], progress: Progress) -> tuple[int, str]:
    """Run dbt in a process of its own; returns its exit code and the first line of its first error."""
    command = [
        sys.executable,
        "-c",
        "from dbt.cli.main import cli; cli()",
        "--log-format",
        "json",
        *arguments,
    ]
    error = ""
    with subprocess.Popen(
        command,
        env={**os.environ, **environment},
        cwd=DBT_PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                event = _event(line)
                if event["name"] in ("LogModelResult", "LogSeedResult"):
                    progress(_done(event["data"]))
                if event["level"] == "error" and not error:
                    error = _first_line(event["msg"])
        except BaseException:
            process.kill()
            raise
    return process.returncode, error or f"dbt ended with code {process.returncode}"


def _event(line: str) -> dict[str, Any]:
    """A line of dbt's log; what is no JSON (an interpreter's traceback) counts as an error's text."""
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return {"name": "", "level": "error" if line.strip() else "debug", "msg": line, "data": {}}
    info = event.get("info", {})
    return {
        "name": info.get("name", ""),
        "level": info.get("level", ""),
        "msg": info.get("msg", ""),
        "data": event.get("data", {}),
    }


def _done(data: dict[str, Any]) -> str:
    relation = data.get("node_info", {}).get("node_relation", {})
    name = f"{relation.get('schema')}.{relation.get('alias')}"
    return f"{name}: {str(data.get('status', '')).lower()} in {float(data.get('execution_time', 0.0)):.2f} s"


def _first_line(text: str) -> str:
    """The line that says what is wrong, without the headings that dbt and DuckDB put before it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not _HEADING.fullmatch(line)]
    return hide_password((told or lines or ["dbt failed"])[0])


def _node_results(path: Path) -> tuple[NodeResult, ...]:
    if not path.exists():
        return ()
    rows = json.loads(path.read_text())["results"]
    return tuple(
        NodeResult(
            name=row["unique_id"].split(".")[2],
            kind=row["unique_id"].split(".")[0],
            status=row["status"],
            seconds=float(row["execution_time"]),
            message=row["message"] or "",
        )
        for row in rows
        if row["unique_id"].split(".")[0] in ("model", "seed", "test")
    )


def prepare_manifest(settings: Settings) -> Path:
    """The project's manifest, parsed once for this code and these settings, by one process at a time. Raises UserError.

    Parallel preparation races in dagster-dbt (dagster#33993), so Dagster gets the finished file.
    """
    environment = dbt_environment(settings)
    target = Path(environment["DBT_TARGET_PATH"])
    manifest, stamp = target / "manifest.json", target / "manifest.stamp"
    wanted = _project_digest(environment)
    target.mkdir(parents=True, exist_ok=True)
    with exclusive(settings.dbt_dir / ".manifest.lock", "reading the dbt project"):
        if manifest.exists() and stamp.exists() and stamp.read_text() == wanted:
            return manifest
        stamp.unlink(missing_ok=True)
        code, error = _dbt(["parse"], environment, lambda _: None)
        if code:
            raise UserError(f"the dbt project cannot be read: {error}")
        stamp.write_text(wanted)
    return manifest


def _project_digest(environment: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(environment, sort_keys=True).encode())
    for path in sorted(DBT_PROJECT.rglob("*")):
        if path.suffix in (".sql", ".yml", ".csv"):
            digest.update(str(path.relative_to(DBT_PROJECT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def feature_hashes(settings: Settings, snapshot: int | None = None) -> dict[str, str]:
    """Content hash of every feature table at `snapshot`, or now: of columns, types and rows, but not of their order.

    Two hashes of every row are added up (addition forgets the order and, unlike xor, does not forget rows in pairs).
    Hashes compare within one version of DuckDB. Raises UserError when the tables are not there.
    """
    with connect(settings, read_only=True, snapshot=snapshot) as connection:
        return {table: _content_hash(connection, table) for table in FEATURE_TABLES}


def _content_hash(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    try:
        columns = connection.execute(f"describe lake.{table}").fetchall()
    except duckdb.CatalogException as error:
        raise UserError(f"the lake has no table {table}: `tidegate run` makes the features") from error
    names = ", ".join(f'"{name}"' for name, *_ in columns)
    totals = connection.execute(
        "select count(*), sum(one::hugeint), sum(other::hugeint) from "
        f"(select hash({names}) as one, hash('other', {names}) as other from lake.{table})"
    ).fetchone()
    described = [(name, kind) for name, kind, *_ in columns]
    return hashlib.sha256(repr((described, totals)).encode()).hexdigest()


def features_digest(hashes: dict[str, str]) -> str:
    """One hash for all feature tables."""
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()

"""The dbt project's SQL as dbt compiles it, run through plain DuckDB: milliseconds a build instead of seconds."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from orchestration.lake.features import DBT_PROJECT, FEATURE_TABLES, _content_hash, dbt_environment
from orchestration.lake.raw import columns_of, key_of, prepare_tables
from orchestration.sources.schema import STREAMS
from serving.settings import Settings


@dataclass(frozen=True)
class Model:
    relation: str
    materialized: str
    unique_key: str | None
    full_sql: str
    incremental_sql: str


@dataclass(frozen=True)
class Project:
    models: tuple[Model, ...]
    """In the order of building."""


def run_dbt(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **dbt_environment(settings)}
    environment.pop("DBT_EXCLUDE_RESOURCE_TYPES")
    return subprocess.run(
        [sys.executable, "-c", "from dbt.cli.main import cli; cli()", "--no-use-colors", *arguments],
        cwd=DBT_PROJECT,
        env=environment,
        capture_output=True,
        text=True,
    )


def compile_project(settings: Settings) -> Project:
    """Compile both ways; the lake of `settings` must have been built once, or nothing is incremental."""
    target = settings.dbt_dir / "target"
    compiled = []
    for flags in (["--full-refresh"], []):
        done = run_dbt(settings, "compile", *flags)
        assert done.returncode == 0, done.stdout
        compiled.append(_compiled(target))
    full, incremental = compiled
    manifest = json.loads((target / "manifest.json").read_text())
    for key, node in manifest["nodes"].items():
        if node["config"]["materialized"] == "incremental":
            assert full[key] != incremental[key], f"{key} was not compiled for an increment"
    return Project(
        tuple(_model(manifest["nodes"][key], full[key], incremental[key]) for key in _order(manifest))
    )


def _compiled(target: Path) -> dict[str, str]:
    rows = json.loads((target / "run_results.json").read_text())["results"]
    return {row["unique_id"]: row["compiled_code"] for row in rows}


def _order(manifest: dict[str, Any]) -> list[str]:
    nodes = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    done: list[str] = []

    def visit(key: str) -> None:
        for parent in nodes[key]["depends_on"]["nodes"]:
            if parent in nodes:
                visit(parent)
        if key not in done:
            done.append(key)

    for key in sorted(nodes):
        visit(key)
    return done


def _model(node: dict[str, Any], full: str, incremental: str) -> Model:
    config = node["config"]
    return Model(
        node["relation_name"].replace('"', ""),
        config["materialized"],
        config.get("unique_key"),
        full,
        incremental,
    )


class World:
    """A lake of its own in memory, with the loader's rule: a row whose key is there is not added again."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.connection = duckdb.connect()
        self.connection.execute("set threads = 1")
        self.connection.execute("set TimeZone = 'UTC'")
        self.connection.execute("attach ':memory:' as lake")
        for schema in ("staging", "intermediate", "marts"):
            self.connection.execute(f"create schema lake.{schema}")
        prepare_tables(self.connection)
        seed = DBT_PROJECT / "seeds" / "action_weights.csv"
        self.connection.execute(f"create table lake.staging.action_weights as from read_csv('{seed}')")
        self.built: set[str] = set()
        self.loads = 0

    def emptied(self) -> "World":
        """The same world with nothing loaded and nothing built, which is quicker to get than a new one."""
        for stream in STREAMS:
            self.connection.execute(f"delete from lake.raw.{stream}")
        self.built.clear()
        self.loads = 0
        return self

    def load(self, **streams: Sequence[Mapping[str, Any]]) -> None:
        """Load rows as dictionaries, all with one load number; missing columns are null."""
        self.loads += 1
        for stream, rows in streams.items():
            key = key_of(stream)
            for row in rows:
                self._insert(stream, key, dict(row))

    def _insert(self, stream: str, key: str, row: dict[str, Any]) -> None:
        if key == "_row_hash":
            row["_row_hash"] = repr(sorted(row.items()))
        known = self.connection.execute(
            f'select 1 from lake.raw.{stream} where "{key}" = ?', [row[key]]
        ).fetchone()
        if known:
            return
        row["_load_seq"] = self.loads
        names = [name for name in columns_of(stream) if name in row]
        marks = ", ".join("?" for _ in names)
        quoted = ", ".join(f'"{name}"' for name in names)
        self.connection.execute(
            f"insert into lake.raw.{stream} ({quoted}) values ({marks})", [row[name] for name in names]
        )

    def build(self, full_refresh: bool = False) -> None:
        """What `dbt build` does to the tables."""
        for model in self.project.models:
            self.build_model(model, full_refresh)

    def build_model(self, model: Model, full_refresh: bool = False) -> None:
        if model.materialized == "view":
            self.connection.execute(f"create or replace view {model.relation} as {model.full_sql}")
        elif model.materialized == "table" or full_refresh or model.relation not in self.built:
            self.connection.execute(f"create or replace table {model.relation} as {model.full_sql}")
        else:
            self.connection.execute(f"create or replace temp table fresh as {model.incremental_sql}")
            if model.unique_key:
                key = model.unique_key
                self.connection.execute(
                    f"delete from {model.relation} where {key} in (select {key} from fresh)"
                )
            self.connection.execute(f"insert into {model.relation} from fresh")
        self.built.add(model.relation)

    def hashes(self) -> dict[str, str]:
        return {table: _content_hash(self.connection, table) for table in FEATURE_TABLES}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query).fetchall()

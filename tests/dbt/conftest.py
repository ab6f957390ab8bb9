"""One tiny lake, built once by the real dbt; its compiled SQL serves all other tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.lake.connection import write
from orchestration.lake.features import build_features
from orchestration.lake.raw import prepare_tables
from serving.settings import Settings
from tests.dbt.project import Project, World, compile_project


@pytest.fixture(scope="session")
def built_lake(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake whose raw tables are there and empty, with its features."""
    settings = Settings(
        home=Path(tmp_path_factory.mktemp("dbt") / "home"), lake_catalog="", lake_data_path=""
    )
    write(settings, prepare_tables, "raw tables")
    build_features(settings, lambda _: None)
    return settings


@pytest.fixture(scope="session")
def project(built_lake: Settings) -> Project:
    return compile_project(built_lake)


@pytest.fixture(scope="module")
def world(project: Project) -> Iterator[World]:
    made = World(project)
    yield made
    made.connection.close()


@pytest.fixture(scope="module")
def other_world(project: Project) -> Iterator[World]:
    made = World(project)
    yield made
    made.connection.close()

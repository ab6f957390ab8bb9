"""One small simulated world, built once by the real dbt; its compiled SQL serves all other tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.lake.features import build_features
from orchestration.lake.ingest import ingest
from orchestration.sources.simulated import Scenario, write_scenario
from serving.settings import Settings
from tests.dbt.project import Project, World, compile_project


@pytest.fixture(scope="session")
def built_lake(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake with a fortnight of a small world, and its features."""
    settings = Settings(
        home=Path(tmp_path_factory.mktemp("dbt") / "home"), lake_catalog="", lake_data_path=""
    )
    scenario = settings.home.with_name("world.json")
    write_scenario(scenario, Scenario(users=200, posts=400, events=4000, days=14, truth="truth"))
    ingest(settings, scenario, "simulated", lambda _: None)
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

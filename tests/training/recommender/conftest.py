from pathlib import Path

import pytest

from tests.training.recommender import worlds
from training.recommender.data import RecommenderTables
from training.recommender.train import train
from training.result import TrainingOutcome


@pytest.fixture(scope="session")
def tastes() -> RecommenderTables:
    return worlds.tastes()


@pytest.fixture(scope="session")
def outcome(tastes: RecommenderTables, tmp_path_factory: pytest.TempPathFactory) -> TrainingOutcome:
    """One training cycle with every model."""
    folder: Path = tmp_path_factory.mktemp("recommender")
    return train(tastes, worlds.small_config(), folder, lambda line: None, {"lake_snapshot": 3})

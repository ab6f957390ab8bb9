from collections.abc import Iterator

import pyarrow as pa
import pytest
import torch

from tests.training.generator.world import counted, documents, texts, tiny
from training.generator.mixture import LanguageModel
from training.generator.train import train
from training.result import TrainingOutcome


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """A second thread only waits for the core that another process has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def corpus() -> pa.Table:
    return documents()


@pytest.fixture(scope="session")
def outcome(corpus: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> TrainingOutcome:
    return train(corpus, tiny(), tmp_path_factory.mktemp("generator"), lambda line: None)


@pytest.fixture(scope="session")
def plain() -> LanguageModel:
    return counted(texts(300))

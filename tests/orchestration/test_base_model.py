"""`base_model` from the settings and from the Launchpad reaches the trainer; another model is another cycle."""

from pathlib import Path

import pytest

from orchestration.cycle import TABLES, _located, fingerprint
from orchestration.defs.launchpad import launchpad_config, trainer_config
from serving.settings import Settings
from training.generator.config import GeneratorConfig

HASHES = dict.fromkeys(TABLES["generator"], "h")


def test_the_setting_is_used_where_the_launchpad_names_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_BASE_MODEL", "smollm2")
    assert _located(Settings(), GeneratorConfig()).base_model == "smollm2"  # type: ignore[attr-defined]
    named = _located(Settings(), GeneratorConfig(base_model="other/model"))
    assert named.base_model == "other/model"  # type: ignore[attr-defined]


def test_a_path_in_the_settings_holds_wherever_a_process_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bases").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEGATE_BASE_MODEL", "bases")
    assert Settings().base_model == str(tmp_path / "bases")
    monkeypatch.setenv("TIDEGATE_BASE_MODEL", "owner/name")
    assert Settings().base_model == "owner/name"


def test_the_launchpad_shows_base_model_and_how_it_is_fitted() -> None:
    launchpad = launchpad_config(GeneratorConfig)
    assert trainer_config(GeneratorConfig, launchpad()) == GeneratorConfig()
    typed = trainer_config(GeneratorConfig, launchpad(base_model="smollm2", pretrained={"method": "full"}))
    assert (typed.base_model, typed.pretrained.method) == ("smollm2", "full")
    assert all(
        field.description for field in launchpad.model_fields["pretrained"].annotation.model_fields.values()
    )


def test_other_weights_under_the_same_name_are_another_cycle(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    marks = []
    for content in (b"one", b"two", b"one"):
        (tmp_path / "model.safetensors").write_bytes(content)
        marks.append(fingerprint(HASHES, GeneratorConfig(base_model=str(tmp_path))))
    assert marks[0] != marks[1]
    assert marks[0] == marks[2]

"""Every setting is documented, and the documentation names no setting that is not there."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from serving.moderation_settings import ModerationSettings
from serving.settings import Settings
from training.recommender.feed.settings import FeedSettings


def _fields() -> dict[str, FieldInfo]:
    """All settings, those of the feed and of moderation under their full names."""
    groups = {"feed": FeedSettings, "moderation": ModerationSettings}
    own = {name: field for name, field in Settings.model_fields.items() if name not in groups}
    return own | {
        f"{group}_{name}": field
        for group, fields in groups.items()
        for name, field in fields.model_fields.items()
    }


_ROOT = Path(__file__).resolve().parents[2]


def test_the_example_file_names_every_setting_and_no_other() -> None:
    named = set(re.findall(r"^#?(TIDEGATE_[A-Z_]+)=", (_ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == {f"TIDEGATE_{name.upper()}" for name in _fields()}


def test_the_example_file_shows_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(_ROOT)
    shown = dict(
        re.findall(r"^#(TIDEGATE_[A-Z_]+)=(.*)$", (_ROOT / ".env.example").read_text(), re.MULTILINE)
    )
    for name, field in _fields().items():
        text = shown[f"TIDEGATE_{name.upper()}"]
        if text and name != "lake_catalog":
            monkeypatch.setenv(f"TIDEGATE_{name.upper()}", text)
            assert str(type(field.default)(text)) == str(field.default), name
    assert Settings().feed == FeedSettings()
    assert Settings().moderation == ModerationSettings()


def test_a_setting_of_the_feed_is_read_by_its_name_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_FEED_EXPLORE_DEPTH", "4")
    assert Settings().feed == FeedSettings(explore_depth=4)
    monkeypatch.setenv("TIDEGATE_FEED_EXPLORE", "0.6")
    with pytest.raises(ValidationError, match=r"feed\.explore"):
        Settings()


def test_home_is_absolute_so_children_agree_on_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIDEGATE_HOME", "state")
    assert Settings().home == tmp_path / "state"


def test_a_wrong_setting_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_API_PORT", "ninety")
    with pytest.raises(ValidationError, match="api_port"):
        Settings()


def test_the_embedded_catalog_lies_under_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    settings = Settings()
    assert settings.tracking_uri == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert settings.incoming_dir == tmp_path / "landing" / "incoming"

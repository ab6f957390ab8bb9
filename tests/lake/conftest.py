from pathlib import Path

import pytest

from orchestration.sources import READERS
from serving.settings import Settings
from tests.lake.fakes import FakeReader, make_settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setitem(READERS, "fake", FakeReader())
    return make_settings(tmp_path / "home")

from pathlib import Path

import pytest

from orchestration.quality import expectations
from orchestration.quality.expectations_frame import Seen
from orchestration.quality.expectations_rules import rows_where
from orchestration.sources import READERS
from serving.settings import Settings
from tests.lake.fakes import FakeReader, make_settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home of its own. Great Expectations, a second a file, is tested in tests/quality; here the masks answer."""
    monkeypatch.setitem(READERS, "fake", FakeReader())
    monkeypatch.setattr(
        expectations,
        "judge",
        lambda rows, rules: [Seen(rows_where(rule.broken(rows)).tolist() if rows else []) for rule in rules],
    )
    return make_settings(tmp_path / "home")

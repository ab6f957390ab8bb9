"""The measurement of long catalogues runs to its end, on a short one and in one process."""

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import measured
    import scale

    def here(name, events, work):
        work()
        return measured.Measured(name, events, 1.0, 1.0, 1.0, 1.0)

    monkeypatch.setattr(scale, "measure", here)
    return scale


def test_a_short_catalogue_goes_through_all_phases_and_the_tables_tell_them(
    scale: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--users", "200", "--posts", "150", "--events", "2000", "--minutes", "0.05"]
    monkeypatch.setattr(sys, "argv", ["scale.py", *sizes, "--out", str(tmp_path)])
    assert scale.main() == 0
    (found,) = json.loads((tmp_path / "results.json").read_text())
    assert set(found["phases"]) == {"generate", "stream", "train", "retrieve"}
    assert found["retrieval"]["recall@10"] > 0.9
    assert 0 <= found["ndcg@10"] <= 1
    assert f"| {found['events']:,} | 200 | train |" in capsys.readouterr().out

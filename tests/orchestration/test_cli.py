"""The command as its user meets it: one line on success, one line and a non-zero code on a mistake, nothing lost."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration import cli
from serving.settings import get_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh home, and settings that know it."""
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", "")
    get_settings.cache_clear()
    yield tmp_path / "home"
    monkeypatch.undo()
    get_settings.cache_clear()


def tidegate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one command."""
    monkeypatch.setattr(sys, "argv", ["tidegate", *words])
    code = 0
    try:
        cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


MISTAKES = {
    "a folder that is not there": (("ingest", "/no/such/folder"), "/no/such/folder"),
    "a reader that nobody wrote": (("ingest", ".", "--reader", "nope"), "nope"),
    "a gate before any training": (("gate", "recommender"), "no recommender was trained yet"),
    "an approval of nothing": (("approve", "generator", "7"), "generator version 7 was never judged"),
    "a rejection of nothing": (("reject", "generator", "7", "--why", "no"), "was never judged"),
    "a rollback without a champion": (("rollback", "recommender"), "no champion that could be rolled back"),
    "a world of bots": (("simulate", "--users", "60", "--bots", "40"), "a quarter of the users"),
    "a rebuild of nothing": (("lake", "rebuild"), ""),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line_and_a_non_zero_code(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    words, told = MISTAKES[name]
    code, out, err = tidegate(capsys, monkeypatch, *words)
    assert code != 0
    assert out == ""
    lines = [line for line in err.splitlines() if line.startswith("tidegate: ")]
    assert len(lines) == 1, err
    assert told in lines[0]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words", [("gate", "ranker"), ("rollback",), ("nonsense",), ("simulate", "--drift", "wild")]
)
def test_a_word_that_is_not_known_is_refused_with_the_usage(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    code, _, err = tidegate(capsys, monkeypatch, *words)
    assert code == 2
    assert "Usage" in err


def test_a_setting_that_makes_no_sense_is_named(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_API_PORT", "many")
    get_settings.cache_clear()
    code, _, err = tidegate(capsys, monkeypatch, "status")
    assert code == 1
    assert err.strip().count("\n") == 0
    assert "api_port" in err


def test_the_status_of_an_empty_home_is_an_answer(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = tidegate(capsys, monkeypatch, "status", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["models"]["recommender"] == {"champion": None, "previous": None, "last_decision": None}
    assert found["lake"] == {"snapshot": None, "events": 0, "posts": 0, "users": 0}


def test_wrong_files_are_refused_whole_and_good_ones_beside_them_are_kept(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "events.parquet").write_bytes(b"this is no parquet file")
    code, _, err = tidegate(capsys, monkeypatch, "ingest", str(mine))
    assert code == 1
    assert "events.parquet" in err.splitlines()[-1]
    (mine / "events.parquet").unlink()
    (mine / "events.csv").write_text(
        "occurred_at,user_id,post_id,action\n"
        + "".join(f"2026-03-01T08:{minute:02}:00Z,ann,p{minute},like\n" for minute in range(40))
        + "yesterday,ann,p1,like\n"
    )
    code, out, _ = tidegate(capsys, monkeypatch, "ingest", str(mine))
    assert code == 0
    assert "40" in out
    assert "quarantine" in out
    again = tidegate(capsys, monkeypatch, "ingest", str(mine))
    assert again[0] == 0
    assert "nothing new" in again[1]
    assert json.loads(tidegate(capsys, monkeypatch, "status", "--json")[1])["lake"]["events"] == 40

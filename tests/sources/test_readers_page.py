"""What docs/readers.md shows works as it stands there."""

import re
from itertools import count, islice
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from orchestration.lake.connection import read_table
from orchestration.lake.ingest import ingest
from orchestration.sources import READERS
from orchestration.sources.assemble import assemble
from orchestration.sources.base import quiet
from orchestration.sources.schema import BATCH_ROWS
from orchestration.sources.simulated import Scenario
from serving.settings import Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "readers.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


def test_every_reader_is_on_the_page() -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert rows == set(READERS)


def test_the_example_reader_lands_good_lines_and_puts_broken_ones_into_quarantine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {
        "assemble": assemble, "quiet": quiet, "BATCH_ROWS": BATCH_ROWS, "pa": pa, "count": count, "islice": islice
    }  # fmt: skip
    exec(block("python"), names)
    monkeypatch.setitem(READERS, "movielens", names["MovieLensReader"]())
    file = tmp_path / "ratings.dat"
    good = [f"{number}::1193::{1 + number % 5}::{978300760 + number}" for number in range(60)]
    file.write_text("\n".join([*good[:30], "7::torn", *good[30:]]))
    settings = Settings(home=tmp_path / "home", _env_file=None)  # type: ignore[call-arg]
    report = ingest(settings, file, "movielens", quiet)
    assert (report.rows_accepted["events"], report.rows_quarantined["events"]) == (60, 1)
    events = read_table(settings, "raw.events", where="user_id = '4'").to_pylist()
    assert [(one["action"], one["value"], one["occurred_at"].year) for one in events] == [("like", 5.0, 2000)]


def test_the_scenario_of_the_page_names_knobs_that_there_are() -> None:
    assert Scenario(**yaml.safe_load(block("yaml"))).users == 2000

import errno
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from orchestration.lake.connection import current_snapshot, read_table
from orchestration.lake.ingest import ingest, ingest_incoming
from orchestration.lake.landing import LandingWriter, landed_batches, read_manifest
from orchestration.lake.quality_store import latest_results
from orchestration.lake.status import raw_counts
from orchestration.lake.verify import verify_landing
from orchestration.sources import READERS
from serving.settings import Settings
from tests.lake.fakes import FakeReader, event, make_settings, post, silent, write_rows
from training.errors import UserError


def _events(settings: Settings) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_table(settings, "raw.events").sort_by("event_id").to_pylist()
    return rows


def _landed_files(settings: Settings) -> list[str]:
    folder = settings.landing_dir
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "lock" not in path.name
    )


def test_rows_of_a_file_are_landed_and_in_the_lake_with_their_origin(
    settings: Settings, tmp_path: Path
) -> None:
    file = write_rows(tmp_path / "a.jsonl", [event(1), event(2, value=3.5, position=4), post(1)])
    report = ingest(settings, file, "fake", silent)
    assert report.rows_in == {"events": 2, "posts": 1}
    assert report.rows_new == {"events": 2, "posts": 1}
    assert report.line() == "1 file landed; events: 2 rows read, 2 new; posts: 1 rows read, 1 new"
    first, second = _events(settings)
    assert first["user_id"] == "u1" and first["value"] is None
    assert (second["value"], second["position"]) == (3.5, 4)
    assert second["_load_seq"] == 1
    (batch,) = [name for name in landed_batches(settings) if name.startswith("events-fake-")]
    assert second["_batch_id"] == batch
    assert second["_landed_at"].isoformat() == read_manifest(settings, batch).landed_at
    (stored,) = read_table(settings, "raw.posts").to_pylist()
    assert stored["text"] == "post 1 帖子" and stored["topics"] == ["a", "b"]
    assert verify_landing(settings) == []


def test_the_same_file_twice_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    file = write_rows(tmp_path / "a.jsonl", [event(1), post(1)])
    ingest(settings, file, "fake", silent)
    files, snapshot = _landed_files(settings), current_snapshot(settings)
    copy = write_rows(tmp_path / "renamed.jsonl", [event(1), post(1)])
    for path in (file, copy):
        report = ingest(settings, path, "fake", silent)
        assert report.line() == "0 files landed, 1 known already; nothing new"
    assert _landed_files(settings) == files
    assert current_snapshot(settings) == snapshot


def test_the_same_rows_in_another_file_change_no_data(settings: Settings, tmp_path: Path) -> None:
    rows = [event(1), event(2), post(1), post(2)]
    ingest(settings, write_rows(tmp_path / "a.jsonl", rows), "fake", silent)
    before = _events(settings)
    report = ingest(settings, write_rows(tmp_path / "b.jsonl", [*reversed(rows), event(3)]), "fake", silent)
    assert report.rows_new == {"events": 1, "posts": 0}
    assert _events(settings)[:2] == before
    counts = {"events": 3, "posts": 2, "users": 0, "follows": 0, "feedback": 0, "generations": 0}
    assert raw_counts(settings) == counts


def test_a_later_version_of_a_post_is_another_row(settings: Settings, tmp_path: Path) -> None:
    ingest(settings, write_rows(tmp_path / "a.jsonl", [post(1)]), "fake", silent)
    ingest(settings, write_rows(tmp_path / "b.jsonl", [post(1, text="edited")]), "fake", silent)
    assert sorted(read_table(settings, "raw.posts")["text"].to_pylist()) == ["edited", "post 1 帖子"]


def test_load_numbers_grow_with_each_load(settings: Settings, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        ingest(settings, write_rows(tmp_path / f"{number}.jsonl", [event(number)]), "fake", silent)
    assert [row["_load_seq"] for row in _events(settings)] == [1, 2, 3]


@examples(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(6)), twice=st.lists(st.integers(0, 5), max_size=3))
def test_of_rows_with_one_event_id_in_a_file_the_same_one_stays_whatever_their_order(
    order: list[int], twice: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("order")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(READERS, "fake", FakeReader())
        settings = make_settings(folder / "home")
        rows = [event(1, event_id="same", value=float(number)) for number in range(6)]
        file = write_rows(folder / "a.jsonl", [rows[number] for number in [*order, *twice]])
        ingest(settings, file, "fake", silent)
        assert [row["value"] for row in _events(settings)] == [0.0]


def test_a_bad_row_goes_to_quarantine_with_its_reason_and_the_rest_is_kept(
    settings: Settings, tmp_path: Path
) -> None:
    rows = [event(number) for number in range(100)]
    rows[3]["action"] = "dance"
    rows[7] |= {"occurred_at": None, "_error": "occurred_at: 'soon' is not a time"}
    said: list[str] = []
    report = ingest(settings, write_rows(tmp_path / "a.jsonl", rows), "fake", said.append)
    assert report.rows_accepted == {"events": 98}
    assert report.rows_quarantined == {"events": 2}
    assert "2 in quarantine" in report.line()
    (name,) = landed_batches(settings)
    manifest = read_manifest(settings, name)
    assert (manifest.rows_in, manifest.rows_accepted, manifest.rows_quarantined) == (100, 98, 2)
    refused = pq.read_table(settings.landing_dir / manifest.quarantine_file).to_pylist()
    assert [row["row_number"] for row in refused] == [4, 8]
    assert refused[0]["reason"].startswith("action is none of impression")
    assert json.loads(refused[0]["row"])["action"] == "dance"
    assert refused[1]["reason"] == "occurred_at: 'soon' is not a time"
    assert any("2 in quarantine: action is none of" in line for line in said)
    failed = [
        row for row in latest_results(settings) if row["suite"] == "border.events" and not row["success"]
    ]
    assert {row["column"] for row in failed} == {"action", "occurred_at"}
    assert not any(row["critical"] for row in failed)


def test_a_file_with_too_many_bad_rows_is_refused_whole_in_one_line(
    settings: Settings, tmp_path: Path
) -> None:
    rows = [event(number) for number in range(20)]
    for number in range(4):
        rows[number]["action"] = "dance"
    rows[9]["user_id"] = None
    with pytest.raises(UserError) as refusal:
        ingest(settings, write_rows(tmp_path / "a.jsonl", [post(1), *rows]), "fake", silent)
    text = str(refusal.value)
    assert "\n" not in text
    assert "5 of 20 rows of events (25.0%, limit 5.0%)" in text
    assert (
        text.index("action is none of") < text.index("(4 rows)") < text.index("user_id is missing (1 rows)")
    )
    assert _landed_files(settings) == []
    assert raw_counts(settings)["posts"] == 0


def test_the_limit_is_a_setting(tmp_path: Path, settings: Settings) -> None:
    lenient = make_settings(settings.home, quarantine_limit=0.5)
    report = ingest(
        lenient, write_rows(tmp_path / "a.jsonl", [event(1), event(2, action="x")]), "fake", silent
    )
    assert report.rows_accepted == {"events": 1}


def test_a_file_that_turns_out_torn_is_refused_whole_and_its_neighbours_land(
    settings: Settings, tmp_path: Path
) -> None:
    write_rows(tmp_path / "in" / "bad.jsonl", [event(1), "torn"])
    write_rows(tmp_path / "in" / "good.jsonl", [event(2)])
    with pytest.raises(
        UserError, match=r"bad\.jsonl: torn \(1 file landed, 1 refused; events: 1 rows read, 1 new\)"
    ):
        ingest(settings, tmp_path / "in", "fake", silent)
    assert [row["event_id"] for row in _events(settings)] == ["e2"]
    assert len(_landed_files(settings)) == 2


def test_a_file_that_changes_while_it_is_read_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_rows(tmp_path / "a.jsonl", [event(1)])
    write = LandingWriter.write

    def append(self: LandingWriter, *rows: Any) -> None:
        with file.open("a") as handle:
            handle.write("\n{}")
        write(self, *rows)

    monkeypatch.setattr(LandingWriter, "write", append)
    with pytest.raises(UserError, match="was changed while it was read"):
        ingest(settings, file, "fake", silent)
    assert _landed_files(settings) == []


def test_a_full_disk_is_one_clear_line_and_leaves_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: pq.ParquetWriter, table: pa.Table) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = write_rows(tmp_path / "a.jsonl", [event(1)])
    with monkeypatch.context() as patch:
        patch.setattr(pq.ParquetWriter, "write_table", full)
        with pytest.raises(UserError, match="no space is left"):
            ingest(settings, file, "fake", silent)
    assert _landed_files(settings) == []
    assert ingest(settings, file, "fake", silent).rows_new == {"events": 1}


def test_an_unknown_reader_and_a_missing_path_are_told_in_one_line(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no reader 'nope'"):
        ingest(settings, tmp_path, "nope", silent)
    with pytest.raises(UserError, match="no such file"):
        ingest(settings, tmp_path / "nothing", "fake", silent)


def test_what_waits_in_incoming_lands_once_and_is_archived(settings: Settings) -> None:
    journal = settings.incoming_dir / "api" / "events" / "0001.jsonl"
    row = {name: value for name, value in event(1).items() if name != "stream"}
    write_rows(journal, [row])
    write_rows(journal.with_name("0002.jsonl.open"), [row])
    report = ingest_incoming(settings, silent)
    assert report.rows_new == {"events": 1}
    assert not journal.exists()
    assert (settings.landing_dir / "archive" / "api" / "events" / "0001.jsonl").exists()
    assert journal.with_name("0002.jsonl.open").exists()
    assert ingest_incoming(settings, silent).line() == "0 files landed; nothing new"


def test_what_is_refused_in_incoming_is_put_aside_with_its_reason_and_stops_nothing(
    settings: Settings,
) -> None:
    write_rows(settings.incoming_dir / "events.csv", ["user_id,post_id", "u1,p1"])
    write_rows(settings.incoming_dir / "notes.txt", ["hello"])
    row = {name: value for name, value in event(1).items() if name != "stream"}
    write_rows(settings.incoming_dir / "more" / "events.jsonl", [row])
    report = ingest_incoming(settings, silent)
    assert report.rows_new == {"events": 1}
    assert sorted(Path(file.source).name for file in report.refused) == ["events.csv", "notes.txt"]
    aside = settings.landing_dir / "refused"
    assert "occurred_at" in (aside / "events.csv.reason.txt").read_text()
    assert (aside / "notes.txt").read_text() == "hello"
    assert not [path for path in settings.incoming_dir.rglob("*") if path.is_file()]


def test_a_second_file_of_the_same_name_overwrites_no_archived_one(settings: Settings) -> None:
    for number in (1, 2):
        row = {name: value for name, value in event(number).items() if name != "stream"}
        write_rows(settings.incoming_dir / "events.jsonl", [row])
        ingest_incoming(settings, silent)
    kept = sorted(path.name for path in (settings.landing_dir / "archive").iterdir())
    assert kept == ["events-2.jsonl", "events.jsonl"]

import csv
import gzip
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.sources import canonical, openers, records
from orchestration.sources.schema import REQUIRED, STREAMS
from tests.sources.helpers import read, real_data, write_jsonl, write_text
from training.errors import UserError

EVENT = {"occurred_at": "2026-01-05T08:00:00Z", "user_id": "u1", "post_id": "p1", "action": "like"}
EVENTS = [
    EVENT,
    EVENT | {"user_id": "u2", "action": "view", "value": 12.5, "position": 3},
    EVENT | {"post_id": "帖子", "surface": "home", "session_id": "s,1"},
]
POSTS = [
    {
        "post_id": "p1",
        "created_at": "2026-01-04T10:00:00Z",
        "text": 'the first line of it\nand the "second" one, 你好',
        "topics": ["a", "b c"],
    },
    {
        "post_id": "p2",
        "created_at": "2026-01-04T10:00:00Z",
        "text": "Why is everybody so happy about this?",
        "lang": "en",
    },
]
FORMATS = ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet", "parquet.gz"]


def write(path: Path, rows: list[dict]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if ".csv" in path.name:
        out = io.StringIO()
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        writer.writerows(
            [{k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in rows]
        )
        return write_text(path, out.getvalue())
    if ".jsonl" in path.name:
        return write_jsonl(path, rows)
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    path.write_bytes(gzip.compress(buffer.getvalue()) if path.suffix == ".gz" else buffer.getvalue())
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_rows_and_the_same_event_ids(tmp_path, kind):
    expected = read("canonical", write(tmp_path / "events.jsonl", EVENTS))["events"]
    found = read("canonical", write(tmp_path / f"events.{kind}", EVENTS))["events"]
    assert found == expected
    assert [row["_row"] for row in found] == [1, 2, 3]
    assert found[0]["occurred_at"] == datetime(2026, 1, 5, 8, tzinfo=UTC)
    assert (found[1]["value"], found[1]["position"]) == (12.5, 3)
    assert len({row["event_id"] for row in found}) == 3


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_keeps_text_and_topics(tmp_path, kind):
    rows = read("canonical", write(tmp_path / f"posts.{kind}", POSTS))["posts"]
    assert rows[0]["text"] == POSTS[0]["text"]
    assert rows[0]["topics"] == ["a", "b c"]
    assert [row["lang"] for row in rows] == ["en", "en"]
    assert [row["_error"] for row in rows] == [None, None]


def test_a_folder_may_hold_a_file_and_a_folder_of_files_a_stream(tmp_path):
    write(tmp_path / "events" / "part-0.jsonl", EVENTS[:1])
    write(tmp_path / "events" / "2026" / "01" / "part-1.jsonl", EVENTS[1:])
    write(tmp_path / "posts.csv", POSTS)
    (tmp_path / "README.md").write_text("about")
    rows = read("canonical", tmp_path)
    assert (len(rows["events"]), len(rows["posts"])) == (3, 2)


def test_unfinished_and_hidden_files_are_left_alone(tmp_path):
    write(tmp_path / "api" / "events" / "0001.jsonl", EVENTS)
    (tmp_path / "api" / "events" / "0002.jsonl.open").write_text("{")
    write(tmp_path / ".tmp" / "events.jsonl", EVENTS)
    write(tmp_path / "_partial" / "events.jsonl", EVENTS)
    assert len(read("canonical", tmp_path)["events"]) == 3


@pytest.mark.parametrize("name", ["events-2026-01.csv", "EVENTS.csv", "events_part1.csv"])
def test_the_name_tells_the_stream(tmp_path, name):
    assert len(read("canonical", write(tmp_path / name, EVENTS))["events"]) == 3


@pytest.mark.parametrize(("stream", "rows"), [("events", EVENTS), ("posts", POSTS)])
def test_the_columns_tell_the_stream_where_the_name_does_not(tmp_path, stream, rows):
    assert list(read("canonical", write(tmp_path / "dump.jsonl", rows))) == [stream]


def test_a_folder_named_like_another_stream_does_not_mislead(tmp_path):
    assert list(read("canonical", write(tmp_path / "events" / "x.jsonl", POSTS))) == ["posts"]


def test_a_file_that_could_be_anything_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither its name nor its columns"):
        read("canonical", write_jsonl(tmp_path / "x.jsonl", [{"a": 1}]))


def test_unknown_columns_are_ignored_and_said_once(tmp_path):
    said: list[str] = []
    rows = read("canonical", write_jsonl(tmp_path / "events.jsonl", [EVENT | {"colour": "red"}] * 3), said)
    assert len(rows["events"]) == 3
    assert [line for line in said if "colour" in line] == [
        "events.jsonl: ignoring columns that events do not have: colour"
    ]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("stream", "missing"), [(s, c) for s, required in REQUIRED.items() for c in required]
)
def test_a_missing_required_column_is_named(tmp_path, stream, missing, kind):
    row = {name: "2026-01-01" for name in REQUIRED[stream] if name != missing} | {"other": "x"}
    path = write(tmp_path / f"{stream}.{kind}", [row])
    with pytest.raises(UserError) as error:
        read("canonical", path)
    assert str(path) in str(error.value)
    assert missing in str(error.value)
    assert "\n" not in str(error.value)


def test_a_first_record_without_a_required_key_is_a_bad_row_and_not_a_bad_file(tmp_path):
    rows = read("canonical", write_jsonl(tmp_path / "events.jsonl", [{"user_id": "u1"}, *EVENTS]))["events"]
    assert [row["action"] for row in rows] == [None, "like", "view", "like"]


def false_files(tmp_path: Path) -> dict[str, Path]:
    whole = gzip.compress(json.dumps(EVENT).encode() * 2000)
    table = io.BytesIO()
    pq.write_table(pa.table({name: [str(value)] * 5000 for name, value in EVENT.items()}), table)
    broken = bytearray(table.getvalue())
    broken[40:400] = bytes(360)
    contents = {
        "a.gz that is no gzip": ("events.csv.gz", b"occurred_at,user_id\n"),
        "a cut gzip": ("events.jsonl.gz", whole[: len(whole) // 2]),
        "a gzip with a flipped byte": ("events.jsonl.gz", whole[:60] + b"\x00\x01\x02" + whole[63:]),
        "a CSV named Parquet": ("events.parquet", b"occurred_at,user_id,post_id,action\n"),
        "a cut Parquet": ("events.parquet", table.getvalue()[:-100]),
        "a Parquet with broken pages": ("events.parquet", bytes(broken)),
        "a Parquet named CSV": ("events.csv", table.getvalue()),
        "a gzip named CSV": ("events.csv", whole),
        "binary named JSONL": ("events.jsonl", bytes(range(256)) * 20),
        "UTF-16": ("events.csv", "occurred_at,user_id".encode("utf-16")),
        "GBK": ("posts.csv", "post_id,created_at,text\np1,2026-01-01,你好世界\n".encode("gbk")),
        "a JSON array": ("events.jsonl", json.dumps(EVENTS, indent=1).encode()),
        "prose named JSONL": ("posts.jsonl", b"Dear all,\nsee below.\n"),
        "an empty CSV": ("events.csv", b""),
        "a header with a name twice": ("events.csv", b"occurred_at,user_id,user_id,post_id,action\n"),
        "no data format": ("events.txt", b"hello"),
    }
    for number, (what, (name, content)) in enumerate(contents.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / name).write_bytes(content)
        contents[what] = (str(folder / name), b"")
    return {what: Path(path) for what, (path, _) in contents.items()}


FALSE = [
    "a.gz that is no gzip", "a cut gzip", "a gzip with a flipped byte", "a CSV named Parquet", "a cut Parquet",
    "a Parquet with broken pages", "a Parquet named CSV", "a gzip named CSV", "binary named JSONL", "UTF-16", "GBK",
    "a JSON array", "prose named JSONL", "an empty CSV", "a header with a name twice", "no data format",
]  # fmt: skip


@pytest.mark.parametrize("what", FALSE)
def test_a_file_that_is_not_what_it_claims_is_refused_in_one_line_that_names_it(tmp_path, what):
    path = false_files(tmp_path)[what]
    with pytest.raises(UserError) as error:
        read("canonical", path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["events.json", "posts.xlsx"])
def test_a_stream_in_a_format_that_is_not_read_is_refused_and_not_passed_over(tmp_path, name):
    write(tmp_path / "events.jsonl", EVENTS)
    (tmp_path / name).write_bytes(b"[]")
    with pytest.raises(UserError, match=name):
        read("canonical", tmp_path)


def test_a_missing_path_and_an_empty_folder_are_told_apart(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        read("canonical", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"no events\.\*"):
        read("canonical", tmp_path)


def test_an_empty_stream_is_no_fault(tmp_path):
    (tmp_path / "events.jsonl").write_bytes(b"")
    write_text(tmp_path / "posts.csv", "post_id,created_at\n")
    assert read("canonical", tmp_path) == {}


def test_broken_lines_keep_their_place_with_a_reason(tmp_path):
    lines = [json.dumps(EVENT), "{broken", "", "[1, 2]", json.dumps(EVENT | {"user_id": "u2"}), '"text"']
    rows = read("canonical", write_text(tmp_path / "events.jsonl", "\n".join(lines)))["events"]
    assert [row["user_id"] for row in rows] == ["u1", None, None, "u2", None]
    assert [bool(row["_error"]) for row in rows] == [False, True, True, False, True]
    assert "{broken" in rows[1]["_error"]


def test_ragged_and_undecodable_csv_rows_keep_their_place_with_a_reason(tmp_path):
    head = "post_id,created_at,text\n"
    good = "".join(f"p{number},2026-01-01,{'x' * 90}\n" for number in range(1000))
    bad = b"p1001,2026-01-01\np1002,2026-01-01,\xff\xfe\np1003,2026-01-01,a,b\np1004,2026-01-01,fine\n"
    path = tmp_path / "posts.csv"
    path.write_bytes((head + good).encode() + bad)
    rows = read("canonical", path)["posts"]
    assert len(rows) == 1004
    assert [row["post_id"] for row in rows if row["_error"] is None][-1] == "p1004"
    assert [
        "2 cells" in rows[1000]["_error"],
        "UTF-8" in rows[1001]["_error"],
        "4 cells" in rows[1002]["_error"],
    ] == [True] * 3


def test_a_line_without_end_takes_bounded_memory_and_costs_one_row(tmp_path, monkeypatch):
    for module in (openers, records):
        monkeypatch.setattr(module, "LONGEST_LINE", 1000)
    long = json.dumps(EVENT | {"surface": "x" * 5000})
    path = write_text(tmp_path / "events.jsonl", f"{json.dumps(EVENT)}\n{long}\n{json.dumps(EVENT)}\n")
    rows = read("canonical", path)["events"]
    assert [row["_error"] is None for row in rows] == [True, False, True]
    assert "longer than" in rows[1]["_error"]


def test_large_files_come_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "PIECE_BYTES", 10_000)
    path = write_jsonl(
        tmp_path / "events.jsonl", [EVENT | {"user_id": f"u{number}"} for number in range(1000)]
    )
    batches = [batch for _, batch in canonical.CanonicalReader().read(path)]
    assert len(batches) > 5
    assert [row for batch in batches for row in batch.column("_row").to_pylist()] == list(range(1, 1001))


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_csv_may_be_parted_by_comma_tab_or_semicolon_and_begin_with_a_byte_order_mark(tmp_path, delimiter):
    text = "\ufeff" + delimiter.join(EVENT) + "\n" + delimiter.join(EVENT.values()) + "\n"
    rows = read("canonical", write_text(tmp_path / "events.csv", text))["events"]
    assert rows[0]["user_id"] == "u1"
    assert rows[0]["occurred_at"] is not None


text_cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=30)
rows_of_posts = st.lists(
    st.fixed_dictionaries(
        {
            "post_id": st.text(st.characters(categories=["Lu", "Ll", "Nd", "Lo"]), min_size=1, max_size=8),
            "created_at": st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(
                lambda moment: moment.isoformat() + "Z"
            ),
            "text": text_cells.filter(bool),
            "lang": st.sampled_from(["en", "zh"]),
            "topics": st.lists(
                st.sampled_from(["a", "b", "我", "c d", "e|f"]), min_size=1, max_size=3, unique=True
            ),
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None)
@given(rows_of_posts)
def test_any_posts_come_back_from_any_format_as_they_went_in(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("any")
    expected = read("canonical", write(folder / "posts.jsonl", rows))["posts"]
    assert [row["text"] for row in expected] == [row["text"] for row in rows]
    assert [row["topics"] for row in expected] == [row["topics"] for row in rows]
    for kind in ("csv", "parquet"):
        assert read("canonical", write(folder / f"posts.{kind}", rows))["posts"] == expected


def test_weibo_is_read_whole():
    rows = read("canonical", real_data("weibo"))
    assert len(rows["events"]) == 115_553
    assert len({row["event_id"] for row in rows["events"]}) == 115_438
    assert len(rows["posts"]) == 61_258
    assert not any(row["_error"] for stream in rows.values() for row in stream)


def test_reddit_is_read_whole():
    rows = read("canonical", real_data("reddit"))
    assert list(rows) == ["posts"]
    assert len(rows["posts"]) == 25_510
    assert len({row["topics"][0] for row in rows["posts"]}) == 103


def test_every_stream_has_a_schema_and_required_columns_of_it():
    assert set(STREAMS) == set(REQUIRED)
    assert all(set(REQUIRED[stream]) <= set(STREAMS[stream].names) for stream in STREAMS)

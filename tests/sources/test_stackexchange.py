import gzip
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import py7zr
import pytest

from orchestration.sources import stackexchange
from tests.sources.helpers import Rows, read, real_data, write_text
from training.errors import UserError

HEAD = '\ufeff<?xml version="1.0" encoding="utf-8"?>\n'
POSTS = [
    '<row Id="1" PostTypeId="1" CreationDate="2020-01-01T10:00:00.123" OwnerUserId="7" Title="How so?" '
    'Body="&lt;p&gt;Why is it &lt;b&gt;so&lt;/b&gt;?&lt;/p&gt;" Tags="&lt;bug&gt;&lt;big-data&gt;" />',
    '<row Id="2" PostTypeId="2" ParentId="1" CreationDate="2020-01-01T11:00:00.000" OwnerUserId="8" Body="Because." />',
    '<row Id="3" PostTypeId="1" CreationDate="2020-01-02T10:00:00" OwnerUserId="-1" Title="Ours" Tags="|a|b|" />',
    '<row Id="4" PostTypeId="2" ParentId="1" CreationDate="2020-01-02T11:00:00.000" Body="From a deleted account." />',
    '<row Id="5" PostTypeId="4" CreationDate="2020-01-02T12:00:00.000" OwnerUserId="7" Body="a tag wiki" />',
]
COMMENTS = [
    '<row Id="1" PostId="2" Text="I &amp; you disagree, 你好" CreationDate="2020-01-01T12:00:00.000" UserId="7" />',
    '<row Id="2" PostId="1" Text="anonymous one" CreationDate="2020-01-01T13:00:00.000" />',
]
USERS = [
    '<row Id="-1" CreationDate="2019-01-01T00:00:00.000" DisplayName="Community" Reputation="1" />',
    '<row Id="7" CreationDate="2019-12-01T00:00:00.000" DisplayName="Ann" Location="Oslo" Reputation="101" />',
    '<row Id="8" CreationDate="2019-12-02T00:00:00.000" DisplayName="Bo" Reputation="5" />',
]
VOTES = [
    *(
        f'<row Id="{number}" PostId="1" VoteTypeId="2" CreationDate="2020-01-03T00:00:00.000" />'
        for number in (1, 2)
    ),
    '<row Id="3" PostId="2" VoteTypeId="3" CreationDate="2020-01-03T00:00:00.000" />',
    '<row Id="4" PostId="1" VoteTypeId="5" UserId="8" CreationDate="2020-01-03T00:00:00.000" />',
    '<row Id="5" PostId="1" VoteTypeId="8" UserId="8" BountyAmount="50" CreationDate="2020-01-03T00:00:00.000" />',
    '<row Id="6" PostId="2" VoteTypeId="12" CreationDate="2020-01-03T00:00:00.000" />',
    '<row Id="7" PostId="2" VoteTypeId="1" CreationDate="2020-01-03T00:00:00.000" />',
    '<row Id="8" PostId="99" VoteTypeId="5" UserId="8" CreationDate="2020-01-03T00:00:00.000" />',
]
TABLES = {"Posts": POSTS, "Comments": COMMENTS, "Users": USERS, "Votes": VOTES}


def dump(folder: Path, ending: str = ".xml", **tables: list[str]) -> Path:
    for name, rows in (TABLES | tables).items():
        body = "".join(f"  {row}\n" for row in rows)
        write_text(folder / f"{name}{ending}", f"{HEAD}<{name.lower()}>\n{body}</{name.lower()}>\n")
    return folder


def site(tmp_path: Path, **tables: list[str]) -> Rows:
    return read("stackexchange", dump(tmp_path / "cooking.stackexchange.com", **tables))


def test_questions_answers_and_comments_become_posts(tmp_path):
    posts = {row["post_id"]: row for row in site(tmp_path)["posts"]}
    assert set(posts) == {"cooking:p1", "cooking:p2", "cooking:p3", "cooking:p4", "cooking:c1", "cooking:c2"}
    question, answer, comment = posts["cooking:p1"], posts["cooking:p2"], posts["cooking:c1"]
    assert question["text"] == "How so?\n\nWhy is it so?"
    assert question["topics"] == ["bug", "big-data"]
    assert question["created_at"] == datetime(2020, 1, 1, 10, 0, 0, 123000, tzinfo=UTC)
    assert (question["author_id"], question["reply_to"]) == ("cooking:u7", None)
    assert answer["reply_to"] == "cooking:p1"
    assert (comment["reply_to"], comment["text"]) == ("cooking:p2", "I & you disagree, 你好")
    assert posts["cooking:p3"]["topics"] == ["a", "b"]
    assert posts["cooking:p4"]["author_id"] is None


def test_what_people_did_becomes_events(tmp_path):
    events = site(tmp_path)["events"]
    found = Counter((row["user_id"], row["action"], row["post_id"], row["value"]) for row in events)
    assert found == {
        ("cooking:u7", "share", "cooking:p1", None): 1,
        ("cooking:u8", "comment", "cooking:p1", None): 1,
        ("cooking:u7", "comment", "cooking:p2", None): 1,
        ("anonymous", "like", "cooking:p1", None): 2,
        ("anonymous", "hide", "cooking:p2", None): 1,
        ("anonymous", "report", "cooking:p2", None): 1,
        ("cooking:u8", "save", "cooking:p1", None): 1,
        ("cooking:u8", "share", "cooking:p1", 50.0): 1,
    }


def test_two_votes_of_one_day_stay_two(tmp_path):
    assert len({row["event_id"] for row in site(tmp_path)["events"]}) == len(site(tmp_path)["events"])


def test_the_sites_own_account_is_no_user(tmp_path):
    users = site(tmp_path)["users"]
    assert [row["user_id"] for row in users] == ["cooking:u7", "cooking:u8"]
    assert (users[0]["region"], users[0]["attributes"]) == ("Oslo", '{"reputation": 101}')


@pytest.mark.parametrize("ending", [".xml", ".xml.gz"])
def test_a_dump_may_be_gzipped(tmp_path, ending):
    assert read("stackexchange", dump(tmp_path / "cooking", ending)) == site(tmp_path)


@pytest.mark.parametrize("as_folder", [True, False])
def test_a_dump_may_be_one_7z_archive(tmp_path, as_folder):
    folder = dump(tmp_path / "plain")
    archive = tmp_path / "packed" / "cooking.stackexchange.com.7z"
    archive.parent.mkdir()
    with py7zr.SevenZipFile(archive, "w") as packed:
        for file in sorted(folder.iterdir()):
            packed.write(file, file.name)
    assert read("stackexchange", archive.parent if as_folder else archive) == site(tmp_path)


def test_a_broken_row_keeps_its_place_with_a_reason(tmp_path):
    broken = [
        '<row Id="9" PostTypeId="1" Body="&nope;" />',
        '<row PostTypeId="1" Body="no id" />',
        '<row Id="10',
    ]
    posts = site(tmp_path, Posts=[*POSTS, *broken])["posts"]
    reasons = [row["_error"] for row in posts if row["_error"]]
    assert len(reasons) == 3
    assert all("Posts" in reason for reason in reasons)
    assert len([row for row in posts if not row["_error"]]) == 6


def test_batches_are_bounded(tmp_path, monkeypatch):
    expected = site(tmp_path)
    monkeypatch.setattr(stackexchange, "BATCH_ROWS", 2)
    folder = tmp_path / "cooking.stackexchange.com"
    reader = stackexchange.StackExchangeReader()
    batches = [batch for stream, batch in reader.read(folder / "Votes.xml") if stream == "events"]
    assert max(batch.num_rows for batch in batches) == 2
    assert sum(batch.num_rows for batch in batches) == 6
    assert len(expected["events"]) == 9


FALSE = {
    "another table's content": ("Posts.xml", (HEAD + "<users>\n  <row Id='1' />\n</users>\n").encode()),
    "no XML": ("Posts.xml", b"hello\n"),
    "rows before any table": ("Posts.xml", b'<row Id="1" PostTypeId="1" CreationDate="2020-01-01" />\n'),
    "binary": ("Posts.xml", b"\x00\x01\x02"),
    "cut gzip": ("Posts.xml.gz", gzip.compress(HEAD.encode() * 500)[:-20]),
    "no archive": ("site.7z", b"7z\xbc\xaf\x27\x1c" + bytes(40)),
    "another file": ("Badges.xml", b"<badges/>"),
}


@pytest.mark.parametrize("what", FALSE)
def test_a_false_dump_is_refused_in_one_line_that_names_it(tmp_path, what):
    name, content = FALSE[what]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as error:
        read("stackexchange", tmp_path / name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_an_archive_without_posts_is_refused(tmp_path):
    archive = tmp_path / "x.7z"
    with py7zr.SevenZipFile(archive, "w") as packed:
        packed.writestr("hello", "readme.txt")
    with pytest.raises(UserError, match=r"no Posts\.xml"):
        read("stackexchange", archive)


def test_a_folder_without_posts_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no Posts\.xml"):
        read("stackexchange", tmp_path)


@pytest.mark.parametrize(
    ("name", "events"), [("quantumcomputing", 5_810), ("bicycles.meta", 3_743), ("french.meta", 2_109)]
)
def test_real_sites_give_the_known_number_of_users_events(name, events):
    rows = read("stackexchange", real_data(f"stackexchange/{name}"))
    assert sum(row["user_id"] != "anonymous" for row in rows["events"]) == events
    assert not any(row["_error"] for stream in rows.values() for row in stream)
    posts = {row["post_id"] for row in rows["posts"]}
    assert {row["post_id"] for row in rows["events"]} <= posts

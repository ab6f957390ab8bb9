import asyncio
import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from serving import segments
from serving.journal import Journal, JournalError
from serving.metrics import Metrics


def line(number: int) -> bytes:
    return json.dumps({"n": number}).encode() + b"\n"


def read(folder: Path) -> list[int]:
    return [
        json.loads(row)["n"]
        for path in sorted(folder.glob("*.jsonl"))
        for row in path.read_text().splitlines()
    ]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Journal]]:
    started = []

    def make(seal_seconds: float = 60.0, seal_bytes: int = 1 << 20) -> Journal:
        journal = Journal("events", tmp_path, Metrics(), seal_seconds=seal_seconds, seal_bytes=seal_bytes)
        journal.start()
        started.append(journal)
        return journal

    yield make
    for journal in started:
        journal.close()


def test_an_acknowledged_row_is_on_disk_before_it_is_sealed(
    start: Callable[..., Journal], tmp_path: Path
) -> None:
    journal = start()
    asyncio.run(journal.append(line(1), 1))
    (segment,) = tmp_path.glob("*.jsonl.open")
    assert segment.read_bytes() == line(1)
    assert read(tmp_path) == []


def test_closing_seals_what_is_open(start: Callable[..., Journal], tmp_path: Path) -> None:
    journal = start()
    asyncio.run(journal.append(line(1), 1))
    journal.close()
    assert read(tmp_path) == [1]
    assert not list(tmp_path.glob("*.open"))


def test_rows_that_wait_together_share_one_sync(start: Callable[..., Journal], tmp_path: Path) -> None:
    journal = start()

    async def many() -> None:
        await asyncio.gather(*(journal.append(line(number), 1) for number in range(500)))

    asyncio.run(many())
    journal.close()
    assert sorted(read(tmp_path)) == list(range(500))
    groups = journal._metrics.registry.get_sample_value(
        "tidegate_journal_commit_seconds_count", {"stream": "events"}
    )
    assert groups is not None
    assert groups < 250


def test_a_segment_is_sealed_at_its_size(start: Callable[..., Journal], tmp_path: Path) -> None:
    journal = start(seal_bytes=20)

    async def one_by_one() -> None:
        for number in range(6):
            await journal.append(line(number), 1)

    asyncio.run(one_by_one())
    journal.close()
    assert len(list(tmp_path.glob("*.jsonl"))) == 2
    assert read(tmp_path) == list(range(6))


def test_a_segment_is_sealed_at_its_age_without_a_further_row(
    start: Callable[..., Journal], tmp_path: Path
) -> None:
    journal = start(seal_seconds=0.05)

    async def wait_for_seal() -> None:
        await journal.append(line(1), 1)
        while not read(tmp_path):
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(wait_for_seal(), 10))


def test_nothing_written_leaves_no_file(start: Callable[..., Journal], tmp_path: Path) -> None:
    start().close()
    assert not list(tmp_path.iterdir())


def test_a_closed_journal_refuses(start: Callable[..., Journal]) -> None:
    journal = start()
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        asyncio.run(journal.append(line(1), 1))


def test_a_journal_that_falls_behind_refuses_instead_of_filling_the_memory(
    start: Callable[..., Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.journal.MAX_WAITING_BYTES", 4)
    with pytest.raises(JournalError, match="slower"):
        asyncio.run(start().append(line(1), 1))


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Makes every write beyond so many bytes of a file fail, in this process, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_refuses_the_whole_group_and_keeps_what_was_acknowledged(
    start: Callable[..., Journal], tmp_path: Path, full_disk: Callable[[int], None]
) -> None:
    journal = start()
    asyncio.run(journal.append(line(1), 1))
    full_disk(len(line(1)) + 3)
    with capture_logs() as logged, pytest.raises(JournalError, match="could not be written"):
        asyncio.run(journal.append(line(2), 1))
    assert [entry["event"] for entry in logged] == ["journal write failed"]
    assert journal.last_error is not None
    (segment,) = tmp_path.glob("*.jsonl.open")
    assert segment.read_bytes() == line(1), "the half-written row was cut off"
    full_disk(resource.RLIM_INFINITY)
    asyncio.run(journal.append(line(3), 1))
    assert journal.last_error is None
    journal.close()
    assert read(tmp_path) == [1, 3]


def test_a_segment_that_cannot_be_cut_is_left_and_recovered_later(
    start: Callable[..., Journal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = start()
    asyncio.run(journal.append(line(1), 1))
    real, calls = os.fsync, []

    def broken(fd: int) -> None:
        calls.append(fd)
        if len(calls) <= 2:  # the append and the roll-back of it
            raise OSError(5, "Input/output error")
        real(fd)

    monkeypatch.setattr("serving.segments.os.fsync", broken)
    with pytest.raises(JournalError, match="Input/output error"):
        asyncio.run(journal.append(line(2), 1))
    asyncio.run(journal.append(line(3), 1))
    journal.close()
    assert sorted(read(tmp_path)) == [1, 3]
    assert not list(tmp_path.glob("*.open"))


def test_a_torn_last_line_is_dropped_when_a_dead_servers_segment_is_sealed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.open").write_bytes(line(1) + line(2) + b'{"n": 3')
    assert segments.recover(tmp_path) == [tmp_path / "a.jsonl"]
    assert (tmp_path / "a.jsonl").read_bytes() == line(1) + line(2)


def test_a_segment_without_a_whole_line_is_removed(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.open").write_bytes(b'{"n": 3')
    (tmp_path / "b.jsonl.open").touch()
    assert segments.recover(tmp_path) == []
    assert not list(tmp_path.iterdir())


def test_a_living_servers_segment_is_left_alone(start: Callable[..., Journal], tmp_path: Path) -> None:
    first = start()
    asyncio.run(first.append(line(1), 1))
    second = start()
    asyncio.run(second.append(line(2), 1))
    asyncio.run(first.append(line(3), 1))
    assert read(tmp_path) == []
    first.close()
    second.close()
    assert sorted(read(tmp_path)) == [1, 2, 3]


@given(
    rows=st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=20), max_size=8),
    cut=st.integers(0, 400),
)
def test_recovery_keeps_exactly_the_whole_lines_of_any_prefix(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], cut: int
) -> None:
    folder = tmp_path_factory.mktemp("segments")
    written = b"".join(json.dumps(row).encode() + b"\n" for row in rows)[:cut]
    (folder / "a.jsonl.open").write_bytes(written)
    segments.recover(folder)
    whole = written[: written.rfind(b"\n") + 1]
    kept = folder / "a.jsonl"
    assert (kept.read_bytes() if kept.exists() else b"") == whole


def test_the_last_line_is_found_across_blocks(tmp_path: Path) -> None:
    torn = b'{"n": "' + b"x" * 200_000
    (tmp_path / "a.jsonl.open").write_bytes(line(1) + torn)
    segments.recover(tmp_path)
    assert read(tmp_path) == [1]

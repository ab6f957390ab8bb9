"""Readers stream: four times the file takes the same memory."""

import json
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest

from orchestration.sources import get_reader, records, stackexchange

ROWS = 800


def write_dump(folder: Path, rows: int) -> Path:
    body = "".join(
        f'<row Id="{number}" PostTypeId="1" CreationDate="2020-01-01T10:00:00" OwnerUserId="7" '
        f'Body="{"word " * 60}{number}" />\n'
        for number in range(1, rows + 1)
    )
    file = folder / "Posts.xml"
    file.write_text(f"<posts>\n{body}</posts>\n")
    return file


def write_jsonl(folder: Path, rows: int) -> Path:
    file = folder / "posts.jsonl"
    lines = (
        json.dumps(
            {"post_id": f"p{number}", "created_at": 1_700_000_000 + number, "text": f"{'word ' * 60}{number}"}
        )
        for number in range(rows)
    )
    file.write_text("\n".join(lines))
    return file


def peak(reader: str, file: Path) -> tuple[int, int]:
    """Rows read, and the most bytes held at once by Python and Arrow together."""
    count, arrow = 0, pa.total_allocated_bytes()
    most = 0
    tracemalloc.start()
    for stream, batch in get_reader(reader).read(file):
        count += batch.num_rows if stream == "posts" else 0
        most = max(most, pa.total_allocated_bytes() - arrow + tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    return count, most


@pytest.mark.parametrize(("reader", "write"), [("stackexchange", write_dump), ("canonical", write_jsonl)])
def test_memory_does_not_grow_with_the_file(reader, write, tmp_path, monkeypatch):
    monkeypatch.setattr(stackexchange, "_PIECE_BYTES", 30_000)
    monkeypatch.setattr(records, "PIECE_BYTES", 30_000)
    peak(reader, write(tmp_path, 10))
    small, large = peak(reader, write(tmp_path, ROWS)), peak(reader, write(tmp_path, 4 * ROWS))
    assert (small[0], large[0]) == (ROWS, 4 * ROWS)
    assert large[1] < 1.3 * small[1]

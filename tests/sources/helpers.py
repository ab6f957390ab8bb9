"""What the readers' tests share: where the real data lies, and rows read into plain Python."""

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from orchestration.sources import get_reader
from orchestration.sources.schema import BATCH_ROWS, batch_schema

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"

Rows = dict[str, list[dict[str, Any]]]


def real_data(folder: str) -> Path:
    path = SHARED / folder
    if not path.exists():
        pytest.skip(f"the real data set {folder} is not beside the project")
    return path


def read(reader: str, path: Path, said: list[str] | None = None) -> Rows:
    """All rows under a path by stream, each batch held against the contract of readers."""
    source = get_reader(reader)
    rows: Rows = defaultdict(list)
    for file in source.files(path):
        for stream, batch in source.read(file, (said if said is not None else []).append):
            assert batch.schema == batch_schema(stream)
            assert 0 < batch.num_rows <= BATCH_ROWS
            rows[stream] += batch.to_pylist()
    return rows


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    return write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path

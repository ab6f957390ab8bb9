"""A reader of JSON lines that say their own stream, and rows to feed it with."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestration.sources.base import Progress, quiet
from orchestration.sources.schema import ERROR_COLUMN, ROW_COLUMN, STREAMS, batch_schema
from serving.settings import Settings
from training.errors import UserError

START = datetime(2026, 1, 5, tzinfo=UTC)


class FakeReader:
    """Each line is a row with its `stream`; consecutive rows of one stream are a batch. `torn` at the end raises."""

    name = "fake"
    summary = "rows for tests"

    def files(self, path: Path) -> list[Path]:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        return [path] if path.is_file() else sorted(path.glob("*.jsonl"))

    def read(self, file: Path, progress: Progress = quiet) -> Iterator[tuple[str, pa.RecordBatch]]:
        lines = file.read_text().splitlines()
        rows = [json.loads(line) for line in lines if line != "torn"]
        for stream in dict.fromkeys(row["stream"] for row in rows):
            held = [(number, row) for number, row in enumerate(rows, 1) if row["stream"] == stream]
            yield stream, as_batch(stream, held)
        if "torn" in lines:
            raise UserError(f"{file}: torn")


def as_batch(stream: str, rows: list[tuple[int, dict[str, Any]]]) -> pa.RecordBatch:
    plain = []
    for number, row in rows:
        known = {name: _value(row.get(name)) for name in STREAMS[stream].names}
        plain.append(known | {ROW_COLUMN: number, ERROR_COLUMN: row.get("_error")})
    return pa.RecordBatch.from_pylist(plain, schema=batch_schema(stream))


def _value(value: Any) -> Any:
    is_time = isinstance(value, str) and value.startswith("20") and "T" in value
    return datetime.fromisoformat(value) if is_time else value


def event(number: int, **more: Any) -> dict[str, Any]:
    return {
        "stream": "events",
        "event_id": f"e{number}",
        "occurred_at": (START + timedelta(minutes=number)).isoformat(),
        "user_id": f"u{number % 7}",
        "post_id": f"p{number % 11}",
        "action": "like",
    } | more


def post(number: int, **more: Any) -> dict[str, Any]:
    return {
        "stream": "posts",
        "post_id": f"p{number}",
        "created_at": START.isoformat(),
        "author_id": f"u{number % 7}",
        "text": f"post {number} 帖子",
        "lang": "en",
        "topics": ["a", "b"],
    } | more


def write_rows(path: Path, rows: Iterable[dict[str, Any] | str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines))
    return path


def make_settings(home: Path, **more: Any) -> Settings:
    return Settings(home=home, _env_file=None, **more)  # type: ignore[call-arg]


def silent(line: str) -> None:
    """Progress that nobody reads."""

"""Columns that came to the schema later: files that landed before still load, and their rows keep their names."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.lake.load import _insert_rows
from orchestration.lake.raw import prepare_tables
from orchestration.sources.schema import STREAMS
from serving.settings import Settings

AT = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_file_from_before_a_column_loads_and_its_rows_come_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, lake_catalog="", lake_data_path="")
    settings.landing_dir.mkdir()
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("attach ':memory:' as lake")
    prepare_tables(connection)
    now = pa.Table.from_pylist([{"post_id": "p", "created_at": AT, "text": "hi"}], STREAMS["posts"])

    def load(name: str, table: pa.Table, sequence: int) -> dict[str, int]:
        pq.write_table(table, settings.landing_dir / name)
        batch = SimpleNamespace(file=name, batch_id=name, landed_at=AT.isoformat())
        return _insert_rows(connection, settings, "posts", [batch], sequence)  # type: ignore[list-item]

    assert load("before.parquet", now.drop_columns(["deleted_at"]), 1) == {"before.parquet": 1}
    assert load("after.parquet", now, 2) == {}
    known = connection.execute("select _row_hash from lake.raw.posts").fetchall()
    assert known == [("d216603ac327fb61ead7263b7379cd59",)], "the hash of the release before"
    gone = pa.Table.from_pylist([{"post_id": "p", "created_at": AT, "deleted_at": AT}], STREAMS["posts"])
    assert load("gone.parquet", gone, 3) == {"gone.parquet": 1}

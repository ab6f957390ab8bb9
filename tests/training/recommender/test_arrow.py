"""Histories from Arrow and Parquet files: the same as in memory, whatever is grouped at a time."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from training.errors import UserError
from training.recommender.sequential.arrow import open_histories, read_arrow
from training.recommender.sequential.config import SequentialConfig, TransitionConfig
from training.recommender.sequential.fit import fit_sequential
from training.recommender.sequential.histories import Histories


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    """2,000 events in the order of time."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 90, 2000), rng.zipf(1.5, 2000) % 300
    return pa.table({"user": [f"user{one}" for one in users], "item": [f"post{one}" for one in items]})


def in_memory(rows: pa.Table) -> list[tuple[str, ...]]:
    """Each user's items, users in the order of their first event."""
    out: dict[str, list[str]] = {}
    for row in rows.to_pylist():
        out.setdefault(row["user"], []).append(row["item"])
    return [tuple(items) for items in out.values()]


def read(source: Path, folder: Path, part: int = 1 << 20) -> list[tuple[str, ...]]:
    read_arrow(source, folder, part)
    histories, names = open_histories(folder)
    return [
        tuple(names.take(pa.array(items)).to_pylist())
        for items in map(histories.__getitem__, range(len(histories)))
    ]


def test_one_partition_keeps_the_order_of_users(rows: pa.Table, tmp_path: Path) -> None:
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=300)
    assert read(tmp_path / "rows.parquet", tmp_path / "out") == in_memory(rows)


@pytest.mark.parametrize("kind", ["text", "dictionary", "numbers"])
def test_many_partitions_hold_the_same_histories_as_memory_does(
    rows: pa.Table, tmp_path: Path, kind: str
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    expected = in_memory(rows)
    if kind == "dictionary":
        rows = pa.table({name: rows.column(name).dictionary_encode() for name in rows.column_names})
    if kind == "numbers":
        rows = pa.table(
            {name: [int(text[4:]) for text in rows.column(name).to_pylist()] for name in rows.column_names}
        )
        expected = [tuple(int(text[4:]) for text in items) for items in expected]
    for number in range(3):
        part = rows.slice(number * 700, 700)
        pyarrow.feather.write_feather(part, str(source / f"{number}.arrow"), chunksize=128)
    found = read(source, tmp_path / "out", 100)
    assert sorted(found) == sorted(expected)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_rows_that_hold_whole_sequences_need_no_grouping(rows: pa.Table, tmp_path: Path) -> None:
    expected = in_memory(rows)
    pq.write_table(pa.table({"items": [list(items) for items in expected]}), tmp_path / "rows.parquet")
    assert read(tmp_path / "rows.parquet", tmp_path / "out") == expected


def test_a_model_trains_on_files_as_on_memory(rows: pa.Table, tmp_path: Path) -> None:
    pq.write_table(rows, tmp_path / "rows.parquet")
    read_arrow(tmp_path / "rows.parquet", tmp_path / "out")
    mapped, names = open_histories(tmp_path / "out")
    assert isinstance(mapped.items, np.memmap)
    code = {name: at for at, name in enumerate(names.to_pylist())}
    plain = Histories.of([np.array([code[name] for name in items]) for items in in_memory(rows)], len(names))
    config = SequentialConfig(
        width=16, heads=2, length=8, tokens=256, max_epochs=1, full_items=1, negatives=64, epochs_wanted=0.0,
        transitions=TransitionConfig(window=2),
    )  # fmt: skip
    first, second = (
        fit_sequential(one, config, 60.0, lambda _: None, threads=1)[0] for one in (mapped, plain)
    )
    np.testing.assert_array_equal(first.score([plain[0]]), second.score([plain[0]]))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"user": ["a"], "post": ["b"]},
            "needs the columns user and item.*it has user .string., post .string.",
        ),
        ({"user": ["a"], "item": [0.5]}, "needs the columns user and item"),
        ({"items": ["a"]}, "needs the columns user and item"),
        ({"user": ["a"], "item": pa.array([None], pa.string())}, "item has rows without a value"),
        ({"user": pa.array([None], pa.string()), "item": ["a"]}, "user has rows without a value"),
        ({"items": [["a", None]]}, "items has rows without a value"),
        ({"user": pa.array([], pa.string()), "item": pa.array([], pa.string())}, "has no rows"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    tmp_path: Path, columns: dict[str, object], message: str
) -> None:
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    with pytest.raises(UserError, match=message) as told:
        read_arrow(tmp_path / "rows.parquet", tmp_path / "out")
    assert "\n" not in str(told.value)
    with pytest.raises(UserError, match="holds no histories"):
        open_histories(tmp_path / "out")


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("user,item\n")
    (tmp_path / "rows.parquet").write_text("user,item\n")
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match="neither a Parquet or Arrow file"):
        read_arrow(tmp_path / "rows.csv", tmp_path / "out")
    with pytest.raises(UserError, match="cannot be read") as told:
        read_arrow(tmp_path / "rows.parquet", tmp_path / "out")
    assert "\n" not in str(told.value)
    with pytest.raises(UserError, match="neither a Parquet or Arrow file"):
        read_arrow(tmp_path / "there", tmp_path / "out")


def test_histories_cut_short_are_refused(rows: pa.Table, tmp_path: Path) -> None:
    pq.write_table(rows, tmp_path / "rows.parquet")
    read_arrow(tmp_path / "rows.parquet", tmp_path / "out")
    (tmp_path / "out" / "items.i32").write_bytes(b"\0" * 8)
    with pytest.raises(UserError, match="cut short"):
        open_histories(tmp_path / "out")

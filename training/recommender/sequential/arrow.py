"""Histories from Arrow and Parquet files of any length, grouped by user on disk.

Two passes over the source. The first counts rows and collects the names of the items; the second deals the rows out
to as many partitions as leave each one small, by a hash of the user (the grace hash join: Kitsuregawa et al. 1983).
Each partition is then sorted by user in memory and appended. Memory holds the names of the items, a batch, and a
partition: it does not grow with the number of events.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from training.errors import UserError
from training.files import write_json_atomic
from training.recommender.sequential.histories import PART, Histories

_META, _BOUNDS, _ITEMS, _NAMES = "histories.json", "bounds.i64", "items.i32", "names.arrow"
_FORMATS = {".parquet": "parquet", ".arrow": "ipc", ".feather": "ipc", ".ipc": "ipc"}
_BATCH = 1 << 17
_AHEAD = 4
"""Batches that are read ahead."""
_FILES = 512
"""Partitions at most: each is an open file. From half a billion events on, partitions grow instead."""


def read_arrow(source: Path, folder: Path, part: int = PART) -> None:
    """Write the histories of `source` to the new folder `folder`; `open_histories` opens it.

    `source` is a Parquet or Arrow IPC file, or a folder of them, read in the order of their names. It has the columns
    `user` and `item`, each user's rows in the order of time; or one row a user, with a list column `items`. Users and
    items are whole numbers or text. About `part` events are in memory at a time, and all of a user's.
    Raises UserError for other columns, missing values, a source without rows or a folder that exists.
    """
    dataset = _dataset(source)
    if folder.exists():
        raise UserError(f"there is already something at {folder}")
    column = _item_column(source, dataset.schema)
    names, events = _names(source, dataset, column)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as work:
        out = Path(work, "histories")
        out.mkdir()
        (out / _BOUNDS).write_bytes(np.zeros(1, dtype="<i8").tobytes())
        if column == "items":
            for batch in _batches(dataset, ["items"]):
                lists = batch.column("items")
                _append(out, _codes(names, lists.flatten()), pc.list_value_length(lists).to_numpy())
        else:
            paths = [Path(work, f"{number}.arrow") for number in range(min(-(-events // part), _FILES))]
            _deal(source, dataset, names, paths)
            _group(paths, out)
        with pa.OSFile(str(out / _NAMES), "wb") as file:
            table = pa.table({"item": names})
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
        write_json_atomic(out / _META, {"events": events, "items": len(names)})
        out.rename(folder)


def open_histories(folder: Path) -> tuple[Histories, pa.Array]:
    """What `read_arrow` wrote, memory-mapped, and the name of each item. Raises UserError when it is incomplete."""
    try:
        meta = json.loads((folder / _META).read_text())
        bounds = np.memmap(folder / _BOUNDS, dtype="<i8", mode="r")
        items = np.memmap(folder / _ITEMS, dtype="<i4", mode="r")
        with pa.memory_map(str(folder / _NAMES)) as file:
            names = pa.ipc.open_file(file).read_all().column("item").combine_chunks()
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise UserError(f"{folder} holds no histories ({error})") from error
    if not len(items) == bounds[-1] == meta["events"] or len(names) != meta["items"]:
        raise UserError(f"{folder} holds histories that are cut short")
    return Histories.between(bounds, items, len(names)), names


def _dataset(source: Path) -> ds.Dataset:
    files = (
        sorted(path for path in source.iterdir() if path.suffix in _FORMATS) if source.is_dir() else [source]
    )
    kinds = {_FORMATS.get(path.suffix) for path in files}
    if len(kinds) != 1 or None in kinds:
        raise UserError(f"{source} is neither a Parquet or Arrow file nor a folder of one kind of them")
    try:
        return ds.dataset([str(path) for path in files], format=kinds.pop())
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{source} cannot be read ({str(error).splitlines()[0]})") from error


def _item_column(source: Path, schema: pa.Schema) -> str:
    kinds = {field.name: field.type for field in schema}
    if _is_id(kinds.get("user")) and _is_id(kinds.get("item")):
        return "item"
    items = kinds.get("items")
    if (
        items is not None
        and (pa.types.is_list(items) or pa.types.is_large_list(items))
        and _is_id(items.value_type)
    ):
        return "items"
    found = ", ".join(f"{name} ({kind})" for name, kind in kinds.items())
    raise UserError(
        f"{source} needs the columns user and item, whole numbers or text, or a list column items; it has {found}"
    )


def _is_id(kind: pa.DataType | None) -> bool:
    if kind is not None and pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind is not None and (
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    )


def _batches(dataset: ds.Dataset, columns: list[str]) -> Iterator[pa.RecordBatch]:
    yield from dataset.to_batches(
        columns=columns, batch_size=_BATCH, batch_readahead=_AHEAD, fragment_readahead=1
    )


def _names(source: Path, dataset: ds.Dataset, column: str) -> tuple[pa.Array, int]:
    """Distinct items in the order of their first appearance; number of rows."""
    names: pa.Array | None = None
    waiting, rows, events = list[pa.Array](), 0, 0
    for batch in _batches(dataset, [column]):
        items = batch.column(column)
        if column == "items" and not items.null_count:
            items = items.flatten()
        if items.null_count:
            raise UserError(f"{source}: {column} has rows without a value")
        events += len(items)
        waiting.append(_plain(items).unique())
        rows += len(waiting[-1])
        # Joining costs the whole catalogue, so it waits until as many names may be new.
        if names is None or rows >= len(names):
            names, waiting, rows = (
                pa.concat_arrays([*([] if names is None else [names]), *waiting]).unique(),
                [],
                0,
            )
    if names is None or not events:
        raise UserError(f"{source} has no rows")
    return pa.concat_arrays([names, *waiting]).unique(), events


def _plain(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _codes(names: pa.Array, items: pa.Array) -> np.ndarray[Any, np.dtype[np.int32]]:
    """[items] place of each among the names."""
    return np.asarray(pc.index_in(_plain(items), value_set=names).to_numpy(zero_copy_only=False), dtype="<i4")


def _append(folder: Path, items: np.ndarray, lengths: np.ndarray) -> None:
    """More users at the end."""
    with (folder / _BOUNDS).open("rb+") as file:
        file.seek(-8, 2)
        last = int.from_bytes(file.read(8), "little")
        file.write((last + np.cumsum(lengths, dtype="<i8")).tobytes())
    with (folder / _ITEMS).open("ab") as file:
        file.write(items.tobytes())


def _deal(source: Path, dataset: ds.Dataset, names: pa.Array, paths: list[Path]) -> None:
    """Each row to the partition of its user."""
    kind = dataset.schema.field("user").type
    schema = pa.schema(
        {"user": kind.value_type if pa.types.is_dictionary(kind) else kind, "code": pa.int32()}
    )
    with ExitStack() as stack:
        files = [stack.enter_context(pa.OSFile(str(path), "wb")) for path in paths]
        writers = [stack.enter_context(pa.ipc.new_stream(file, schema)) for file in files]
        for batch in _batches(dataset, ["user", "item"]):
            users = _plain(batch.column("user"))
            if users.null_count:
                raise UserError(f"{source}: user has rows without a value")
            distinct = users.dictionary_encode()
            hashed = pd.util.hash_array(distinct.dictionary.to_numpy(zero_copy_only=False)) % len(paths)
            goes_to = hashed[distinct.indices.to_numpy()]
            codes = pa.array(_codes(names, batch.column("item")))
            order = pa.array(np.argsort(goes_to, kind="stable"))
            rows = pa.record_batch([users, codes], schema=schema).take(order)
            ends = np.cumsum(np.bincount(goes_to, minlength=len(paths))).tolist()
            for writer, first, last in zip(writers, [0, *ends[:-1]], ends, strict=True):
                if last > first:
                    writer.write_batch(rows.slice(first, last - first))


def _group(paths: list[Path], out: Path) -> None:
    """The users of one partition after the other, in the order of their first event in it."""
    for path in paths:
        with pa.OSFile(str(path)) as file:
            table = pa.ipc.open_stream(file).read_all()
        user = table.column("user").combine_chunks().dictionary_encode().indices.to_numpy()
        order = np.argsort(user, kind="stable")
        _append(out, table.column("code").to_numpy()[order], np.bincount(user))

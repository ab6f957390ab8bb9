"""Records of CSV, JSONL and Parquet files in pieces of bounded size, as columns; knows nothing of streams and types.

A piece is at most BATCH_ROWS records and about PIECE_BYTES of text. A record that cannot be read at all (a broken line)
keeps its place: its cells are null and `errors` says why.
"""

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.sources.openers import (
    LONGEST_LINE,
    claims,
    lines,
    open_binary,
    open_parquet_path,
    require_text,
)
from orchestration.sources.schema import BATCH_ROWS
from training.errors import UserError

PIECE_BYTES = 32 << 20
_SHOWN = 80
_LINES_SAMPLED = 1000


@dataclass
class Piece:
    """Some records of a file: the wanted columns that it has, `errors` by index in the piece, other columns' names."""

    columns: Mapping[str, pa.Array | Sequence[Any]]
    rows: pa.Array
    errors: dict[int, str] = field(default_factory=dict)
    others: Collection[str] = ()


def column_names(path: Path) -> list[str]:
    """The columns of a file: the header of CSV and Parquet, the keys of JSONL's first thousand objects."""
    if claims(path)[0] == "parquet":
        return _parquet_names(path)
    require_text(path)
    if claims(path)[0] == "csv":
        return _csv_header(path)[0]
    names: dict[str, None] = {}
    with open_binary(path) as stream:
        for line, whole in islice(lines(stream), _LINES_SAMPLED):
            record = _json_object(line) if whole and line.strip() else None
            if isinstance(record, dict):
                names.update(dict.fromkeys(record))
    return list(names)


def read_records(path: Path, wanted: Collection[str]) -> Iterator[Piece]:
    """Stream the wanted columns of a file by what its name claims to be. Raises UserError when it is not that."""
    kind = claims(path)[0]
    if kind == "parquet":
        yield from _parquet(path, wanted)
    elif kind == "csv":
        require_text(path)
        yield from _csv(path, wanted)
    elif kind == "jsonl":
        require_text(path)
        yield from _jsonl(path, wanted)
    else:
        raise UserError(f"{path}: not a .parquet, .csv or .jsonl file (each may be gzipped)")


class _Gatherer:
    """Gathers records until a piece is full."""

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.errors: dict[int, str] = {}
        self.size = 0
        self.first_row = 1

    def add(self, record: Any, size: int, error: str | None = None) -> bool:
        """Keep a record; True when the piece is full."""
        if error is not None:
            self.errors[len(self.records)] = error
        self.records.append(record)
        self.size += size
        return len(self.records) >= BATCH_ROWS or self.size >= PIECE_BYTES

    def take(self, columns: Mapping[str, Sequence[Any]]) -> Piece:
        """The piece of what was gathered; starts the next one."""
        count = len(self.records)
        rows = pa.array(range(self.first_row, self.first_row + count), pa.int64())
        piece = Piece(columns, rows, self.errors)
        self.records, self.errors, self.size = [], {}, 0
        self.first_row += count
        return piece


def _parquet_names(path: Path) -> list[str]:
    with open_parquet_path(path) as plain, _parquet_file(path, plain) as file:
        return list(file.schema_arrow.names)


def _parquet_file(path: Path, plain: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(plain, memory_map=True, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a whole Parquet file ({str(error).splitlines()[0]})") from error


def _parquet(path: Path, wanted: Collection[str]) -> Iterator[Piece]:
    with open_parquet_path(path) as plain, _parquet_file(path, plain) as file:
        names = file.schema_arrow.names
        others = [name for name in names if name not in wanted]
        batches = file.iter_batches(batch_size=BATCH_ROWS, columns=[name for name in names if name in wanted])
        first_row = 1
        while True:
            try:
                batch = next(batches, None)
            except (pa.ArrowException, OSError) as error:
                raise UserError(f"{path}: broken Parquet data ({str(error).splitlines()[0]})") from error
            if batch is None:
                return
            rows = pa.array(range(first_row, first_row + batch.num_rows), pa.int64())
            yield Piece(dict(zip(batch.schema.names, batch.columns, strict=True)), rows, {}, others)
            first_row += batch.num_rows


class _TextLines:
    """Decoded lines for the CSV parser; remembers what was wrong with those that the current record took."""

    def __init__(self, source: Iterator[tuple[bytes, bool]]) -> None:
        self.source = source
        self.fault: str | None = None
        self.size = 0

    def __iter__(self) -> "_TextLines":
        return self

    def __next__(self) -> str:
        line, whole = next(self.source)
        self.size += len(line)
        if not whole:
            self.fault = f"a line is longer than {LONGEST_LINE >> 20} MiB"
            return "\n"
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError:
            self.fault = "a line is not UTF-8 text"
            return line.decode("utf-8", "replace")

    def settle(self) -> tuple[str | None, int]:
        """The fault and size of the record just parsed; starts the next one."""
        fault, size = self.fault, self.size
        self.fault, self.size = None, 0
        return fault, size


def _csv_header(path: Path) -> tuple[list[str], str]:
    """Column names and delimiter: the one of comma, tab and semicolon that cuts the header into most pieces."""
    with open_binary(path) as stream:
        first = stream.readline(LONGEST_LINE).decode("utf-8-sig", "replace")
    if not first.strip():
        raise UserError(f"{path}: the file is empty, it has no header line")
    delimiter = max(",\t;", key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{path}: the header names a column twice: {', '.join(twice)}")
    return names, delimiter


def _csv(path: Path, wanted: Collection[str]) -> Iterator[Piece]:
    names, delimiter = _csv_header(path)
    csv.field_size_limit(LONGEST_LINE)
    empty = [None] * len(names)
    with open_binary(path) as stream:
        source = _TextLines(lines(stream))
        parser = csv.reader(source, delimiter=delimiter)
        next(parser)
        source.settle()
        gatherer = _Gatherer()
        while True:
            error = None
            try:
                record = next(parser, None)
            except csv.Error as problem:
                record, error = [], f"not CSV: {problem}"
            if record is None:
                break
            fault, size = source.settle()
            error = error or fault
            if not record and error is None:
                continue
            if error is None and len(record) != len(names):
                error = f"{len(record)} cells where the header names {len(names)}: {_shown(delimiter.join(record))}"
            if gatherer.add(record if error is None else empty, size, error):
                yield _csv_piece(gatherer, names, wanted)
        if gatherer.records:
            yield _csv_piece(gatherer, names, wanted)


def _csv_piece(gatherer: _Gatherer, names: list[str], wanted: Collection[str]) -> Piece:
    columns = zip(names, zip(*gatherer.records, strict=True), strict=True)
    piece = gatherer.take({name: pa.array(cells, pa.string()) for name, cells in columns if name in wanted})
    piece.others = [name for name in names if name not in wanted]
    return piece


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _json_object(line: bytes) -> dict[str, Any] | str:
    """The object of a line, or why it is none."""
    shown = _shown(line.decode("utf-8", "replace").strip())
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as problem:
        return f"not JSON ({str(problem).split(':')[0]}): {shown}"
    return record if isinstance(record, dict) else f"not a JSON object: {shown}"


def _jsonl(path: Path, wanted: Collection[str]) -> Iterator[Piece]:
    gatherer = _Gatherer()
    started = False
    with open_binary(path) as stream:
        for line, whole in lines(stream):
            text = (
                line.removeprefix(b"\xef\xbb\xbf")
                if gatherer.first_row == 1 and not gatherer.records
                else line
            )
            if not text.strip():
                continue
            record = _json_object(text) if whole else f"a line is longer than {LONGEST_LINE >> 20} MiB"
            good = isinstance(record, dict)
            full = gatherer.add(record if good else {}, len(line), None if good else str(record))
            if full:
                yield _jsonl_piece(path, gatherer, wanted, started)
                started = True
        if gatherer.records:
            yield _jsonl_piece(path, gatherer, wanted, started)


def _jsonl_piece(path: Path, gatherer: _Gatherer, wanted: Collection[str], started: bool) -> Piece:
    if not started and len(gatherer.errors) == len(gatherer.records):
        raise UserError(
            f"{path}: no line is a JSON object; the first: {next(iter(gatherer.errors.values()))}"
        )
    found = {name for record in gatherer.records for name in record}
    columns = {name: [record.get(name) for record in gatherer.records] for name in wanted if name in found}
    piece = gatherer.take(columns)
    piece.others = found.difference(wanted)
    return piece

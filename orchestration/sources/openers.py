"""Opens data files by what they claim to be, and refuses those that are not.

A name claims a format by its ending (`.parquet`, `.csv`, `.tsv`, `.jsonl`, `.ndjson`) and compression by a further
`.gz`. The first bytes have to agree with both claims.
"""

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from training.errors import UserError

FORMATS = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
LONGEST_LINE = 16 << 20
"""Bytes; a longer line (or quoted CSV cell) is a broken record. It bounds the memory that a file can take."""

_HEAD = 65_536
_BINARY = {
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "gzip data",
    b"PK\x03\x04": "a ZIP archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"SQLite": "an SQLite database",
    b"%PDF": "a PDF",
    b"\xff\xfe": "UTF-16 text (save it as UTF-8)",
    b"\xfe\xff": "UTF-16 text (save it as UTF-8)",
}


def claims(path: Path) -> tuple[str | None, bool]:
    """The format that a file's name claims, None where it claims none of ours, and whether it claims gzip."""
    name = path.name.lower()
    compressed = name.endswith(".gz")
    suffix = Path(name.removesuffix(".gz")).suffix
    return FORMATS.get(suffix), compressed


@contextmanager
def _gzip_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: the gzip data is broken or cut short ({error})") from error


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed where its name ends in `.gz`.

    Raises UserError when it is not there, is empty although it claims gzip, or its gzip data breaks, also while the
    caller is reading.
    """
    try:
        raw = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    with raw, _gzip_errors(path):
        if not claims(path)[1]:
            yield raw
            return
        if raw.read(2) != b"\x1f\x8b":
            raise UserError(f"{path}: the name says gzip and the content is not")
        raw.seek(0)
        with gzip.open(raw, "rb") as unpacked:
            yield cast(BinaryIO, unpacked)


def require_text(path: Path) -> None:
    """Raise UserError unless the first 64 KiB (decompressed) are UTF-8 text without NUL bytes."""
    with open_binary(path) as stream:
        head = stream.read(_HEAD)
    for magic, what in _BINARY.items():
        if head.startswith(magic):
            raise UserError(f"{path}: the name says text and the content is {what}")
    if b"\x00" in head:
        raise UserError(f"{path}: the name says text and the content is binary")
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # A character that the end of the head cuts in two is no fault of the file.
        if error.start < len(head) - 3 or len(head) < _HEAD:
            line = head.count(b"\n", 0, error.start) + 1
            raise UserError(f"{path}: line {line} is not UTF-8 text; convert the file to UTF-8") from error


@contextmanager
def open_parquet_path(path: Path) -> Iterator[Path]:
    """Give the path of the plain Parquet file: `path` itself, or a temporary copy where it is gzipped."""
    with open_binary(path) as stream:
        if stream.read(4) != b"PAR1":
            raise UserError(f"{path}: the name says Parquet and the content is not")
    if not claims(path)[1]:
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".parquet") as copy:
        with open_binary(path) as stream:
            shutil.copyfileobj(stream, copy, 1 << 20)
        copy.flush()
        yield Path(copy.name)


def lines(stream: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Lines, and whether each is whole: one beyond LONGEST_LINE is cut and its rest skipped."""
    while line := stream.readline(LONGEST_LINE):
        whole = len(line) < LONGEST_LINE or line.endswith(b"\n")
        if not whole:
            while (rest := stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
        yield line, whole

"""What a reader is: three members, and nothing else that the lake knows of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa

Progress = Callable[[str], None]
"""Receives one line of text for the user."""

Batches = Iterator[tuple[str, pa.RecordBatch]]
"""Pairs of a stream's name and a batch with `schema.batch_schema(stream)`, of at most `schema.BATCH_ROWS` rows."""


@dataclass(frozen=True)
class SourceFile:
    """A file that a reader will read: its stream where the name says so, and the SHA-256 of its bytes."""

    path: Path
    stream_hint: str | None
    sha256: str


def quiet(line: str) -> None:
    """Take a progress line and say nothing."""


class Reader(Protocol):
    """Turns a foreign data set into batches of the canonical schema, in memory that does not grow with its files.

    What the user has to fix (a file that is not what it claims to be, a required column that is missing) raises
    UserError; what is wrong in single rows is said in the batch's `_error` column and the reading goes on.
    """

    @property
    def name(self) -> str:
        """The word after `--reader`."""
        ...

    @property
    def summary(self) -> str:
        """One line for `tidegate readers`."""
        ...

    def files(self, path: Path) -> list[Path]:
        """The files under `path` that will be read, in order. Raises UserError when it holds none."""
        ...

    def read(self, file: Path, progress: Progress = quiet) -> Batches:
        """Stream one of these files."""
        ...

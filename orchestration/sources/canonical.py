"""Reader of the canonical schema: Parquet, CSV or JSONL, plain or gzipped, one file or a folder of files a stream.

A file's stream is told by its name (`events.csv`, `events-2026-01.parquet`), else by a folder above it
(`events/part-0.parquet`), else by its columns. Columns that the stream does not know are ignored, and said.
"""

import re
from pathlib import Path

from orchestration.sources.assemble import assemble
from orchestration.sources.base import Batches, Progress, quiet
from orchestration.sources.openers import claims
from orchestration.sources.records import Piece, column_names, read_records
from orchestration.sources.schema import REQUIRED, STREAMS
from training.errors import UserError

_NO_FORMAT = "not a .parquet, .csv or .jsonl file (each may be gzipped)"
# Formats that people do keep data in: a file of a stream's name is refused aloud, where others are passed over.
_REFUSED = {
    ".json",
    ".xlsx",
    ".xls",
    ".xml",
    ".zip",
    ".bz2",
    ".xz",
    ".zst",
    ".7z",
    ".feather",
    ".arrow",
    ".avro",
}
_NAMED_OTHERS = 8
# How far above a file a folder may be that names its stream: api/events/2026/01/05/x.jsonl.
_FOLDERS_ABOVE = 4


def stream_by_name(file: Path) -> str | None:
    """The stream that a file's name starts with, as a whole word; None where it names none."""
    word = re.split(r"[^a-z]", file.name.lower(), maxsplit=1)[0]
    return word if word in STREAMS else None


def _stream_by_folder(file: Path) -> str | None:
    for folder in list(file.parents)[:_FOLDERS_ABOVE]:
        if folder.name.lower() in STREAMS:
            return folder.name.lower()
    return None


def stream_by_columns(names: list[str]) -> str | None:
    """The one stream whose required columns are all there, the most specific where several are; None where none is."""
    fitting = [stream for stream, required in REQUIRED.items() if set(required) <= set(names)]
    scored = sorted(
        ((len(set(STREAMS[stream].names) & set(names)), len(REQUIRED[stream]), stream) for stream in fitting),
        reverse=True,
    )
    if not scored or (len(scored) > 1 and scored[0][:2] == scored[1][:2]):
        return None
    return scored[0][2]


def _require_columns(file: Path, stream: str, names: list[str]) -> None:
    missing = [name for name in REQUIRED[stream] if name not in names]
    if missing:
        found = ", ".join(names[:20]) or "none"
        raise UserError(f"{file}: {stream} need the column {', '.join(missing)}; the file has: {found}")


def stream_of(file: Path) -> str:
    """The stream of a file; checks that it has what the stream requires.

    Raises UserError naming the file and the missing column, or saying that neither name nor columns tell the stream.
    """
    names = column_names(file)
    named = stream_by_name(file)
    if not names and claims(file)[0] == "jsonl" and (named or _stream_by_folder(file)):
        return named or _stream_by_folder(file) or ""
    if named:
        _require_columns(file, named, names)
        return named
    above = _stream_by_folder(file)
    if above and set(REQUIRED[above]) <= set(names):
        return above
    by_columns = stream_by_columns(names)
    if by_columns:
        return by_columns
    if above:
        _require_columns(file, above, names)
    raise UserError(
        f"{file}: neither its name nor its columns ({', '.join(names[:20]) or 'none'}) tell whether it holds "
        f"{', '.join(STREAMS)}"
    )


class CanonicalReader:
    """Reads the schema of `orchestration.sources.schema`; see the module."""

    name = "canonical"
    summary = "events, posts, users, follows, feedback as Parquet, CSV or JSONL (.gz too): a file or a folder"

    def files(self, path: Path) -> list[Path]:
        """A file itself, or the data files anywhere under a folder; hidden and unfinished ones are left out.

        In a folder, a data file whose name or folder names no stream is read only where its columns tell one.
        Raises UserError when there is nothing to read.
        """
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        if path.is_file():
            if claims(path)[0] is None:
                raise UserError(f"{path}: {_NO_FORMAT}")
            return [path]
        found = []
        for file in sorted(path.rglob("*")):
            hidden = any(part.startswith((".", "_")) for part in file.relative_to(path).parts)
            if hidden or not file.is_file():
                continue
            named = stream_by_name(file) or _stream_by_folder(file)
            if claims(file)[0] is None:
                if stream_by_name(file) and file.suffix.lower() in _REFUSED:
                    raise UserError(f"{file}: {_NO_FORMAT}")
                continue
            if named or stream_by_columns(column_names(file)):
                found.append(file)
        if not found:
            wanted = ", ".join(f"{stream}.*" for stream in STREAMS)
            raise UserError(f"{path}: no {wanted} (.parquet, .csv, .jsonl) here")
        return found

    def read(self, file: Path, progress: Progress = quiet) -> Batches:
        """Stream a file; its broken records come with a reason in `_error`. Raises UserError, see `stream_of`."""
        stream = stream_of(file)
        said: set[str] = set()
        for piece in read_records(file, STREAMS[stream].names):
            self._say_others(file, stream, piece, said, progress)
            yield stream, assemble(stream, piece.columns, piece.rows, piece.errors)

    @staticmethod
    def _say_others(file: Path, stream: str, piece: Piece, said: set[str], progress: Progress) -> None:
        new = sorted(set(piece.others) - said)[:_NAMED_OTHERS]
        if new and len(said) < _NAMED_OTHERS:
            progress(f"{file.name}: ignoring columns that {stream} do not have: {', '.join(new)}")
            said.update(new)

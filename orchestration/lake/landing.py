"""The landing zone: append-only files, each whole or absent, and a manifest written last that says what they hold.

    streams/<stream>/<batch_id>.parquet      accepted rows in the canonical schema
    quarantine/<stream>/<batch_id>.parquet   refused rows: row_number, reason, and the row as JSON text
    manifests/<batch_id>.json                one per source file and stream; a batch without one does not exist
    archive/, refused/                       what came through `incoming/`, after it was dealt with

A batch's id follows from the reader, the source's content and the stream. So an ingest that was killed is done again
under the same names, and a source file counts as landed when every stream it held has its manifest.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestration.quality.expectations import REJECTED_SCHEMA
from orchestration.sources.schema import STREAMS
from serving.settings import Settings
from training.errors import UserError
from training.files import atomic_path, sha256_file, write_json_atomic

_DIGITS = 24


@dataclass(frozen=True)
class Manifest:
    """What one batch holds. Paths are relative to the landing zone; empty where a batch has no such rows."""

    batch_id: str
    source: str
    reader: str
    stream: str
    streams: list[str]
    """Every stream that the source file held."""
    content_sha256: str
    """Of the source file."""
    rows_in: int
    rows_accepted: int
    rows_quarantined: int
    file: str
    file_sha256: str
    quarantine_file: str
    quarantine_sha256: str
    landed_at: str
    """ISO 8601, UTC."""
    results: list[dict[str, Any]] = field(default_factory=list)
    """Outcome of the border contract, expectation by expectation."""

    def files(self) -> Iterator[tuple[str, str, int]]:
        """Name, SHA-256 and number of rows of each of the batch's files."""
        if self.file:
            yield self.file, self.file_sha256, self.rows_accepted
        if self.quarantine_file:
            yield self.quarantine_file, self.quarantine_sha256, self.rows_quarantined


def manifests_dir(settings: Settings) -> Path:
    """Folder of the manifests."""
    return settings.landing_dir / "manifests"


def source_key(reader: str, content_sha256: str) -> str:
    """The part of a batch's id that names the source: the reader and the beginning of the content's hash."""
    return f"{reader}-{content_sha256[:_DIGITS]}"


def batch_id(stream: str, reader: str, content_sha256: str) -> str:
    """Name of the batch of `stream` from a source file with this content."""
    return f"{stream}-{source_key(reader, content_sha256)}"


def read_manifest(settings: Settings, name: str) -> Manifest:
    """The manifest of batch `name`. Raises UserError naming the file when it is torn."""
    path = manifests_dir(settings) / f"{name}.json"
    try:
        return Manifest(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: the manifest cannot be read ({error})") from error


def landed_batches(settings: Settings) -> set[str]:
    """Ids of all batches that have a manifest."""
    return {path.stem for path in manifests_dir(settings).glob("*.json")}


def landed_source(settings: Settings, reader: str, content_sha256: str, known: set[str]) -> list[Manifest]:
    """Manifests of a source file that landed as a whole, else nothing. `known` are the ids of all batches.

    Raises UserError when a manifest is torn.
    """
    key = source_key(reader, content_sha256)
    present = [stream for stream in STREAMS if f"{stream}-{key}" in known]
    manifests = [read_manifest(settings, f"{stream}-{key}") for stream in present]
    whole = bool(manifests) and set(manifests[0].streams) <= set(present)
    return manifests if whole else []


class LandingWriter:
    """Writes one source file's rows, stream by stream, as they come; nothing is visible before `publish`.

    A context manager: left without `publish` (an error, a refusal), it leaves nothing behind.
    """

    def __init__(self, settings: Settings, reader: str, source: Path, content_sha256: str) -> None:
        self._landing = settings.landing_dir
        self._settings = settings
        self._reader = reader
        self._source = source
        self._sha256 = content_sha256
        self._stack = ExitStack()
        self._writers: dict[tuple[str, str], pq.ParquetWriter] = {}

    def __enter__(self) -> "LandingWriter":
        return self

    def __exit__(self, *error: Any) -> None:
        # Writers are closed first, then their temporary files removed; after `publish` the stack is empty.
        self._stack.__exit__(*(error if error[0] else (_UnpublishedError, _UnpublishedError(), None)))

    def write(self, stream: str, accepted: pa.Table, rejected: pa.Table) -> None:
        """Append rows of `stream`. Raises OSError (disk full)."""
        if accepted.num_rows:
            self._writer("streams", stream, STREAMS[stream]).write_table(accepted)
        if rejected.num_rows:
            self._writer("quarantine", stream, REJECTED_SCHEMA).write_table(rejected)

    def _path(self, kind: str, stream: str) -> Path:
        return self._landing / kind / stream / f"{batch_id(stream, self._reader, self._sha256)}.parquet"

    def _writer(self, kind: str, stream: str, schema: pa.Schema) -> pq.ParquetWriter:
        if (kind, stream) not in self._writers:
            temporary = self._stack.enter_context(atomic_path(self._path(kind, stream)))
            writer = pq.ParquetWriter(temporary, schema, compression="zstd", compression_level=1)
            self._writers[kind, stream] = self._stack.enter_context(writer)
        return self._writers[kind, stream]

    def publish(
        self, counts: dict[str, tuple[int, int, int]], results: dict[str, list[Any]]
    ) -> list[Manifest]:
        """Make the files durable under their names, then write one manifest a stream.

        `counts`: rows in, accepted and quarantined by stream. `results`: the border's CheckResults by stream. Raises
        OSError; files without a manifest are then no batch and are written again next time.
        """
        self._stack.close()
        landed_at = datetime.now(UTC).isoformat()
        manifests = [
            self._manifest(stream, counts, results[stream], landed_at)
            for stream in STREAMS
            if stream in counts
        ]
        for manifest in manifests:
            write_manifest(self._settings, manifest)
        return manifests

    def _manifest(
        self, stream: str, counts: dict[str, tuple[int, int, int]], results: list[Any], landed_at: str
    ) -> Manifest:
        names = {"streams": "", "quarantine": ""}
        hashes = {"streams": "", "quarantine": ""}
        for kind in names:
            if (kind, stream) in self._writers:
                path = self._path(kind, stream)
                names[kind] = path.relative_to(self._landing).as_posix()
                hashes[kind] = sha256_file(path)
        rows_in, accepted, quarantined = counts[stream]
        return Manifest(
            batch_id=batch_id(stream, self._reader, self._sha256),
            source=str(self._source),
            reader=self._reader,
            stream=stream,
            streams=[name for name in STREAMS if name in counts],
            content_sha256=self._sha256,
            rows_in=rows_in,
            rows_accepted=accepted,
            rows_quarantined=quarantined,
            file=names["streams"],
            file_sha256=hashes["streams"],
            quarantine_file=names["quarantine"],
            quarantine_sha256=hashes["quarantine"],
            landed_at=landed_at,
            results=[asdict(result) for result in results],
        )


class _UnpublishedError(Exception):
    """Tells the temporary files that they are to go."""


def write_manifest(settings: Settings, manifest: Manifest) -> None:
    """Write a batch's manifest: from now on the batch exists. Raises OSError."""
    write_json_atomic(manifests_dir(settings) / f"{manifest.batch_id}.json", asdict(manifest))


def put_unfinished_aside(settings: Settings, in_ledger: set[str]) -> list[str]:
    """Clear away what killed ingests left, so that only batches with a manifest remain. Returns the names.

    Temporary files are removed, files of batches that never got a manifest go to `landing/unfinished`. `in_ledger` are
    batches that the lake has loaded: a file of theirs without a manifest is damage to be told, and stays. Nobody else
    may be landing meanwhile.
    """
    known = landed_batches(settings) | in_ledger
    names = []
    for kind in ("streams", "quarantine", "manifests"):
        for path in sorted((settings.landing_dir / kind).rglob("*")):
            name = path.relative_to(settings.landing_dir)
            if path.name.startswith(".") and path.suffix == ".tmp":
                path.unlink()
            elif path.suffix == ".parquet" and path.stem not in known:
                target = settings.landing_dir / "unfinished" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                path.replace(target)
            else:
                continue
            names.append(name.as_posix())
    return names


def damage(settings: Settings, manifest: Manifest) -> list[str]:
    """What is wrong with a batch's files, a line each: missing, altered, torn."""
    found = []
    for name, sha256, rows in manifest.files():
        path = settings.landing_dir / name
        if not path.is_file():
            found.append(f"{path} is missing")
        elif sha256_file(path) != sha256:
            found.append(f"{path} is damaged: {_difference(path, rows)}")
    return found


def _difference(path: Path, rows: int) -> str:
    try:
        present = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return "it is no whole Parquet file"
    if present != rows:
        return f"it holds {present:,} rows, its manifest says {rows:,}"
    return "its content is not what its manifest says"


def verify_landing(settings: Settings) -> list[str]:
    """Every difference between files, manifests, ledger and lake; see `orchestration.lake.verify`."""
    from orchestration.lake import verify

    return verify.verify_landing(settings)

"""Files in, rows of the lake out: read, hold against the border contract, land, load.

Each file is dealt with by itself. A file that is not what it claims to be, or of whose rows too many break the
contract, is refused whole; the others land. Memory does not grow with a file. Killed at any point, the next ingest of
the same files ends in the same state as one that was not killed.
"""

import errno
from pathlib import Path

import pyarrow as pa

from orchestration.lake.incoming import archive, refuse, waiting_files
from orchestration.lake.landing import (
    LandingWriter,
    Manifest,
    landed_batches,
    landed_source,
    put_unfinished_aside,
)
from orchestration.lake.load import LoadReport, load_landed, loaded_batches
from orchestration.lake.locks import exclusive
from orchestration.lake.report import FileReport, IngestReport, landed_file
from orchestration.quality.expectations import Border
from orchestration.sources import get_reader
from orchestration.sources.base import Reader
from serving.settings import Settings
from training.errors import UserError
from training.files import sha256_file
from training.result import Progress

__all__ = ["IngestReport", "LoadReport", "ingest", "ingest_incoming", "load_landed"]

_ROWS_A_LINE = 500_000


def ingest(settings: Settings, path: Path, reader: str, progress: Progress) -> IngestReport:
    """Read the file or folder at `path`, land what passes the border and load the lake.

    A file whose content landed before, and a row that is there already, change nothing. Raises UserError when the path
    is not what the reader reads, and, after the rest has landed, when files were refused.
    """
    source = get_reader(reader)
    files = source.files(path)
    report = _ingest(settings, files, source, progress)
    if report.refused:
        reasons = "; ".join(file.reason for file in report.refused)
        rest = report.line() if len(report.files) > len(report.refused) else "nothing landed"
        raise UserError(f"{reasons} ({rest})")
    return report


def ingest_incoming(settings: Settings, progress: Progress) -> IngestReport:
    """Ingest every file in `landing/incoming` with the canonical reader, and clear it.

    What landed goes to `landing/archive`, what was refused to `landing/refused` with the reason beside it, so that no
    file is asked for twice. Refusals are in the report; they do not raise.
    """
    source = get_reader("canonical")
    files = waiting_files(settings)
    report = _ingest(settings, files, source, progress)
    for file in report.files:
        if file.outcome == "refused":
            progress(f"refused: {file.reason}")
            refuse(settings, Path(file.source), file.reason)
        else:
            archive(settings, Path(file.source))
    return report


def _ingest(settings: Settings, files: list[Path], reader: Reader, progress: Progress) -> IngestReport:
    """Land `files` one by one, then load what landed."""
    report = IngestReport()
    settings.landing_dir.mkdir(parents=True, exist_ok=True)
    with exclusive(settings.landing_dir / ".ingest.lock", "ingesting"):
        for name in put_unfinished_aside(settings, loaded_batches(settings)):
            progress(f"put {name} aside, left by an ingest that was killed")
        known = landed_batches(settings)
        for file in files:
            try:
                done = _land_file(settings, file, reader, known, progress)
            except UserError as error:
                done = FileReport(str(file), "refused", reason=str(error))
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise UserError(f"no space is left under {settings.home}: {file} did not land") from error
                if error.filename != str(file):
                    raise
                done = FileReport(str(file), "refused", reason=f"{file} cannot be read: {error.strerror}")
            known |= set(done.batches)
            report.files.append(done)
        report.rows_new = load_landed(settings, progress).rows_new
    return report


def _land_file(
    settings: Settings, file: Path, reader: Reader, known: set[str], progress: Progress
) -> FileReport:
    reader.files(file)
    content, state = sha256_file(file), _state(file)
    before = landed_source(settings, reader.name, content, known)
    if before:
        progress(f"{file.name}: landed before, nothing to do")
        return landed_file(str(file), before, "known")
    borders: dict[str, Border] = {}
    with LandingWriter(settings, reader.name, file, content) as writer:
        rows = 0
        for stream, batch in reader.read(file, progress):
            border = borders.setdefault(stream, Border(stream))
            writer.write(stream, *border.split(pa.Table.from_batches([batch])))
            before_rows, rows = rows, rows + batch.num_rows
            if rows // _ROWS_A_LINE > before_rows // _ROWS_A_LINE:
                progress(f"{file.name}: {rows:,} rows read")
        if _state(file) != state:
            raise UserError(f"{file} was changed while it was read")
        _demand_few_bad_rows(settings, file, borders)
        results = {stream: border.results() for stream, border in borders.items()}
        manifests = writer.publish(_counts(borders), results)
    _say_landed(file, manifests, borders, progress)
    return landed_file(str(file), manifests, "landed")


def _state(file: Path) -> tuple[int, int]:
    known = file.stat()
    return known.st_size, known.st_mtime_ns


def _counts(borders: dict[str, Border]) -> dict[str, tuple[int, int, int]]:
    return {
        stream: (border.rows, border.rows - border.rejected, border.rejected)
        for stream, border in borders.items()
    }


def _demand_few_bad_rows(settings: Settings, file: Path, borders: dict[str, Border]) -> None:
    for stream, border in borders.items():
        if border.rejected > settings.quarantine_limit * border.rows:
            raise UserError(
                f"{file} is refused: {border.rejected:,} of {border.rows:,} rows of {stream} "
                f"({border.rejected / border.rows:.1%}, limit {settings.quarantine_limit:.1%}) break the contract: "
                f"{border.commonest()}"
            )


def _say_landed(
    file: Path, manifests: list[Manifest], borders: dict[str, Border], progress: Progress
) -> None:
    for manifest in manifests:
        bad = borders[manifest.stream].commonest()
        kept = f", {manifest.rows_quarantined:,} in quarantine: {bad}" if manifest.rows_quarantined else ""
        progress(f"{file.name}: {manifest.rows_accepted:,} rows of {manifest.stream} landed{kept}")
    if not manifests:
        progress(f"{file.name}: no rows")

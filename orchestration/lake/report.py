"""What an ingest did, file by file, and in one line for a person."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from orchestration.lake.landing import Manifest
from orchestration.sources.schema import STREAMS


@dataclass(frozen=True)
class StreamCounts:
    """Rows of one stream: read, accepted at the border, refused into quarantine."""

    rows_in: int = 0
    accepted: int = 0
    quarantined: int = 0


@dataclass(frozen=True)
class FileReport:
    """What became of one source file. `known`: its content had landed before; `refused`: nothing of it landed."""

    source: str
    outcome: Literal["landed", "known", "refused"]
    streams: dict[str, StreamCounts] = field(default_factory=dict)
    reason: str = ""
    batches: list[str] = field(default_factory=list)


def landed_file(
    source: str, manifests: Iterable[Manifest], outcome: Literal["landed", "known"]
) -> FileReport:
    """The report of a file from its manifests."""
    held = list(manifests)
    counts = {one.stream: StreamCounts(one.rows_in, one.rows_accepted, one.rows_quarantined) for one in held}
    return FileReport(source, outcome, counts, batches=[one.batch_id for one in held])


@dataclass
class IngestReport:
    """Files and rows of one ingest. `rows_new` counts what the lake did not hold before, also of left-over batches."""

    files: list[FileReport] = field(default_factory=list)
    rows_new: dict[str, int] = field(default_factory=dict)

    def _landed(self, what: str) -> dict[str, int]:
        total: dict[str, int] = {}
        for file in self.files:
            if file.outcome == "landed":
                for stream, counts in file.streams.items():
                    total[stream] = total.get(stream, 0) + int(getattr(counts, what))
        return total

    @property
    def rows_in(self) -> dict[str, int]:
        """Rows read from files that were not known yet, by stream."""
        return self._landed("rows_in")

    @property
    def rows_accepted(self) -> dict[str, int]:
        """Rows that passed the border, by stream."""
        return self._landed("accepted")

    @property
    def rows_quarantined(self) -> dict[str, int]:
        """Rows in quarantine, by stream."""
        return self._landed("quarantined")

    @property
    def refused(self) -> list[FileReport]:
        """Files of which nothing landed."""
        return [file for file in self.files if file.outcome == "refused"]

    def line(self) -> str:
        """The whole in one line."""
        known = sum(file.outcome == "known" for file in self.files)
        landed = sum(file.outcome == "landed" for file in self.files)
        parts = [f"{landed} {'file' if landed == 1 else 'files'} landed"]
        if known:
            parts.append(f"{known} known already")
        if self.refused:
            parts.append(f"{len(self.refused)} refused")
        rows = []
        for stream in STREAMS:
            if stream in self.rows_in or self.rows_new.get(stream):
                bad = self.rows_quarantined.get(stream, 0)
                kept = f", {bad:,} in quarantine" if bad else ""
                read, new = self.rows_in.get(stream, 0), self.rows_new.get(stream, 0)
                rows.append(f"{stream}: {read:,} rows read, {new:,} new{kept}")
        return "; ".join([", ".join(parts), *(rows or ["nothing new"])])

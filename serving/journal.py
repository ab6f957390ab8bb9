"""An append-only journal with group commit: one thread writes what has gathered, syncs once, and then answers all.

`append` returns only after fsync, so an acknowledged row survives SIGKILL and power cuts. A failed write (disk full) is
cut off again and reported to every request of its group: a request is stored whole and acknowledged, or refused.
"""

import asyncio
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import structlog

from serving import segments
from serving.metrics import Metrics

MAX_WAITING_BYTES = 64 << 20
"""Rows that may wait for the disk; beyond, requests are refused instead of filling the memory."""


class JournalError(Exception):
    """The rows were not stored; says why in one line."""


@dataclass
class _Waiting:
    data: bytes
    rows: int
    done: "Future[None]"


class Journal:
    """The journal of one stream in one folder. One writer thread; `append` may be called from any event loop."""

    def __init__(
        self, stream: str, folder: Path, metrics: Metrics, *, seal_seconds: float, seal_bytes: int
    ) -> None:
        self.stream = stream
        self.folder = folder
        self._metrics = metrics
        self._seal_seconds = seal_seconds
        self._seal_bytes = seal_bytes
        self._wake = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._closing = False
        self._segment: segments.Segment | None = None
        self._left_open = False
        self._thread = threading.Thread(target=self._run, name=f"journal-{stream}", daemon=True)
        self._log = structlog.get_logger().bind(stream=stream)
        self.last_error: str | None = None

    def start(self) -> list[Path]:
        """Seal what a killed server left, start the writer; returns the sealed paths. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        sealed = segments.recover(self.folder)
        if sealed:
            self._log.info("journal recovered", segments=[path.name for path in sealed])
        self._thread.start()
        return sealed

    async def append(self, data: bytes, rows: int) -> None:
        """Make `data` (`rows` whole lines) durable. Raises JournalError when that failed; nothing is stored then."""
        waiting = _Waiting(data, rows, Future())
        with self._wake:
            if self._closing:
                raise JournalError("the journal is closed")
            if self._waiting_bytes + len(data) > MAX_WAITING_BYTES:
                raise JournalError("the disk is slower than the events that arrive")
            self._waiting.append(waiting)
            self._waiting_bytes += len(data)
            self._wake.notify()
        await asyncio.wrap_future(waiting.done)

    def close(self) -> None:
        """Write what waits, seal the open segment, stop the writer."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._closing, timeout=self._seconds_to_seal())
                group, self._waiting, self._waiting_bytes = self._waiting, [], 0
                closing = self._closing
            group = [waiting for waiting in group if waiting.done.set_running_or_notify_cancel()]
            if group:
                self._commit(group)
            if self._segment and (closing or self._is_due(self._segment)):
                self._seal()
            if closing and not group:
                return

    def _seconds_to_seal(self) -> float | None:
        if self._segment is None:
            return None
        return max(0.0, self._segment.opened + self._seal_seconds - time.monotonic())

    def _is_due(self, segment: segments.Segment) -> bool:
        return segment.durable >= self._seal_bytes or time.monotonic() - segment.opened >= self._seal_seconds

    def _commit(self, group: list[_Waiting]) -> None:
        started = time.perf_counter()
        try:
            if self._segment is None:
                self._segment = segments.create(self.folder)
            self._segment.append(b"".join(waiting.data for waiting in group))
        except OSError as error:
            self._refuse(group, error)
            return
        self.last_error = None
        self._metrics.journal_fsync.labels(self.stream).observe(time.perf_counter() - started)
        self._metrics.journal_group.labels(self.stream).observe(len(group))
        self._metrics.journal_rows.labels(self.stream).inc(sum(waiting.rows for waiting in group))
        for waiting in group:
            waiting.done.set_result(None)

    def _refuse(self, group: list[_Waiting], error: OSError) -> None:
        """Undo the write and answer the whole group; a file that cannot be cut is left for a later recovery."""
        reason = f"{self.stream} could not be written: {error.strerror or error}"
        abandoned = self._roll_back()
        self.last_error = reason
        self._metrics.journal_failures.labels(self.stream).inc(len(group))
        # Whoever is answered may look at the log.
        self._log.error("journal write failed", reason=reason, requests=len(group), abandoned=abandoned)
        for waiting in group:
            waiting.done.set_exception(JournalError(reason))

    def _roll_back(self) -> str | None:
        """Cut off what was half-written; the name of the segment when that failed too."""
        segment = self._segment
        if segment is None:
            return None
        try:
            segment.roll_back()
        except OSError:
            segment.abandon()
            self._segment, self._left_open = None, True
            return segment.path.name
        return None

    def _seal(self) -> None:
        assert self._segment is not None
        segment, self._segment = self._segment, None
        try:
            sealed = segment.seal()
            if self._left_open:
                segments.recover(self.folder)
                self._left_open = False
        except OSError as error:
            # The rows are safe in the open file; a later seal or the next start publishes it.
            self._left_open = True
            self.last_error = f"{self.stream} segment could not be sealed: {error.strerror or error}"
            self._log.error("journal seal failed", segment=segment.path.name, reason=str(error))
            return
        if sealed is not None:
            self._metrics.journal_sealed.labels(self.stream).inc()
            self._log.debug("journal sealed", segment=sealed.name, bytes=segment.durable)

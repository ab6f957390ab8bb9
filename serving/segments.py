"""Segments of a journal on disk: `NAME.jsonl.open` while written and locked, `NAME.jsonl` once sealed.

Invariant: bytes up to `Segment.durable` are complete lines that fsync has confirmed; nothing beyond was acknowledged.
"""

import contextlib
import fcntl
import os
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from training.files import fsync_dir

OPEN_SUFFIX = ".open"
_BLOCK = 1 << 16


@dataclass
class Segment:
    """An open segment that this process writes and holds the lock of."""

    path: Path
    fd: int
    durable: int = 0
    opened: float = field(default_factory=time.monotonic)

    def append(self, data: bytes) -> None:
        """Write `data` at the end and sync it. Raises OSError; `durable` is then unchanged."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]
        os.fsync(self.fd)
        self.durable += len(data)

    def roll_back(self) -> None:
        """Cut off what a failed `append` left behind. Raises OSError."""
        os.ftruncate(self.fd, self.durable)
        os.lseek(self.fd, self.durable, os.SEEK_SET)
        os.fsync(self.fd)

    def seal(self) -> Path | None:
        """Publish the segment under its sealed name, or remove it when it is empty. Raises OSError.

        The descriptor is closed, and with it the lock given up, whatever happens.
        """
        try:
            return _publish(self.path, self.durable)
        finally:
            os.close(self.fd)

    def abandon(self) -> None:
        """Close without sealing; the next start recovers what is there."""
        os.close(self.fd)


def _publish(path: Path, size: int) -> Path | None:
    if size == 0:
        path.unlink()
        return None
    sealed = path.with_suffix("")
    path.rename(sealed)
    fsync_dir(path.parent)
    return sealed


def create(folder: Path) -> Segment:
    """A new, empty, locked segment in `folder`, its name durable. Raises OSError."""
    while True:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        path = folder / f"{stamp}-{secrets.token_hex(4)}.jsonl{OPEN_SUFFIX}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A server that starts at this moment may have taken the empty file for a dead one's and removed it.
            if os.fstat(fd).st_nlink == 1:
                fsync_dir(folder)
                return Segment(path, fd)
        except BlockingIOError:
            pass
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        os.close(fd)


def _last_line_end(fd: int, size: int) -> int:
    """Offset just behind the last newline, 0 when there is none."""
    end = size
    while end > 0:
        start = max(0, end - _BLOCK)
        position = os.pread(fd, end - start, start).rfind(b"\n")
        if position >= 0:
            return start + position + 1
        end = start
    return 0


def recover(folder: Path) -> list[Path]:
    """Seal the segments that a killed server left open; returns the sealed paths. Raises OSError.

    A last line without its newline was never acknowledged, because its fsync had not returned; it is cut off. Segments
    that a living server holds locked are left alone.
    """
    sealed = []
    for path in sorted(folder.glob(f"*.jsonl{OPEN_SUFFIX}")):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = os.fstat(file.fileno()).st_size
            whole = _last_line_end(file.fileno(), size)
            if whole < size:
                os.ftruncate(file.fileno(), whole)
            os.fsync(file.fileno())
            published = _publish(path, whole)
            if published is not None:
                sealed.append(published)
    return sealed

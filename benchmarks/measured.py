"""Runs work in a process of its own and tells what it took; prints tables with ratios."""

import multiprocessing
import resource
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """What one piece of work on `events` events took; processor time and memory count its child processes too."""

    name: str
    events: int
    seconds: float
    processor_seconds: float
    peak_mib: float
    """Of the largest process, with the pages of mapped files."""
    peak_anonymous_mib: float
    """Of the process itself, without them: RssAnon, looked at every 20 ms."""


def measure(name: str, events: int, work: Callable[[], object]) -> Measured:
    """Run `work` (picklable) in a fresh process; its imports count, the interpreter's start does not."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(work, there))
    process.start()
    there.close()
    try:
        seconds, processor, peak, anonymous = here.recv()
    except EOFError as error:
        raise RuntimeError(f"{name} failed") from error
    finally:
        process.join()
    return Measured(name, events, seconds, processor, peak, anonymous)


def _run(work: Callable[[], object], result: Connection) -> None:
    started, used = time.perf_counter(), _processor_seconds()
    with _Watch() as watch:
        work()
    seconds = time.perf_counter() - started
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    result.send((seconds, _processor_seconds() - used, peak / 1024, watch.peak_mib))


class _Watch(threading.Thread):
    """Keeps the largest size of the process's own memory while it is entered."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak_mib, self._done = 0.0, threading.Event()

    def __enter__(self) -> "_Watch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self.join()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._done.wait(0.02):
            status = Path("/proc/self/status").read_text()
            (size,) = (line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:"))
            self.peak_mib = max(self.peak_mib, int(size) / 1024)


def _processor_seconds() -> float:
    known = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in known)


def table(measured: Sequence[Measured], peer: str) -> str:
    """A Markdown table; the last column is the throughput per processor second against that of `peer`."""
    (against,) = [one for one in measured if one.name == peer]
    lines = [
        "| what | events | wall s | processor s | peak MiB | events a processor second | against the peer |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one in measured:
        rate = one.events / one.processor_seconds
        ratio = rate / (against.events / against.processor_seconds)
        lines.append(
            f"| {one.name} | {one.events:,} | {one.seconds:.1f} | {one.processor_seconds:.1f} "
            f"| {one.peak_mib:,.0f} | {rate:,.0f} | {ratio:.2f} |"
        )
    return "\n".join(lines)

"""Runs work in a process of its own and tells what it took; prints tables with ratios."""

import multiprocessing
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection


@dataclass(frozen=True)
class Measured:
    """What one piece of work on `events` events took; processor time and memory count its child processes too."""

    name: str
    events: int
    seconds: float
    processor_seconds: float
    peak_mib: float
    """Of the largest process."""


def measure(name: str, events: int, work: Callable[[], object]) -> Measured:
    """Run `work` (picklable) in a fresh process; its imports count, the interpreter's start does not."""
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(work, there))
    process.start()
    there.close()
    try:
        seconds, processor, peak = here.recv()
    except EOFError as error:
        raise RuntimeError(f"{name} failed") from error
    finally:
        process.join()
    return Measured(name, events, seconds, processor, peak)


def _run(work: Callable[[], object], result: Connection) -> None:
    started, used = time.perf_counter(), _processor_seconds()
    work()
    seconds = time.perf_counter() - started
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    result.send((seconds, _processor_seconds() - used, peak / 1024))


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

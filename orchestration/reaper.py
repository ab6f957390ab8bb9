"""Finds runs whose process is gone and closes them: a run killed with SIGKILL stays STARTED for ever otherwise."""

import os
import socket
from pathlib import Path

from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

PROCESS_TAG = "tidegate/process"
_OPEN = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]


def _started_at(pid: int) -> str:
    """Start time of a process in clock ticks since boot, so that a reused pid is not taken for the old process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def process_tag() -> str:
    """Identity of this process: host, pid and start time."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started_at(os.getpid())}"


def _is_gone(tag: str) -> bool:
    host, pid, started = tag.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started_at(int(pid)) != started


def reap(instance: DagsterInstance) -> list[str]:
    """Mark open runs of this host whose process no longer exists as failed. Returns their run ids."""
    reaped = []
    for run in instance.get_runs(RunsFilter(statuses=_OPEN)):
        tag = run.tags.get(PROCESS_TAG)
        if tag and _is_gone(tag):
            instance.report_run_failed(run, f"the process of this run ({tag}) is gone; closed by the reaper")
            reaped.append(run.run_id)
    return reaped

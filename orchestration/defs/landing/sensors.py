"""Starts ingestion when files wait, and closes runs whose process is gone."""

from collections.abc import Iterator
from hashlib import sha256

import dagster as dg

from orchestration.defs.jobs import ingest_job
from orchestration.reaper import reap
from serving.settings import get_settings


@dg.sensor(
    job=ingest_job,
    minimum_interval_seconds=30,
    description="Asks for an ingestion when files have come into landing/incoming.",
)
def new_files_landed(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """One run a set of waiting files; a run key would de-duplicate for ever, so the cursor holds the last set."""
    folder = get_settings().incoming_dir
    waiting = sorted(
        f"{path.relative_to(folder)}:{path.stat().st_size}:{path.stat().st_mtime_ns}"
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".open") and not path.name.startswith(".")
    )
    mark = sha256("\n".join(waiting).encode()).hexdigest()
    if not waiting or mark == context.cursor:
        yield dg.SkipReason(f"{len(waiting)} files, all asked for already" if waiting else "nothing waits")
        return
    context.update_cursor(mark)
    yield dg.RunRequest(tags={"tidegate/reason": f"{len(waiting)} files in landing/incoming"})


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Closes runs whose process was killed; they would stay STARTED and hold the queue.",
)
def dead_run_reaper(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """Never asks for a run; says which runs it closed."""
    reaped = reap(context.instance)
    return dg.SkipReason(f"closed {', '.join(reaped)}" if reaped else "every open run has its process")

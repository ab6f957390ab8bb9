"""Clocks. Off until turned on in the UI: a fresh clone must not start work by itself."""

import dagster as dg

from orchestration.defs.jobs import ingest_job

ingest_hourly = dg.ScheduleDefinition(
    name="ingest_hourly",
    job=ingest_job,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every hour: what waits in landing/incoming into the lake and the features.",
)

"""Weekly retraining, off until turned on."""

import dagster as dg

from orchestration.defs.jobs import full_loop_job

retrain_weekly = dg.ScheduleDefinition(
    name="retrain_weekly",
    job=full_loop_job,
    cron_schedule="30 3 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Monday: the whole loop, both models retrained and judged.",
)

"""All Dagster definitions of tidegate. `dagster dev` with workspace.yaml, or `tidegate up`, starts them."""

import sys
from pathlib import Path

import dagster as dg
from dagster_dbt import DbtCliResource

import training  # noqa: F401  (turns telemetry off before anything else is imported)
from orchestration.defs import jobs
from orchestration.defs.console import asset_lines
from orchestration.defs.features.assets import DBT_PROJECT, dbt_features
from orchestration.defs.features.snapshot import feature_snapshot
from orchestration.defs.generator.assets import generator_candidates, generator_trials
from orchestration.defs.generator.preferences import generator_preferences
from orchestration.defs.landing.assets import landed
from orchestration.defs.landing.schedules import ingest_hourly
from orchestration.defs.landing.sensors import dead_run_reaper, new_files_landed
from orchestration.defs.promotion.assets import (
    champion_drift,
    generator_gate,
    generator_preferences_gate,
    recommender_gate,
)
from orchestration.defs.promotion.rollback import rollback_job
from orchestration.defs.promotion.schedules import retrain_weekly
from orchestration.defs.promotion.sensors import drift_found, feedback_volume, reviewer_approval
from orchestration.defs.recommender.assets import recommender_candidates, recommender_trials
from orchestration.defs.resources import MlflowResource, SettingsResource
from orchestration.defs.serving.assets import online_state, served_champions
from orchestration.home import prepare_home
from serving.settings import get_settings

_settings = get_settings()
prepare_home(_settings)

defs = dg.Definitions(
    assets=[
        landed,
        dbt_features,
        feature_snapshot,
        champion_drift,
        recommender_candidates,
        generator_candidates,
        recommender_trials,
        generator_trials,
        online_state,
        recommender_gate,
        generator_gate,
        generator_preferences,
        generator_preferences_gate,
        served_champions,
    ],
    jobs=[
        jobs.ingest_job,
        jobs.train_recommender_job,
        jobs.train_generator_job,
        jobs.train_generator_preferences_job,
        *jobs.sweep_jobs,
        jobs.full_loop_job,
        rollback_job,
    ],
    schedules=[ingest_hourly, retrain_weekly],
    sensors=[new_files_landed, drift_found, feedback_volume, reviewer_approval, dead_run_reaper],
    resources={
        "settings": SettingsResource(),
        "mlflow": MlflowResource(),
        "dbt": DbtCliResource(
            project_dir=str(DBT_PROJECT), dbt_executable=str(Path(sys.executable).with_name("dbt"))
        ),
        # Named here so that runs in one process keep values on disk too: a later run may start downstream of them.
        "io_manager": dg.FilesystemIOManager(base_dir=str(_settings.dagster_home / "storage")),
    },
    loggers={"console": asset_lines},
    executor=dg.in_process_executor,
)

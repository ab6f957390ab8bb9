"""Prepares TIDEGATE_HOME: folders and Dagster's instance file."""

import os

import yaml

from serving.settings import Settings
from training.files import write_atomic

_INSTANCE = {
    "telemetry": {"enabled": False},
    # No pop-up that asks for an e-mail address before the first look.
    "nux": {"enabled": False},
    # One run at a time: two trainings on the same cores finish later than one after the other.
    "concurrency": {"runs": {"max_concurrent_runs": 1}, "pools": {"default_limit": 1, "granularity": "op"}},
    "run_monitoring": {
        "enabled": True,
        "start_timeout_seconds": 300,
        "max_runtime_seconds": 4 * 3600,
        "poll_interval_seconds": 30,
    },
    "retention": {"sensor": {"purge_after_days": {"skipped": 2, "success": 30, "failure": 30}}},
}


def prepare_home(settings: Settings) -> None:
    """Create what is missing under `settings.home` and point Dagster at it. Idempotent; raises OSError."""
    for folder in (
        settings.incoming_dir,
        settings.lake_dir,
        settings.online_dir,
        settings.dagster_home,
        settings.mlflow_dir,
        settings.dbt_dir,
    ):
        folder.mkdir(parents=True, exist_ok=True)
    instance = settings.dagster_home / "dagster.yaml"
    text = yaml.safe_dump(_INSTANCE, sort_keys=False).encode()
    if not instance.exists() or instance.read_bytes() != text:
        write_atomic(instance, text)
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    # Children (dbt, the code server, the API) must agree on where home is whatever their working directory.
    os.environ["TIDEGATE_HOME"] = str(settings.home)

"""The generator trained from feedback, starting from the champion."""

from dataclasses import asdict
from typing import Any

import dagster as dg

from orchestration.defs.launchpad import launchpad_config, trainer_config
from orchestration.defs.plots import figure_metadata
from orchestration.defs.resources import MlflowResource, SettingsResource
from orchestration.defs.training_asset import cycle_metadata
from orchestration.preferences import run_preference_cycle
from training.generator.preference.config import PreferenceConfig

_SHOWN = ("feedback/win_rate", "validation/win_rate", "test/bits_per_byte")
_Launchpad = launchpad_config(PreferenceConfig)


@dg.asset(
    dagster_type=dg.Any,
    name="generator_preferences",
    group_name="generator",
    owners=["team:ml"],
    kinds={"torch", "mlflow"},
    # After the gate, so that it starts from a champion of the same run.
    deps=["generator_gate", ["marts", "preference_pairs"], ["marts", "rated_responses"]],
    description="The champion trained on what people rated and edited (direct preference optimisation), once enough "
    "feedback is new; win rate on held-out pairs and bits per byte against the champion's, logged to MLflow.",
    op_tags={"dagster/max_runtime": 3600},
)
def generator_preferences(
    context: dg.AssetExecutionContext,
    config: _Launchpad,  # type: ignore[valid-type]
    feature_snapshot: dict[str, Any],
    settings: SettingsResource,
    mlflow: MlflowResource,
) -> dg.MaterializeResult:
    """One training from feedback, or the reason why none is due."""
    figures: dict[str, Any] = {}
    cycle = run_preference_cycle(
        settings.get(),
        mlflow.tracker(),
        snapshot=feature_snapshot["snapshot"],
        hashes=feature_snapshot["hashes"],
        features_digest=feature_snapshot["digest"],
        config=trainer_config(PreferenceConfig, config),
        progress=context.log.info,
        dagster_run_id=context.run_id,
        keep_figures=figures,
    )
    shown = cycle_metadata(cycle, mlflow, _SHOWN) | {
        name: figure_metadata(figure) for name, figure in figures.items()
    }
    return dg.MaterializeResult(value=asdict(cycle), metadata=shown)

"""Builds the training asset of a model family: read the snapshot, run one cycle, show what came out."""

from dataclasses import asdict
from typing import Any

import dagster as dg
from pydantic import BaseModel

from orchestration.cycle import Cycle, run_cycle
from orchestration.defs.launchpad import launchpad_config, trainer_config
from orchestration.defs.plots import figure_metadata, metric_table
from orchestration.defs.resources import MlflowResource, SettingsResource
from training.bundle import Kind


def training_asset(
    model: Kind, config_class: type[BaseModel], metrics: tuple[str, ...], description: str
) -> dg.AssetsDefinition:
    """An asset `MODEL_candidates` whose Launchpad config is `config_class`; its value is the cycle as a dict."""
    launchpad = launchpad_config(config_class)

    @dg.asset(
        dagster_type=dg.Any,
        name=f"{model}_candidates",
        group_name=model,
        owners=["team:ml"],
        kinds={"torch", "mlflow"},
        description=description,
        op_tags={"dagster/max_runtime": 3600},
    )
    def candidates(
        context: dg.AssetExecutionContext,
        config: launchpad,  # type: ignore[valid-type]
        feature_snapshot: dict[str, Any],
        settings: SettingsResource,
        mlflow: MlflowResource,
    ) -> dg.MaterializeResult:
        figures: dict[str, Any] = {}
        cycle = run_cycle(
            settings.get(),
            mlflow.tracker(),
            model,
            snapshot=feature_snapshot["snapshot"],
            hashes=feature_snapshot["hashes"],
            features_digest=feature_snapshot["digest"],
            config=trainer_config(config_class, config),
            progress=context.log.info,
            dagster_run_id=context.run_id,
            keep_figures=figures,
        )
        shown = cycle_metadata(cycle, mlflow, metrics) | {
            name: figure_metadata(fig) for name, fig in figures.items()
        }
        return dg.MaterializeResult(value=asdict(cycle), metadata=shown)

    return candidates


def cycle_metadata(cycle: Cycle, mlflow: MlflowResource, metrics: tuple[str, ...]) -> dict[str, Any]:
    """A cycle as metadata: candidates by `metrics`, the chosen one, links to MLflow; or why it was skipped."""
    if cycle.skipped:
        return {"skipped": cycle.skipped}
    return {
        "cycle": cycle.cycle_id,
        "trained_now": cycle.fresh,
        "best": cycle.best,
        "held_out_window": " to ".join(cycle.window),
        "candidates": metric_table(cycle.metrics, metrics),
        "mlflow_cycle": dg.MetadataValue.url(mlflow.run_url(cycle.model, cycle.parent_run)),
        "mlflow_best": dg.MetadataValue.url(mlflow.run_url(cycle.model, cycle.runs[cycle.best])),
        "notes": cycle.notes,
    } | {name: value for name, value in cycle.metrics[cycle.best].items() if name in metrics}

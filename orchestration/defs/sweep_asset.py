"""Builds the sweep asset of a model family: search on the snapshot, train the best, show both."""

from typing import Any

import dagster as dg

from orchestration.defs.launchpad import launchpad_config, trainer_config
from orchestration.defs.plots import figure_metadata
from orchestration.defs.resources import MlflowResource, SettingsResource
from orchestration.defs.training_asset import cycle_metadata
from training.bundle import Kind
from training.sweep.config import SweepConfig


def sweep_asset(
    model: Kind, config_class: type[SweepConfig], metrics: tuple[str, ...], description: str
) -> dg.AssetsDefinition:
    """An asset `MODEL_trials` whose Launchpad config is `config_class`.

    It trains the best configuration too, so the run also shows as a materialization of `MODEL_candidates`.
    """
    launchpad = launchpad_config(config_class)

    @dg.asset(
        dagster_type=dg.Any,
        name=f"{model}_trials",
        group_name=model,
        owners=["team:ml"],
        kinds={"optuna", "mlflow"},
        description=description,
        op_tags={"dagster/max_runtime": 4 * 3600},
    )
    def trials(
        context: dg.AssetExecutionContext,
        config: launchpad,  # type: ignore[valid-type]
        feature_snapshot: dict[str, Any],
        settings: SettingsResource,
        mlflow: MlflowResource,
    ) -> dg.MaterializeResult:
        from orchestration.sweep import run_sweep

        plots: dict[str, Any] = {}
        search, cycle = run_sweep(
            settings.get(),
            mlflow.tracker(),
            model,
            snapshot=feature_snapshot["snapshot"],
            hashes=feature_snapshot["hashes"],
            features_digest=feature_snapshot["digest"],
            config=trainer_config(config_class, config),
            progress=context.log.info,
            dagster_run_id=context.run_id,
            keep_figures=plots,
        )
        trained = cycle_metadata(cycle, mlflow, metrics)
        trained |= {name: figure_metadata(figure) for name, figure in plots.items()}
        context.log_event(dg.AssetMaterialization(f"{model}_candidates", metadata=trained))
        if search is None:
            return dg.MaterializeResult(value=None, metadata=trained)
        return dg.MaterializeResult(
            value=search.best,
            metadata=search.metrics
            | {
                "best": search.best,
                "trials": dg.MetadataValue.md(search.table),
                "mlflow_sweep": dg.MetadataValue.url(mlflow.run_url(model, search.run)),
                "mlflow_cycle": trained.get("mlflow_cycle", ""),
            }
            | {name: figure_metadata(figure) for name, figure in search.figures.items()},
        )

    return trials

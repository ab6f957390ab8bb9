"""Drift of the champions, and the gate of each model."""

from typing import Any

import dagster as dg

from orchestration.cycle import ModelName
from orchestration.defs.plots import figure_metadata
from orchestration.defs.resources import MlflowResource, SettingsResource

MODELS: tuple[ModelName, ...] = ("recommender", "generator")
POINTS = {
    "1_complete": "Evidence is complete, fresh and about this bundle; people's word on it is kept.",
    "3_better": "Better than the champion and the strongest cheap baseline on the same held-out window, now.",
    "4_slices": "No group of users or texts loses more than the policy's margin.",
    "5_drift": "The training window still resembles the latest one; answers do not differ wildly from the champion's.",
    "6_contracts": "All critical data contracts of the snapshot trained on passed.",
    "7_safety": "Nothing leaks, repeats or insults (generator).",
    "8_serves": "The real server loads the bundle and answers its golden requests in time.",
}


@dg.asset(
    dagster_type=dg.Any,
    group_name="promotion",
    owners=["team:ml"],
    kinds={"evidently"},
    check_specs=[
        dg.AssetCheckSpec(
            f"{model}_window_stable",
            asset="champion_drift",
            description=f"The data still resembles what the {model} champion was trained on.",
        )
        for model in MODELS
    ],
)
def champion_drift(
    context: dg.AssetExecutionContext, feature_snapshot: dict[str, Any], settings: SettingsResource
) -> dg.MaterializeResult:
    """Evidently on features and text descriptors: each champion's training window against the latest one."""
    from orchestration.drift_watch import NoDriftQuestionError, watch_champion
    from orchestration.quality.drift_report import drift_figure
    from training.files import write_atomic

    metadata: dict[str, Any] = {}
    checks: list[dg.AssetCheckResult] = []
    found: dict[str, list[str]] = {}
    for model in MODELS:
        try:
            report = watch_champion(settings.get(), model, feature_snapshot["snapshot"])
        except NoDriftQuestionError as reason:
            context.log.info(str(reason))
            found[model] = []
            checks.append(_stable(model, True, {"reason": str(reason)}))
            continue
        context.log.info(report.line())
        page = settings.get().home / "drift" / context.run_id / f"{model}.html"
        write_atomic(page, report.html.encode())
        found[model] = [column.name for column in report.drifted]
        metadata[f"{model}_columns"] = figure_metadata(drift_figure(report))
        metadata[f"{model}_page"] = dg.MetadataValue.path(str(page))
        checks.append(_stable(model, not report.drifted, {"drifted": found[model], "line": report.line()}))
    metadata |= {f"{model}_drifted": ", ".join(columns) for model, columns in found.items()}
    return dg.MaterializeResult(value=found, metadata=metadata, check_results=checks)


def _stable(model: str, passed: bool, metadata: dict[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=f"{model}_window_stable",
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata=metadata,
    )


def gate_asset(model: ModelName) -> dg.AssetsDefinition:
    """The asset `MODEL_gate`: judges the newest candidate and acts on the decision."""
    name = f"{model}_gate"

    @dg.asset(
        dagster_type=dg.Any,
        name=name,
        group_name="promotion",
        owners=["team:ml"],
        kinds={"mlflow", "evidently"},
        # No values are handed over: the gate reads its evidence again from bundles, MLflow and the lake.
        deps=[f"{model}_candidates", "online_state", "champion_drift"],
        description=f"Judges the newest {model} candidate by all points of the policy, records the decision in the "
        "ledger and acts on it: promote, hold or ask for a review.",
        check_specs=[
            dg.AssetCheckSpec(point, asset=name, description=text) for point, text in POINTS.items()
        ],
        pool="lake_writer",
        op_tags={"dagster/max_runtime": 1800},
    )
    def gate(
        context: dg.AssetExecutionContext, settings: SettingsResource, mlflow: MlflowResource
    ) -> dg.MaterializeResult:
        from orchestration.judge import judge_cycle

        verdict = judge_cycle(settings.get(), model, context.log.info, dagster_run_id=context.run_id)
        context.log.info(verdict.line())
        checks = [
            dg.AssetCheckResult(
                check_name=point,
                passed=all(check["outcome"] == "pass" for check in verdict.checks_of(int(point[0]))),
                severity=dg.AssetCheckSeverity.WARN,
                metadata={
                    "findings": [f"{c['outcome']}: {c['reason']}" for c in verdict.checks_of(int(point[0]))]
                },
            )
            for point in POINTS
        ]
        metadata: dict[str, Any] = {
            "decision": verdict.decision,
            "version": verdict.version,
            "reasons": verdict.reasons,
            "report": dg.MetadataValue.md(verdict.markdown()),
        }
        if verdict.run_id:
            metadata["mlflow_run"] = dg.MetadataValue.url(mlflow.run_url(model, verdict.run_id))
        metadata |= {name: figure_metadata(figure) for name, figure in verdict.figures.items()}
        return dg.MaterializeResult(value=verdict.as_json(), metadata=metadata, check_results=checks)

    return gate


recommender_gate = gate_asset("recommender")
generator_gate = gate_asset("generator")

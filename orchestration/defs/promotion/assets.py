"""Drift of the champions, and the gate of each model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg

from orchestration.defs.plots import figure_metadata
from orchestration.defs.resources import MlflowResource, SettingsResource
from serving.pointers import KINDS
from training.bundle import Kind

if TYPE_CHECKING:
    from orchestration.promotion.verdict import Verdict


@dataclass(frozen=True)
class Point:
    """Numbers of the gate's checks that one asset check shows, and what they are about."""

    points: tuple[int, ...]
    description: str


POINTS = {
    "1_complete": Point(
        (1, 2), "Evidence is complete, fresh, read again and about this bundle; people's word on it is kept."
    ),
    "3_better": Point(
        (3,), "Better than the champion and the cheap baselines on the same held-out window, now."
    ),
    "4_slices": Point(
        (4,), "No group of users or texts loses more than the policy's margin; small authors are still shown."
    ),
    "5_drift": Point(
        (5,), "The training window still resembles the latest one; answers resemble the champion's."
    ),
    "6_contracts": Point((6,), "All critical data contracts of the snapshot trained on passed."),
    "7_safety": Point((7,), "Nothing leaks, repeats or insults (generator)."),
    "8_serves": Point((8,), "The real server loads the bundle and answers its golden requests in time."),
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
        for model in KINDS
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
    for model in KINDS:
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


def gate_asset(
    model: Kind, name: str, learnt_from: Literal["data", "feedback"], deps: list[str]
) -> dg.AssetsDefinition:
    """The asset `name`: judges the newest candidate that learnt from data or feedback and acts on the decision."""

    @dg.asset(
        dagster_type=dg.Any,
        name=name,
        group_name="promotion",
        owners=["team:ml"],
        kinds={"mlflow", "evidently"},
        # No values are handed over: the gate reads its evidence again from bundles, MLflow and the lake.
        deps=[*deps, "online_state", "champion_drift"],
        description=f"Judges the newest {model} candidate trained from {learnt_from} by all points of the policy, "
        "records the decision in the ledger and acts on it: promote, hold or ask for a review.",
        check_specs=[
            dg.AssetCheckSpec(check, asset=name, description=point.description)
            for check, point in POINTS.items()
        ],
        pool="lake_writer",
        op_tags={"dagster/max_runtime": 1800},
    )
    def gate(
        context: dg.AssetExecutionContext, settings: SettingsResource, mlflow: MlflowResource
    ) -> dg.MaterializeResult:
        from orchestration.judge import judge_cycle

        verdict = judge_cycle(settings.get(), model, context.log.info, context.run_id, learnt_from)
        context.log.info(verdict.line())
        checks = [_point_check(name, verdict, learnt_from) for name in POINTS]
        metadata: dict[str, Any] = {
            "decision": verdict.decision,
            "version": verdict.version,
            "reasons": verdict.reasons,
            "report": dg.MetadataValue.md(verdict.markdown()),
        }
        if verdict.run_id:
            url = mlflow.run_url(model, verdict.run_id)
            metadata["mlflow_run"] = dg.MetadataValue.url(url)
            for page in ("gate/report.html", *verdict.pages):
                metadata[page] = dg.MetadataValue.url(f"{url}/artifacts/{page}")
        metadata |= {name: figure_metadata(figure) for name, figure in verdict.figures.items()}
        return dg.MaterializeResult(value=verdict.as_json(), metadata=metadata, check_results=checks)

    return gate


def _point_check(name: str, verdict: "Verdict", learnt_from: str) -> dg.AssetCheckResult:
    """One point of the gate as an asset check: passed when it was judged and nothing of it held.

    That nothing was trained from feedback is no fault: most runs find too little that is new.
    """
    found = verdict.checks_of(*POINTS[name].points)
    idle = learnt_from == "feedback" and verdict.decision == "skipped"
    return dg.AssetCheckResult(
        check_name=name,
        passed=idle or (bool(found) and all(check["outcome"] in ("pass", "skipped") for check in found)),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "findings": [f"{check['outcome']}: {check['reason']}" for check in found] or verdict.reasons
        },
    )


recommender_gate = gate_asset(
    "recommender", "recommender_gate", "data", ["recommender_candidates", "recommender_trials"]
)
generator_gate = gate_asset(
    "generator", "generator_gate", "data", ["generator_candidates", "generator_trials"]
)
generator_preferences_gate = gate_asset(
    "generator", "generator_preferences_gate", "feedback", ["generator_preferences"]
)

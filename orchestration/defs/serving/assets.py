"""What the server reads, and the proof that it answers with the champions."""

from typing import Any

import dagster as dg

from orchestration.defs.resources import SettingsResource
from orchestration.defs.retries import SAFE


@dg.asset(
    dagster_type=dg.Any,
    group_name="serving",
    owners=["team:serving"],
    kinds={"parquet"},
    op_tags={"dagster/max_runtime": 900},
    retry_policy=SAFE,
)
def online_state(
    context: dg.AssetExecutionContext, feature_snapshot: dict[str, Any], settings: SettingsResource
) -> dg.MaterializeResult:
    """Users' histories and posts of the snapshot, published for the server with one atomic pointer."""
    from orchestration.online import publish_state

    folder = publish_state(settings.get(), feature_snapshot["snapshot"])
    size = sum(path.stat().st_size for path in folder.iterdir())
    context.log.info(f"published {folder.name}, {size / 1e6:.1f} MB")
    return dg.MaterializeResult(
        value=str(folder),
        metadata={"state": folder.name, "bytes": size, "lake_snapshot": feature_snapshot["snapshot"]},
    )


@dg.asset(
    dagster_type=dg.Any,
    group_name="serving",
    owners=["team:serving"],
    kinds={"fastapi"},
    retry_policy=SAFE,
    deps=["recommender_gate", "generator_gate", "generator_preferences_gate", "online_state"],
    check_specs=[
        dg.AssetCheckSpec(
            "answers_with_champions",
            asset="served_champions",
            description="The API answers with exactly the versions that the ledger calls champions.",
        )
    ],
)
def served_champions(context: dg.AssetExecutionContext, settings: SettingsResource) -> dg.MaterializeResult:
    """Asks the running API, or one started for the purpose, for a recommendation and a completion."""
    from orchestration.serve_check import check_serving

    outcome = check_serving(settings.get())
    context.log.info(outcome.line())
    return dg.MaterializeResult(
        value=outcome.versions,
        metadata={"versions": outcome.versions, "answers": outcome.answers, "problems": outcome.problems},
        check_results=[
            dg.AssetCheckResult(
                check_name="answers_with_champions",
                passed=not outcome.problems,
                metadata={"problems": outcome.problems},
            )
        ],
    )

"""The lake snapshot that training reads, with its contracts: one number from which a run can be repeated."""

import dagster as dg

from orchestration.contracts import FEEDBACK_TABLES, TRAINING_TABLES
from orchestration.defs.resources import SettingsResource
from orchestration.defs.retries import SAFE


@dg.asset(
    dagster_type=dg.Any,
    group_name="features",
    owners=["team:data"],
    kinds={"ducklake", "great_expectations"},
    retry_policy=SAFE,
    deps=[["marts", table] for table in (*TRAINING_TABLES, *FEEDBACK_TABLES)]
    + [["marts", "user_days"], ["marts", "daily_activity"], ["marts", "document_reports"]],
    check_specs=[
        dg.AssetCheckSpec(
            f"contract_{table}",
            asset="feature_snapshot",
            description=f"Great Expectations suite of the training table marts.{table}.",
        )
        for table in (*TRAINING_TABLES, *FEEDBACK_TABLES)
    ],
)
def feature_snapshot(context: dg.AssetExecutionContext, settings: SettingsResource) -> dg.MaterializeResult:
    """The current snapshot id, the content hash of every feature table, and the verdict of their contracts."""
    from orchestration.contracts import check_training_tables
    from orchestration.lake.connection import current_snapshot
    from orchestration.lake.features import feature_hashes, features_digest

    known = settings.get()
    snapshot = current_snapshot(known)
    hashes = feature_hashes(known, snapshot)
    results = check_training_tables(known, snapshot)
    checks = []
    for table in (*TRAINING_TABLES, *FEEDBACK_TABLES):
        ran = [r for r in results if r.suite == f"training.{table}"]
        failed = [r for r in ran if not r.success]
        checks.append(
            dg.AssetCheckResult(
                check_name=f"contract_{table}",
                passed=not any(r.critical for r in failed),
                metadata={
                    "rules": len(ran),
                    "failed": [f"{r.expectation} {r.column}: {r.detail}" for r in failed],
                },
            )
        )
    digest = features_digest(hashes)
    context.log.info(f"snapshot {snapshot}, features {digest[:12]}")
    return dg.MaterializeResult(
        value={"snapshot": snapshot, "hashes": hashes, "digest": digest},
        metadata={"lake_snapshot": snapshot, "features_digest": digest, "hashes": hashes},
        check_results=checks,
    )

"""Files to the landing zone to the lake's raw tables."""

from collections.abc import Iterator
from typing import Literal

import dagster as dg
from pydantic import Field

from orchestration.defs.resources import SettingsResource
from orchestration.defs.retries import SAFE
from orchestration.world import found_world_if_empty

STREAMS = ("events", "posts", "users", "follows", "feedback", "generations")
OWNERS = ["team:data"]


class LandingConfig(dg.Config):
    """What to land."""

    embedded_world: Literal["when_empty", "never"] = Field(
        "when_empty", description="Found the simulated world when nothing was ever landed and nothing waits."
    )


def _specs() -> list[dg.AssetSpec]:
    return [
        dg.AssetSpec(
            ["raw", stream],
            group_name="landing",
            owners=OWNERS,
            kinds={"ducklake", "parquet"},
            description=f"Accepted, de-duplicated rows of the stream `{stream}` in the canonical schema.",
        )
        for stream in STREAMS
    ]


def _checks() -> list[dg.AssetCheckSpec]:
    contracts = [
        dg.AssetCheckSpec(
            "border_contract",
            asset=["raw", stream],
            description="Great Expectations suite of the stream over every batch landed in this run.",
        )
        for stream in STREAMS
    ]
    intact = dg.AssetCheckSpec(
        "landing_intact",
        asset=["raw", "events"],
        description="Every landed file still has the hash and the rows its manifest tells.",
    )
    return [*contracts, intact]


@dg.multi_asset(name="landed", specs=_specs(), check_specs=_checks(), pool="lake_writer", retry_policy=SAFE)
def landed(
    context: dg.AssetExecutionContext, config: LandingConfig, settings: SettingsResource
) -> Iterator[dg.MaterializeResult]:
    """Ingest what waits in `landing/incoming`, then load what landed into the lake."""
    from orchestration.lake.ingest import ingest_incoming
    from orchestration.lake.quality_store import latest_results
    from orchestration.lake.status import raw_counts
    from orchestration.lake.verify import verify_landing

    known = settings.get()
    if config.embedded_world == "when_empty":
        found_world_if_empty(known, context.log.info)
    report = ingest_incoming(known, context.log.info)
    context.log.info(report.line())
    damaged = verify_landing(known)
    for text in damaged:
        context.log.error(text)
    counts = raw_counts(known)
    results = latest_results(known)
    for stream in STREAMS:
        failed = [r for r in results if r["suite"] == f"border.{stream}" and not r["success"]]
        checks = [
            dg.AssetCheckResult(
                check_name="border_contract",
                asset_key=["raw", stream],
                passed=not any(r["critical"] for r in failed),
                severity=dg.AssetCheckSeverity.ERROR,
                metadata={"failed": [f"{r['expectation']} {r['column']}: {r['detail']}" for r in failed]},
            )
        ]
        if stream == "events":
            checks.append(
                dg.AssetCheckResult(
                    check_name="landing_intact",
                    asset_key=["raw", "events"],
                    passed=not damaged,
                    metadata={"damaged": damaged},
                )
            )
        yield dg.MaterializeResult(
            asset_key=["raw", stream],
            metadata={"dagster/row_count": counts[stream], "this_run": report.line()},
            check_results=checks,
        )

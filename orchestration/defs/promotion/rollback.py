"""Rollback from the UI: one op, the same operation as `tidegate rollback`."""

from typing import Literal

import dagster as dg
from pydantic import Field

from orchestration.defs.resources import SettingsResource


class RollbackConfig(dg.Config):
    """Which champion to move back, who asks and why; all three go into the ledger."""

    model: Literal["recommender", "generator"] = Field(
        description="Whose champion moves back to the one before."
    )
    who: str = Field(description="Your name, kept in the ledger.")
    why: str = Field(description="Reason, kept in the ledger.")


@dg.op(name="move_champion_back", pool="lake_writer")
def move_champion_back(
    context: dg.OpExecutionContext, config: RollbackConfig, settings: SettingsResource
) -> None:
    """Champion <- previous, with a row in the ledger; the server follows within seconds."""
    from orchestration.judge import rollback

    context.log.info(rollback(settings.get(), config.model, config.who, config.why))


@dg.job(
    name="rollback",
    description="Move the champion of one model back to the one before.",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_runtime": "600"},
)
def rollback_job() -> None:
    """One step; type model, who and why into the Launchpad."""
    move_champion_back()

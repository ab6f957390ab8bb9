"""dbt models and their tests as assets and checks."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, DbtCliResource, dbt_assets

from orchestration.defs.resources import SettingsResource
from orchestration.lake.features import DBT_PROJECT, dbt_environment, prepare_manifest
from serving.settings import get_settings

__all__ = ["DBT_PROJECT", "dbt_features"]


class Translator(DagsterDbtTranslator):
    """All models stand in the group `features` and belong to the data team."""

    def __init__(self) -> None:
        super().__init__(
            DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_source_tests_as_checks=True)
        )

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        """Group of every dbt model."""
        return "features"

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> list[str] | None:
        """Owner of every dbt model."""
        return ["team:data"]


@dbt_assets(
    manifest=prepare_manifest(get_settings()),
    name="dbt_features",
    dagster_dbt_translator=Translator(),
    pool="lake_writer",
)
def dbt_features(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, settings: SettingsResource
) -> Iterator[Any]:
    """Staging, intermediate and mart models with their tests, in one `dbt build` under the lake's write lock."""
    from orchestration.lake.build_results import record_build
    from orchestration.lake.connection import ensure_lake, write_lock

    known = settings.get()
    ensure_lake(known)
    os.environ.update(dbt_environment(known))
    target = known.dbt_dir / "runs" / context.run_id
    with write_lock(known):
        # A retry of the run finds the folder of the attempt before it.
        (target / "run_results.json").unlink(missing_ok=True)
        try:
            yield from dbt.cli(["build"], context=context, target_path=target).stream()
        finally:
            record_build(known, target)

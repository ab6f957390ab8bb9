"""What dbt's DuckDB session needs to reach the lake's files; profiles.yml has dbt-duckdb load `Plugin` from here."""

from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin

from orchestration.lake.session import object_store_secret
from serving.settings import Settings


class Plugin(BasePlugin):
    """Hands dbt's connections the credentials of the object store, where the lake's files lie in one."""

    def configure_connection(self, conn: Any) -> None:
        """Called by dbt-duckdb before it attaches the lake. Raises UserError for an address it cannot read."""
        data_path = Settings().lake_data_path
        if "://" in data_path:
            conn.execute("load httpfs")
            conn.execute(object_store_secret(data_path))

"""Counts for a person: what the lake holds."""

import duckdb

from orchestration.lake.connection import connect, lake_exists
from orchestration.sources.schema import STREAMS
from serving.settings import Settings


def raw_counts(settings: Settings) -> dict[str, int]:
    """Rows of every raw table by stream; zeros where nothing was loaded yet. Raises UserError for a damaged lake."""
    counts = dict.fromkeys(STREAMS, 0)
    if not lake_exists(settings):
        return counts
    with connect(settings, read_only=True) as connection:
        for stream in counts:
            try:
                row = connection.execute(f"select count(*) from lake.raw.{stream}").fetchone()
            except duckdb.CatalogException:
                continue  # a lake that was made and never loaded
            assert row is not None
            counts[stream] = int(row[0])
    return counts

"""Checks the training tables of a snapshot and keeps the results as evidence."""

from typing import TYPE_CHECKING

from orchestration.lake.connection import read_table
from orchestration.lake.quality_store import record_results
from serving.settings import Settings

if TYPE_CHECKING:
    from orchestration.quality.expectations import CheckResult

TRAINING_TABLES = ("interactions", "posts", "users", "user_sequences", "corpus_documents")


def check_training_tables(settings: Settings, snapshot: int) -> list["CheckResult"]:
    """Run every training table's suite at `snapshot`, record the results for that snapshot and return them."""
    from orchestration.quality.expectations import check_training_table

    results = []
    for table in TRAINING_TABLES:
        results += check_training_table(table, read_table(settings, f"marts.{table}", snapshot=snapshot))
    record_results(settings, results, snapshot=snapshot)
    return results

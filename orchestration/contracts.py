"""Checks the training tables of a snapshot and keeps the results as evidence.

Suites are named `training.<table>` (Great Expectations) and `dbt` (the tests of the build that made the tables); those
of the border, kept when a batch is loaded, `border.<stream>`.
"""

from typing import TYPE_CHECKING

from orchestration.lake.connection import read_table
from orchestration.lake.quality_store import record_results
from serving.settings import Settings

if TYPE_CHECKING:
    from orchestration.quality.expectations import CheckResult

TRAINING_TABLES = ("interactions", "posts", "users", "user_sequences", "corpus_documents")
FEEDBACK_TABLES = ("preference_pairs", "rated_responses")
"""Checked where they hold rows: a world without feedback is no fault, and a candidate trained from it needs them."""


def check_training_tables(settings: Settings, snapshot: int) -> list["CheckResult"]:
    """Run every training table's suite at `snapshot`, add what dbt's tests found, record it all for that snapshot.

    Returns what was recorded. Raises UserError for an unknown snapshot or a table that is not there.
    """
    from orchestration.lake.build_results import results_of_build
    from orchestration.quality.expectations import check_training_table

    results = results_of_build(settings, snapshot)
    for table in TRAINING_TABLES:
        results += check_training_table(table, read_table(settings, f"marts.{table}", snapshot=snapshot))
    for table in FEEDBACK_TABLES:
        rows = read_table(settings, f"marts.{table}", snapshot=snapshot)
        results += check_training_table(table, rows) if rows.num_rows else []
    record_results(settings, results, snapshot=snapshot)
    return results

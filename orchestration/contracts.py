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

EVENT_TABLES = ("interactions", "users", "user_sequences")
TRAINING_TABLES = (*EVENT_TABLES, "posts", "corpus_documents")
FEEDBACK_TABLES = ("preference_pairs", "rated_responses")
MAY_BE_EMPTY = (*EVENT_TABLES, *FEEDBACK_TABLES)
"""Checked where they hold rows: texts without events or feedback are no fault; the policy of a model that needs them
asks for their suites."""


def check_training_tables(settings: Settings, snapshot: int) -> list["CheckResult"]:
    """Run every training table's suite at `snapshot`, add what dbt's tests found, record it all for that snapshot.

    Returns what was recorded. Raises UserError for an unknown snapshot or a table that is not there.
    """
    from orchestration.lake.build_results import results_of_build
    from orchestration.quality.expectations import check_training_table

    results = results_of_build(settings, snapshot)
    for table in (*TRAINING_TABLES, *FEEDBACK_TABLES):
        rows = read_table(settings, f"marts.{table}", snapshot=snapshot)
        if rows.num_rows or table not in MAY_BE_EMPTY:
            results += check_training_table(table, rows)
    record_results(settings, results, snapshot=snapshot)
    return results

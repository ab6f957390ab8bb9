"""Training the generator from feedback: when it is due, and one cycle of it, which the gate judges like any other.

It starts from the champion, so it is known by the champion too. Feedback is new until a candidate that started from the
present champion has learnt from it: a champion that was trained on documents alone knows none of it.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.cycle import Cycle, cycles_dir, fingerprint, latest_cycle, log_cycle
from orchestration.lake.connection import read_table
from orchestration.lake.status import raw_counts
from serving.pointers import read_champions
from serving.settings import Settings
from training.bundle import Bundle, Kind, open_bundle
from training.errors import NotEnoughDataError
from training.files import write_json_atomic
from training.generator.preference.config import PreferenceConfig
from training.generator.preference.origin import origin_of
from training.result import Progress
from training.tracking import Tracker, code_digest

PAIRS, RATED, DOCUMENTS = "marts.preference_pairs", "marts.rated_responses", "marts.corpus_documents"
TABLES = (PAIRS, RATED, DOCUMENTS)
_MODEL: Kind = "generator"


@dataclass(frozen=True)
class Due:
    """Feedback rows in the lake, how many of them nothing trained from the champion knows, and the champion."""

    rows: int
    new: int
    champion: Bundle | None

    def line(self, needed: int) -> str:
        """Why nothing is trained."""
        if self.champion is None:
            return "there is no champion that could learn from feedback"
        return f"{self.new} new feedback rows, {needed} are needed"

    def enough(self, needed: int) -> bool:
        """Whether a training is due."""
        return self.champion is not None and self.new >= needed


def feedback_due(settings: Settings) -> Due:
    """Count the feedback. Raises UserError for a damaged lake or pointer, BundleError for a damaged bundle."""
    rows, pointer = raw_counts(settings)["feedback"], read_champions(settings.home).get(_MODEL)
    if pointer is None:
        return Due(rows, rows, None)
    champion = open_bundle(pointer.bundle, _MODEL)
    own, cycle = origin_of(champion), latest_cycle(settings, _MODEL, "feedback")
    known = own.rows if own is not None else 0
    if cycle is not None and cycle.champion == champion.digest:
        known = max(known, cycle.feedback_rows)
    return Due(rows, max(0, rows - known), champion)


def run_preference_cycle(
    settings: Settings,
    tracker: Tracker,
    *,
    snapshot: int,
    hashes: dict[str, str],
    features_digest: str,
    config: PreferenceConfig,
    progress: Progress,
    dagster_run_id: str,
    keep_figures: dict[str, Any] | None = None,
) -> Cycle:
    """Train from the champion on the feedback at `snapshot`, where enough of it is new.

    Returns a skipped cycle with its reason otherwise; it leaves nothing behind but, where training was tried, the
    number of rows that were seen. Raises as `orchestration.cycle.run_cycle`.
    """
    due = feedback_due(settings)
    needed = settings.feedback_volume if config.new_rows < 0 else config.new_rows
    cycle_id = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    folder = cycles_dir(settings, _MODEL) / cycle_id
    cycle = Cycle(
        _MODEL,
        cycle_id,
        "",
        snapshot,
        features_digest,
        str(folder),
        learnt_from="feedback",
        feedback_rows=due.rows,
    )
    if due.champion is None or not due.enough(needed):
        progress(f"no training from feedback: {due.line(needed)}")
        return replace(cycle, skipped=due.line(needed))
    mark = fingerprint({name: hashes[name] for name in TABLES}, config, champion=due.champion.digest)
    last = latest_cycle(settings, _MODEL, "feedback")
    if last is not None and last.fingerprint == mark:
        progress(
            f"nothing new since cycle {last.cycle_id}: the same feedback, champion, configuration and code"
        )
        return replace(last, fresh=False)
    cycle = replace(cycle, fingerprint=mark, champion=due.champion.digest)
    return _trained(
        settings, tracker, cycle, due.champion, hashes, config, progress, dagster_run_id, keep_figures
    )


def _trained(
    settings: Settings,
    tracker: Tracker,
    cycle: Cycle,
    champion: Bundle,
    hashes: dict[str, str],
    config: PreferenceConfig,
    progress: Progress,
    dagster_run_id: str,
    keep_figures: dict[str, Any] | None,
) -> Cycle:
    from training.generator.preference.train import FeedbackTables, train_preferences

    tables = {name: read_table(settings, name, snapshot=cycle.snapshot) for name in TABLES}
    lineage = {
        "lake.snapshot": cycle.snapshot,
        "features.digest": cycle.features_digest,
        "rows": {name: table.num_rows for name, table in tables.items()},
        "content": {name: hashes[name] for name in TABLES},
        "code.digest": code_digest(),
        "dagster.run_id": dagster_run_id,
        "cycle": cycle.cycle_id,
        "champion.digest": champion.digest,
    }
    folder = Path(cycle.folder)
    folder.mkdir(parents=True)
    feedback = FeedbackTables(tables[PAIRS], tables[RATED], cycle.feedback_rows)
    try:
        outcome = train_preferences(champion, tables[DOCUMENTS], feedback, config, folder, progress, lineage)
    except NotEnoughDataError as error:
        progress(f"nothing learnt from feedback: {error}")
        cycle = replace(cycle, skipped=str(error))
    else:
        tags = {"champion.digest": champion.digest, "learnt_from": "feedback"}
        cycle = log_cycle(tracker, cycle, outcome, lineage, config, progress, tags)
        if keep_figures is not None:
            keep_figures.update(outcome.candidate(outcome.best).plots)
    write_json_atomic(folder / "cycle.json", asdict(cycle))
    return cycle


def scorer(settings: Settings, cycle: Cycle) -> "Callable[[Bundle, datetime], Any]":
    """Scores bundles on the held-out pairs of the cycle's snapshot; see `score_bundle_pairs`."""
    from training.generator.preference.score import score_bundle_pairs

    pairs = read_table(settings, PAIRS, snapshot=cycle.snapshot)
    return lambda bundle, start: score_bundle_pairs(bundle, pairs, start)

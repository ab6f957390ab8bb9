"""A sweep as its users meet it: search on one lake snapshot, then one ordinary cycle with the best configuration.

Trials are measured on the validation window and leave no bundle and no model version. What the gate gets is the cycle.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from orchestration.cycle import Cycle, Tables, fingerprint, read_training_tables, run_cycle
from serving.settings import Settings
from training.bundle import Kind
from training.errors import NotEnoughDataError, UserError
from training.result import Progress
from training.sweep.config import SweepConfig
from training.sweep.log import SweepLog
from training.sweep.report import figures, trials_table
from training.sweep.space import parse_space, value_of, with_values
from training.sweep.study import Sweep, Trials, ended
from training.tracking import Tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna import Study


@dataclass(frozen=True)
class Search:
    """What was found, in words, numbers and plots."""

    run: str
    """The sweep's run in MLflow."""
    best: dict[str, Any]
    metrics: dict[str, float]
    table: str
    figures: "dict[str, Figure]"


def _recommender(tables: Tables, base: Any, progress: Progress) -> Trials:
    from training.recommender.data import RecommenderTables
    from training.recommender.trials import RecommenderTrials

    data = RecommenderTables(tables["marts.interactions"], tables["marts.posts"], tables["marts.users"])
    return RecommenderTrials(data, base, progress)


def _generator(tables: Tables, base: Any, progress: Progress) -> Trials:
    from training.generator.trials import GeneratorTrials

    return GeneratorTrials(tables["marts.corpus_documents"], tables["marts.document_reports"], base, progress)


TRIALS: dict[str, Callable[[Tables, Any, Progress], Trials]] = {
    "recommender": _recommender,
    "generator": _generator,
}


def run_sweep(
    settings: Settings,
    tracker: Tracker,
    model: Kind,
    *,
    snapshot: int,
    hashes: dict[str, str],
    features_digest: str,
    config: SweepConfig,
    progress: Progress,
    dagster_run_id: str,
    keep_figures: dict[str, Any] | None = None,
) -> tuple[Search | None, Cycle]:
    """Search within the budget, then train the best configuration as any cycle is trained, for the gate.

    The same tables, space, base and code are the same sweep: it goes on where it ended. With too little data there is
    no search, and the cycle is skipped with its reason. Raises UserError for a space that does not hold together, for a
    sweep in which no trial could be measured, and while another sweep of the model runs; and what `run_cycle` raises.
    """
    space = parse_space(config.space, config.base, config.fixed)
    folder = settings.home / "sweeps"
    folder.mkdir(exist_ok=True)
    # The budget is no part of the name: a larger one goes on with the same sweep.
    alike = config.model_copy(update={"trials": 1, "minutes": 1.0})
    name = f"{model}-{fingerprint(model, hashes, alike)[:12]}"
    tags = {
        "lake.snapshot": str(snapshot),
        "features.digest": features_digest,
        "dagster.run_id": dagster_run_id,
    }
    search, best = None, config.base
    with _alone(folder / f"{model}.lock", model):
        trials = _prepared(settings, model, snapshot, config, progress)
        if trials is not None:
            with SweepLog(tracker, model, name, tags) as log:
                storage = f"sqlite:///{folder / 'optuna.db'}"
                seed = value_of(config.base, "seed")
                study = Sweep(name, storage, trials, config, space, seed, log, progress).run()
                search = _handed_over(log, study, trials.metric, config)
            best = with_values(config.base, search.best)
            progress(
                f"best of {len(ended(study))} trials: {trials.metric} {study.best_value:.4f}; it is trained now"
            )
    cycle = run_cycle(
        settings,
        tracker,
        model,
        snapshot=snapshot,
        hashes=hashes,
        features_digest=features_digest,
        config=best,
        progress=progress,
        dagster_run_id=dagster_run_id,
        keep_figures=keep_figures,
        tags={"sweep.name": name, "sweep.run": search.run} if search else None,
    )
    return search, cycle


@contextmanager
def _alone(path: Path, model: Kind) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"another sweep of the {model} is running") from error
    try:
        yield
    finally:
        lock.release()


def _prepared(
    settings: Settings, model: Kind, snapshot: int, config: SweepConfig, progress: Progress
) -> Trials | None:
    """What all trials share; None with too little data, which is the cycle's to tell."""
    try:
        return TRIALS[model](read_training_tables(settings, model, snapshot), config.base, progress)
    except NotEnoughDataError:
        return None


def _handed_over(log: SweepLog, study: "Study", metric: str, config: SweepConfig) -> Search:
    states = Counter(trial.state.name.lower() for trial in ended(study))
    metrics = {metric: study.best_value, "trials/measured": float(states["complete"])}
    metrics |= {"trials/stopped_early": float(states["pruned"]), "trials/failed": float(states["fail"])}
    best = study.best_params
    search = Search(log.parent, best, metrics, trials_table(study, metric), figures(study, metric))
    texts = {
        "trials.md": search.table,
        "best.json": json.dumps(best, indent=2),
        "config.json": config.model_dump_json(indent=2),
    }
    log.hand_over(metrics, texts, search.figures)
    return search

"""One training cycle: tables at one lake snapshot in, candidates with bundles and MLflow runs out.

A cycle is known by the fingerprint of all that decides its outcome (tables, configuration, code). When nothing of that
changed, the last cycle stands and nothing is trained again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import BaseModel

from orchestration.lake.connection import read_table
from serving.settings import Settings
from training.bundle import Kind
from training.errors import NotEnoughDataError
from training.files import write_json_atomic
from training.model_card import model_card
from training.result import Progress, TrainingOutcome
from training.tracking import Tracker, code_digest

Tables = dict[str, pa.Table]
Trainer = Callable[[Tables, Any, dict[str, Any], Path, Progress], TrainingOutcome]


@dataclass(frozen=True)
class Cycle:
    """What the gate needs to know of a finished (or skipped) training cycle; JSON on disk, written last."""

    model: str
    cycle_id: str
    fingerprint: str
    snapshot: int
    features_digest: str
    folder: str = ""
    parent_run: str = ""
    runs: dict[str, str] = field(default_factory=dict)
    bundles: dict[str, str] = field(default_factory=dict)
    best: str = ""
    baselines: list[str] = field(default_factory=list)
    window: tuple[str, str] = ("", "")
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""
    """Why nothing was trained; empty when something was."""
    fresh: bool = True
    """False when an earlier cycle with the same fingerprint stands."""

    def bundle_path(self, name: str) -> Path:
        """Folder of the bundle of candidate `name`."""
        return Path(self.bundles[name])


def _train_recommender(
    tables: Tables, config: Any, lineage: dict[str, Any], folder: Path, progress: Progress
) -> TrainingOutcome:
    from training.recommender.data import RecommenderTables
    from training.recommender.train import train

    data = RecommenderTables(tables["marts.interactions"], tables["marts.posts"], tables["marts.users"])
    return train(data, config, folder, progress, lineage=lineage)


def _train_generator(
    tables: Tables, config: Any, lineage: dict[str, Any], folder: Path, progress: Progress
) -> TrainingOutcome:
    from training.generator.train import train

    documents, reports = tables["marts.corpus_documents"], tables["marts.document_reports"]
    return train(documents, config, folder, progress, lineage=lineage, reports=reports)


TRAINERS: dict[str, Trainer] = {"recommender": _train_recommender, "generator": _train_generator}
TABLES: dict[str, tuple[str, ...]] = {
    "recommender": ("marts.interactions", "marts.posts", "marts.users"),
    "generator": ("marts.corpus_documents", "marts.document_reports"),
}


def read_training_tables(settings: Settings, model: Kind, snapshot: int) -> Tables:
    """The tables that family `model` is trained on, as they were at `snapshot`."""
    return {name: read_table(settings, name, snapshot=snapshot) for name in TABLES[model]}


def fingerprint(model: Kind, hashes: dict[str, str], config: BaseModel) -> str:
    """Hex SHA-256 of the content of the family's tables, the configuration, the base model that it names and the
    project's code.
    """
    from training.generator.pretrained.source import identity

    known = {
        "tables": {name: hashes[name] for name in TABLES[model]},
        "config": config.model_dump(mode="json"),
        "base_model": identity(getattr(config, "base_model", "")),
        "code": code_digest(),
    }
    return sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _located(settings: Settings, config: BaseModel) -> BaseModel:
    """The configuration with the files that the settings name, where it names no others: weights of actions that the
    server uses, texts labelled as abusive, the base model. Raises UserError for a file of labels that cannot be read.
    """
    from training.generator.config import GeneratorConfig
    from training.recommender.config import RecommenderConfig

    if isinstance(config, GeneratorConfig):
        named = {
            "abuse": config.abuse.located(settings.abuse_labels),
            "base_model": config.base_model or settings.base_model,
        }
        return config.model_copy(update=named)
    if not isinstance(config, RecommenderConfig) or config.actions.weights or settings.action_weights is None:
        return config
    actions = config.actions.model_copy(update={"weights": str(settings.action_weights)})
    return config.model_copy(update={"actions": actions})


def cycles_dir(settings: Settings, model: Kind) -> Path:
    """Folder of the cycles of one family."""
    return settings.home / "cycles" / model


def latest_cycle(settings: Settings, model: Kind) -> Cycle | None:
    """The newest finished cycle, or None. A cycle that was killed left no `cycle.json` and does not count."""
    found = sorted(cycles_dir(settings, model).glob("*/cycle.json"))
    if not found:
        return None
    known = json.loads(found[-1].read_text())
    return Cycle(**known | {"window": tuple(known["window"])})


def run_cycle(
    settings: Settings,
    tracker: Tracker,
    model: Kind,
    *,
    snapshot: int,
    hashes: dict[str, str],
    features_digest: str,
    config: BaseModel,
    progress: Progress,
    dagster_run_id: str,
    keep_figures: dict[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Cycle:
    """Train family `model` on the tables at `snapshot`, unless the last cycle had the same fingerprint.

    `keep_figures` receives the plots of the chosen candidate by name; `tags` go onto its MLflow runs and into its
    lineage. Returns a skipped cycle with its reason when there is too little data. Raises UserError on a bad
    configuration and whatever the trainer or MLflow raises; the MLflow parent run is then FAILED and no cycle is
    recorded.
    """
    config = _located(settings, config)
    mark = fingerprint(model, hashes, config)
    last = latest_cycle(settings, model)
    if (
        last is not None
        and last.fingerprint == mark
        and all(Path(path).is_dir() for path in last.bundles.values())
    ):
        progress(f"nothing new since cycle {last.cycle_id}: the same tables, configuration and code")
        return replace(last, fresh=False)
    cycle_id = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    cycle = Cycle(
        model, cycle_id, mark, snapshot, features_digest, str(cycles_dir(settings, model) / cycle_id)
    )
    tables = read_training_tables(settings, model, snapshot)
    lineage = {
        "lake.snapshot": snapshot,
        "features.digest": features_digest,
        "rows": {name: table.num_rows for name, table in tables.items()},
        "content": {name: hashes[name] for name in TABLES[model]},
        "code.digest": code_digest(),
        "dagster.run_id": dagster_run_id,
        "cycle": cycle_id,
    } | dict(tags or {})
    folder = Path(cycle.folder)
    folder.mkdir(parents=True)
    try:
        outcome = TRAINERS[model](tables, config, lineage, folder, progress)
    except NotEnoughDataError as error:
        progress(f"{model} skipped: {error}")
        cycle = replace(cycle, skipped=str(error))
        write_json_atomic(folder / "cycle.json", asdict(cycle))
        return cycle
    cycle = _log_cycle(tracker, cycle, outcome, lineage, config, progress, tags or {})
    if keep_figures is not None:
        keep_figures.update(outcome.candidate(outcome.best).plots)
    write_json_atomic(folder / "cycle.json", asdict(cycle))
    return cycle


def _log_cycle(
    tracker: Tracker,
    cycle: Cycle,
    outcome: TrainingOutcome,
    lineage: dict[str, Any],
    config: BaseModel,
    progress: Progress,
    more_tags: Mapping[str, str],
) -> Cycle:
    tags = dict(more_tags) | {
        "lake.snapshot": str(cycle.snapshot),
        "features.digest": cycle.features_digest,
        "dagster.run_id": str(lineage["dagster.run_id"]),
        "cycle": cycle.cycle_id,
    }
    runs: dict[str, str] = {}
    with tracker.cycle(
        cycle.model, f"cycle {cycle.cycle_id}", tags | {"tidegate.best": outcome.best}
    ) as parent:
        tracker.client.log_text(parent, config.model_dump_json(indent=2), "config.json")
        for candidate in outcome.candidates:
            card = model_card(cycle.model, candidate, outcome, lineage)
            runs[candidate.name] = tracker.log_candidate(
                cycle.model, parent, candidate, lineage=lineage, model_card=card, tags=tags
            )
            progress(f"logged {cycle.model} candidate {candidate.name} as MLflow run {runs[candidate.name]}")
        best = outcome.candidate(outcome.best)
        for name, value in best.metrics.items():
            tracker.client.log_metric(parent, name, value)
    return replace(
        cycle,
        parent_run=parent,
        runs=runs,
        bundles={candidate.name: str(candidate.bundle.path) for candidate in outcome.candidates},
        best=outcome.best,
        baselines=list(outcome.baselines),
        window=(outcome.window[0].isoformat(), outcome.window[1].isoformat()),
        metrics={candidate.name: dict(candidate.metrics) for candidate in outcome.candidates},
        notes=list(outcome.notes),
    )

"""The gate as its users meet it: judge the newest candidate, carry out people's words, roll back, put right.

Each operation reads what is there now (cycle, registry, ledger, lake), hands it to `promotion` and says in one line
what was done. Nothing here decides.
"""

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orchestration.collect import Collector, Subject
from orchestration.cycle import Cycle, Source, latest_cycle
from orchestration.promotion.ledger import LakeLedger, Reign, Row, of_model, succession
from orchestration.promotion.operations import Gate, RegistryBehindError
from orchestration.promotion.policy import Policy, load_policy
from orchestration.promotion.publish import materialise
from orchestration.promotion.registry import MlflowRegistry
from orchestration.promotion.verdict import Verdict
from serving.pointers import KINDS
from serving.settings import Settings
from training.bundle import Bundle, Kind, open_bundle
from training.errors import UserError
from training.result import Progress
from training.tracking import code_digest, prepare_store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

APPROVE, REJECT, ANSWERED = "gate.approve", "gate.reject", "gate.answered"
"""Tags of a model version in MLflow: a reviewer's word, and what became of it."""


@dataclass(frozen=True)
class Desk:
    """The gate of one home with the stores that it reads."""

    settings: Settings

    @cached_property
    def registry(self) -> MlflowRegistry:
        """The registry, after its store exists."""
        prepare_store(self.settings.tracking_uri, self.settings.mlflow_dir)
        return MlflowRegistry(self.settings.tracking_uri)

    @property
    def ledger(self) -> LakeLedger:
        """The ledger in the lake."""
        return LakeLedger(self.settings)

    @property
    def gate(self) -> Gate:
        """All operations on champions."""
        return Gate(self.settings.home, self.ledger, self.registry)


def judge_cycle(
    settings: Settings,
    model: Kind,
    progress: Progress,
    dagster_run_id: str = "",
    learnt_from: Source | None = None,
) -> Verdict:
    """Judge the best candidate of the newest cycle (of one kind) and act on the decision.

    A candidate that was decided already is shown with `fresh` false, unless evidence failed to compute then, or policy
    or code are others now. Raises UserError when nothing was ever trained, BundleError when the candidate's files are
    not whole, and what `Gate.judge` raises.
    """
    cycle = latest_cycle(settings, model, learnt_from)
    if learnt_from is None and cycle is not None and cycle.skipped and cycle.learnt_from == "feedback":
        cycle = latest_cycle(settings, model, "data")
    if cycle is None and learnt_from == "feedback":
        return Verdict.skipped(model, "nothing was trained from feedback yet")
    if cycle is None:
        raise UserError(f"no {model} was trained yet; `tidegate run` or the job train_{model} does that")
    if cycle.skipped:
        return Verdict.skipped(model, cycle.skipped)
    desk = Desk(settings)
    best = open_bundle(cycle.bundle_path(cycle.best), model)
    policy, rows = load_policy(model), of_model(desk.ledger.rows(), model)
    decided = _decided(rows, best.digest, policy)
    if decided is not None:
        return Verdict(decided, fresh=False, later=_said_since(rows, decided))
    champion = succession(rows).champion
    if cycle.learnt_from == "feedback" and (champion is None or champion.digest != cycle.champion):
        if learnt_from is None:
            return judge_cycle(settings, model, progress, dagster_run_id, "data")
        return Verdict.skipped(model, f"cycle {cycle.cycle_id} learnt from feedback on an earlier champion")
    run_id = cycle.runs[cycle.best]
    version = desk.registry.register(
        model, best.path, run_id, lake_snapshot=cycle.snapshot, dagster_run_id=dagster_run_id
    )
    with tempfile.TemporaryDirectory(prefix="tidegate-gate-") as folder:
        candidate = Subject(version, run_id, _fetched(desk, model, version, best, Path(folder)))
        return _judged(desk, policy, cycle, candidate, champion, progress)


def _judged(
    desk: Desk, policy: Policy, cycle: Cycle, candidate: Subject, champion: Reign | None, progress: Progress
) -> Verdict:
    known = _champion(desk, policy.model, champion) if champion is not None else None
    snapshot = champion.lake_snapshot if champion is not None else 0
    collector = Collector(desk.settings, policy.model, policy, cycle, candidate, known, snapshot, progress)
    evidence = collector.collect()
    if collector.pages:
        desk.registry.attach(candidate.run_id, collector.pages)
    for name, columns in collector.tables.items():
        desk.registry.attach_table(candidate.run_id, name, columns)
    return Verdict(desk.gate.judge(evidence).row, pages=tuple(sorted(collector.pages)))


def _decided(rows: list[Row], digest: str, policy: Policy) -> Row | None:
    """The last decision about a bundle, if this policy and this code made it and its evidence was all there."""
    mine = [
        row
        for row in rows
        if row["evidence"]["bundle"]["digest"] == digest and row["evidence"].get("evidence") is not None
    ]
    if not mine:
        return None
    row = mine[-1]
    same = (row["policy_digest"], row["evidence"]["code"]) == (policy.digest, code_digest())
    return row if same and not row["evidence"]["evidence"]["failures"] else None


def _said_since(rows: list[Row], decided: Row) -> tuple[str, ...]:
    """People's words about the bundle of a decision since it was made."""
    digest = decided["evidence"]["bundle"]["digest"]
    words = [row for row in rows if row["seq"] > decided["seq"] and row["action"] in ("reject", "rollback")]
    return tuple(
        str(row["reasons"][0])
        for row in words
        if (row["evidence"].get("rolled_back") or row["evidence"]["bundle"])["digest"] == digest
    )


def _fetched(desk: Desk, model: Kind, version: str, expected: Bundle, folder: Path) -> Bundle:
    """The candidate as the registry has it: what is judged is what would be promoted."""
    desk.registry.fetch(model, version, folder)
    bundle = open_bundle(folder, model)
    if bundle.digest != expected.digest:
        raise UserError(
            f"the registry's copy of {model} version {version} is another bundle than was trained"
        )
    return bundle


def _champion(desk: Desk, model: Kind, reign: Reign) -> Subject:
    def fetch(folder: Path) -> None:
        desk.registry.fetch(model, reign.version, folder)

    return Subject(reign.version, reign.run_id, materialise(desk.settings.home, reign.digest, fetch))


def approve(settings: Settings, model: Kind, version: str, name: str) -> str:
    """Decide again on the evidence recorded for `version` with `name`'s approval; what was decided, in one line.

    Raises UserError for a version that was never judged or is champion.
    """
    return Desk(settings).gate.approve(model, version, name).line()


def reject(settings: Settings, model: Kind, version: str, name: str, why: str) -> str:
    """Record that `name` does not want `version`. Raises UserError as `approve`, and without a reason."""
    return f"{model}: " + str(Desk(settings).gate.reject(model, version, name, why)["reasons"][0])


def rollback(settings: Settings, model: Kind, who: str, why: str) -> str:
    """Make the previous champion champion again. Raises UserError when there is none."""
    return f"{model}: " + str(Desk(settings).gate.rollback(model, who, why)["reasons"][0])


def reconcile_registry(settings: Settings, progress: Progress) -> None:
    """Complete from the ledger what a killed promotion left undone, and say what it was."""
    desk = Desk(settings)
    if desk.ledger.rows():
        for line in desk.gate.reconcile():
            progress(line)


def act_on_reviews(settings: Settings) -> list[str]:
    """Carry out reviewers' tags on model versions: `gate.approve` = name, `gate.reject` = `name: reason`.

    A tag is taken off when it was answered, and `gate.answered` says how. Returns the answers, a line each.
    """
    desk, done = Desk(settings), []
    for model in KINDS:
        for entry in _tagged(desk, model):
            answer = _answer(desk, model, entry)
            desk.registry.set_tags(model, str(entry.version), {ANSWERED: answer})
            for tag in (APPROVE, REJECT):
                if tag in entry.tags:
                    desk.registry.delete_tag(model, str(entry.version), tag)
            done.append(answer)
    return done


def _tagged(desk: Desk, model: Kind) -> "list[ModelVersion]":
    found = desk.registry.versions(model)
    return [entry for entry in found if APPROVE in entry.tags or REJECT in entry.tags]


def _answer(desk: Desk, model: Kind, entry: "ModelVersion") -> str:
    version = str(entry.version)
    try:
        if REJECT in entry.tags:
            name, _, why = entry.tags[REJECT].partition(":")
            return reject(desk.settings, model, version, name, why)
        return approve(desk.settings, model, version, entry.tags[APPROVE])
    except RegistryBehindError:
        raise
    except UserError as error:
        return f"{model} version {version}: {error}"

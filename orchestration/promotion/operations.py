"""Everything that changes who is champion: judge, approve, reject, roll back, reconcile; one at a time.

Under one lock a decision is made on the ledger as it is now, the bundle is laid down, a row is appended, and only then
follows what is derived from the row. A crash after the row leaves derived things behind; the next operation, or
`reconcile`, makes them again. A crash before it leaves nothing that anyone reads.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from orchestration.promotion.decide import Decision, decide
from orchestration.promotion.evidence import Approval, Evidence, ModelFacts, from_json, to_json
from orchestration.promotion.follow import follow_registry, follow_server, lay_down
from orchestration.promotion.ledger import Ledger, Reign, Row, facts, of_model, succession
from orchestration.promotion.policy import Policy, load_policy
from orchestration.promotion.publish import sweep
from orchestration.promotion.registry import Registry
from training.errors import UserError
from training.tracking import code_digest

_LOCK_SECONDS = 120.0


class RegistryBehindError(UserError):
    """The ledger has the decision and the server follows it, but the registry could not be told."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Outcome:
    """What was decided, and the ledger's row that says so."""

    decision: Decision
    row: Row

    def line(self) -> str:
        """One line for a person."""
        decision = self.decision
        return f"{decision.model} version {decision.version}: {decision.decision}. {decision.reasons[0]}"


@dataclass(frozen=True)
class Gate:
    """The gate of one home. Operations wait for each other, also across processes."""

    home: Path
    ledger: Ledger
    registry: Registry
    policies: Callable[[str], Policy] = load_policy
    clock: Callable[[], datetime] = _now

    def judge(self, evidence: Evidence, *, actor: str = "gate") -> Outcome:
        """Decide on `evidence` against the ledger as it is now, record the decision and act on it.

        Raises UserError when another promotion does not end, BundleError when the registry's copy of the bundle is not
        the candidate, RegistryBehindError when the registry fails after the row, ValueError for evidence without a
        model or a candidate. Nothing is promoted unless the ledger has the row.
        """
        return self._decide(evidence, "", actor, "")

    def approve(self, model: str, version: str, actor: str, why: str = "") -> Outcome:
        """Decide again on the evidence recorded for `version`, with a person's approval of its bundle.

        Raises UserError for a version that was never judged or is champion, or without a name; else as `judge`.
        """
        row = self._recorded(model, version, actor)
        evidence = from_json(json.dumps(row["evidence"]["evidence"]))
        digest = evidence.candidate.digest if evidence.candidate else None
        approval = Approval(actor=actor.strip(), at=self.clock(), digest=digest, why=why.strip() or None)
        return self._decide(replace(evidence, approval=approval), "approve", actor.strip(), why.strip())

    def reject(self, model: str, version: str, actor: str, why: str) -> Row:
        """Record that a person does not want `version`: its bundle is not promoted without a later approval.

        Raises UserError for a version that was never judged or is champion, or without a name or a reason.
        """
        recorded = self._recorded(model, version, actor)
        if not why.strip():
            raise UserError("a rejection needs a reason")
        with self._exclusive() as rows:
            before = self._champion(rows, model)
            reason = f"Version {version} was rejected by {actor.strip()}: {why.strip()}"
            return self._append(rows, _word(recorded, before, ("reject", "hold"), actor, why, reason))

    def rollback(self, model: str, actor: str, why: str = "") -> Row:
        """Make the previous champion champion again and record who asked and why.

        Raises UserError when there is no previous champion or no name, BundleError when the previous bundle is lost.
        """
        if not actor.strip():
            raise UserError("a rollback needs the name of who asks for it")
        with self._exclusive() as rows:
            mine = of_model(rows, model)
            line = succession(mine)
            champion, previous = line.champion, line.previous
            if champion is None:
                raise UserError(f"{model} has no champion that could be rolled back")
            if previous is None:
                raise UserError(
                    f"{model} has no previous champion to roll back to; version {champion.version} stays"
                )
            lay_down(self.home, self.registry, model, previous.version, previous.digest)
            versions = [row for row in mine if row["version"] == previous.version]
            made = [row for row in versions if row["decision"] == "promote"][-1]
            told = f": {why.strip()}" if why.strip() else ""
            reason = (
                f"Version {champion.version} was rolled back to {previous.version} by {actor.strip()}{told}"
            )
            row = _word(made, champion, ("rollback", "rollback"), actor, why, reason)
            row["champion_after"] = previous.version
            row["evidence"]["rolled_back"] = {"version": champion.version, "digest": champion.digest}
            return self._append(rows, row)

    def reconcile(self) -> list[str]:
        """Make pointer, bundles, aliases, reports and tags what the ledger says; returns what had to be done."""
        with self._locked():
            rows = self.ledger.rows()
            done = [*sweep(self.home), *follow_server(self.home, self.registry, rows)]
            return done + follow_registry(self.registry, rows)

    def _decide(self, evidence: Evidence, action: str, actor: str, why: str) -> Outcome:
        model, candidate = evidence.model, evidence.candidate
        if model is None or candidate is None:
            raise ValueError("evidence without a model or a candidate cannot be recorded")
        policy = self.policies(model)
        with self._exclusive() as rows:
            now = self.clock()
            known = facts(of_model(rows, model), candidate.digest, now)
            evidence = replace(evidence, decided_at=now, ledger=known)
            decision = decide(evidence, policy)
            if decision.decision == "promote" and candidate.version and candidate.digest:
                lay_down(self.home, self.registry, model, candidate.version, candidate.digest)
            row = {
                "model": model,
                "version": candidate.version,
                "run_id": candidate.run_id,
                "decision": decision.decision,
                "action": action or decision.decision,
                "champion_before": known.champion_version,
                "champion_after": candidate.version
                if decision.decision == "promote"
                else known.champion_version,
                "reasons": list(decision.reasons),
                "policy_digest": decision.policy_digest,
                "evidence": _envelope(evidence, candidate, decision),
                "actor": actor,
                "why": why,
            }
            return Outcome(decision, self._append(rows, row))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.home / "promotion.lock")
        try:
            lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout as error:
            raise UserError("another promotion is still going on; try again when it has ended") from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _exclusive(self) -> Iterator[list[Row]]:
        """Hold the promotion lock and yield all rows of the ledger."""
        with self._locked():
            yield self.ledger.rows()

    @staticmethod
    def _champion(rows: list[Row], model: str) -> Reign | None:
        return succession(of_model(rows, model)).champion

    def _append(self, rows: list[Row], row: Row) -> Row:
        """Append a row, then let server and registry follow."""
        row = row | {"decided_at": self.clock()}
        row["seq"] = self.ledger.append(row, rows[-1]["seq"] if rows else 0)
        rows = [*rows, row]
        follow_server(self.home, self.registry, rows)
        try:
            follow_registry(self.registry, rows)
        except Exception as error:
            # Whatever a registry raises, the decision stands; it is told here and made up for by `reconcile`.
            raise RegistryBehindError(
                f"{row['model']} version {row['version']}: {row['action']} is recorded and the server follows it, "
                f"but the registry could not be told ({error}); the next run makes up for it"
            ) from error
        return row

    def _recorded(self, model: str, version: str, actor: str) -> Row:
        """The last row with evidence about a version that a person may speak about."""
        if not actor.strip():
            raise UserError("an approval or a rejection needs the name of who gives it")
        mine = of_model(self.ledger.rows(), model)
        rows = [row for row in mine if row["version"] == version and row["evidence"].get("evidence")]
        if not rows:
            raise UserError(
                f"{model} version {version} was never judged, so there is nothing to say about it"
            )
        champion = succession(mine).champion
        if champion is not None and champion.version == version:
            raise UserError(
                f"{model} version {version} is the champion; `tidegate rollback {model}` takes it back"
            )
        return rows[-1]


def _word(
    recorded: Row, champion: Reign | None, said: tuple[str, str], actor: str, why: str, reason: str
) -> Row:
    """A row for a person's word, `said` being action and decision: it names the bundle and repeats no evidence."""
    before = champion.version if champion else None
    return {
        "model": recorded["model"],
        "version": recorded["version"],
        "run_id": recorded["run_id"],
        "action": said[0],
        "decision": said[1],
        "champion_before": before,
        "champion_after": before,
        "reasons": [reason if reason.endswith((".", "。", "!", "?")) else f"{reason}."],
        "policy_digest": recorded["policy_digest"],
        "evidence": {"bundle": dict(recorded["evidence"]["bundle"])},
        "actor": actor.strip(),
        "why": why.strip(),
    }


def _envelope(evidence: Evidence, candidate: ModelFacts, decision: Decision) -> dict[str, Any]:
    """What the ledger keeps beside the columns: the bundle, every check, and the evidence to decide again."""
    return {
        "bundle": {
            "digest": candidate.digest,
            "name": candidate.name,
            "lake_snapshot": candidate.lake_snapshot,
            "trained_until": candidate.trained_until.isoformat() if candidate.trained_until else None,
        },
        "decision": decision.to_dict(),
        "code": code_digest(),
        "evidence": json.loads(to_json(evidence)),
    }

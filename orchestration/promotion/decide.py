"""The gate: a pure function from evidence and policy to a decision with its reasons.

It fails closed. A `hold` is final whatever a person says; a `review` becomes a `promote` by a valid approval of this
very bundle; there is no force flag. Taking evidence away can only make a decision stricter (tested as a property).
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from orchestration.promotion import checks, checks_data, checks_feedback, checks_reach
from orchestration.promotion.checks import Check
from orchestration.promotion.evidence import Evidence
from orchestration.promotion.policy import Policy

Verdict = Literal["promote", "hold", "review"]


@dataclass(frozen=True)
class Decision:
    """What the gate decided and why. `reasons` are the sentences that decided; `checks` are all of them."""

    decision: Verdict
    reasons: tuple[str, ...]
    checks: tuple[Check, ...]
    policy_digest: str
    evidence_digest: str
    decided_at: datetime | None
    model: str | None
    version: str | None
    approved_by: str | None = None
    retrain: bool = False
    """Whether the champion's training window has drifted from the latest one."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        value = asdict(self)
        value["decided_at"] = self.decided_at.isoformat() if self.decided_at else None
        value["reasons"], value["checks"] = list(self.reasons), list(value["checks"])
        return value


def decide(evidence: Evidence, policy: Policy) -> Decision:
    """Judge a candidate. Never raises on evidence, however broken: what cannot be read holds."""
    approval = evidence.approval
    refused = checks.approval_gaps(approval, evidence, policy) if approval is not None else []
    approved = approval is not None and not refused
    found = tuple(_checks(evidence, policy, approved=approved, refused=refused))
    holds = [check for check in found if check.outcome == "hold"]
    reviews = [check for check in found if check.outcome == "review"]
    verdict: Verdict = "promote"
    deciding = [check for check in found if check.outcome == "pass"]
    if holds:
        verdict, deciding = "hold", holds
    elif reviews and not approved:
        verdict, deciding = "review", reviews
    elif reviews:
        deciding = [*reviews, *deciding]
    return Decision(
        decision=verdict,
        reasons=tuple(check.reason for check in deciding),
        checks=found,
        policy_digest=policy.digest,
        evidence_digest=evidence.digest,
        decided_at=evidence.decided_at,
        model=evidence.model,
        version=evidence.candidate.version if evidence.candidate else None,
        approved_by=approval.actor if approval is not None and approved else None,
        retrain=checks_data.wants_retraining(evidence, policy),
    )


def _checks(evidence: Evidence, policy: Policy, *, approved: bool, refused: list[str]) -> Iterator[Check]:
    yield from checks.identity(evidence, policy)
    yield from checks.standing(evidence, approved)
    yield checks.champion(evidence, policy)
    yield checks_feedback.preferences(evidence, policy)
    yield from checks.baselines(evidence, policy)
    yield from checks.slices(evidence, policy)
    yield from checks_reach.reach(evidence, policy)
    yield from checks_data.candidate_drift(evidence, policy)
    yield checks_data.champion_drift(evidence, policy)
    yield checks_data.disagreement(evidence, policy)
    yield checks_data.contracts(evidence, policy)
    yield from checks_data.safety(evidence, policy)
    yield checks_data.serving(evidence, policy)
    yield from _approval(evidence, policy, approved=approved, refused=refused)


def _approval(evidence: Evidence, policy: Policy, *, approved: bool, refused: list[str]) -> Iterator[Check]:
    """A person's word, where it was given or is asked for."""
    approval = evidence.approval
    if approval is not None and approved:
        told = f": {approval.why}" if approval.why else ""
        reason = f"This bundle was approved by {approval.actor} on {approval.at:%Y-%m-%d %H:%M} UTC{told}."
        yield Check(1, "approval", "pass", reason)
    elif refused:
        yield Check(1, "approval", "review", f"The approval does not count: {checks.listed(refused)}.")
    elif policy.approval.required:
        yield Check(1, "approval", "review", "The policy asks for a person's approval of every promotion.")

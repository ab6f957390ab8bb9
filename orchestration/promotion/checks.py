"""The gate's single checks: each takes evidence and policy and says pass, hold, review or skipped, in a sentence.

Numbered by the eight points of the design. No check looks at a number before `gaps` found nothing missing around it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from orchestration.promotion.evidence import (
    Approval,
    Comparison,
    Evidence,
    LedgerFacts,
    ModelFacts,
    gaps,
)
from orchestration.promotion.policy import ComparisonPolicy, Policy, PreferencePolicy

Outcome = Literal["pass", "hold", "review", "skipped"]

_CLOCK_SKEW = timedelta(minutes=5)
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Check:
    """One line of a decision: the design's point (1 to 8), a name, the outcome and why."""

    point: int
    name: str
    outcome: Outcome
    reason: str


def listed(names: list[str], limit: int = 5) -> str:
    """The first few names and how many more there are."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def missing(point: int, name: str, found: list[str]) -> Check:
    """A hold for evidence that is not all there."""
    return Check(point, name, "hold", f"Evidence is incomplete: {listed(found)}.")


def age_gap(computed_at: datetime | None, now: datetime, limit_hours: float, what: str) -> str | None:
    """A phrase when evidence is older than the limit or from the future, else None. Instants have zones by now."""
    if computed_at is None:
        return None
    age = now - computed_at
    if age > timedelta(hours=limit_hours):
        return f"{what} is stale: it is {age / timedelta(hours=1):.1f} hours old, {limit_hours:g} are allowed"
    if age < -_CLOCK_SKEW:
        return f"{what} is dated {-age / timedelta(minutes=1):.0f} minutes in the future"
    return None


def unfit(part: Any, what: str, evidence: Evidence, policy: Policy) -> list[str]:
    """Everything that keeps `part` from being read: gaps, age, or another bundle than the candidate's."""
    found = gaps(part, what)
    if found or part is None:
        return found
    now, candidate = evidence.decided_at, evidence.candidate
    if now is None or now.utcoffset() is None or candidate is None or gaps(candidate, "candidate"):
        return [f"{what} cannot be placed without the candidate and the time of the decision"]
    stale = age_gap(part.computed_at, now, policy.evidence.max_age_hours, what)
    found = [stale] if stale else []
    digest = getattr(part, "candidate_digest", candidate.digest)
    if digest != candidate.digest:
        found.append(f"{what} is about bundle {short(digest)}, not the candidate {short(candidate.digest)}")
    return found


def short(digest: str | None) -> str:
    """The first twelve characters of a digest."""
    return (digest or "none")[:12]


def identity(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    """Points 1 and 2: who is judged, when, against which ledger, and did anything fail to compute."""
    name = "evidence"
    failed = [f"{failure.part}: {failure.error}" for failure in evidence.failures]
    if failed:
        yield Check(1, name, "hold", f"Evidence failed to compute: {listed(failed)}.")
    found = gaps(evidence.candidate, "candidate") + gaps(evidence.ledger, "ledger")
    found += [] if evidence.model else ["model is missing"]
    if evidence.decided_at is None or evidence.decided_at.utcoffset() is None:
        found.append("decided_at is missing or has no time zone")
    if found:
        yield missing(1, name, found)
    candidate = evidence.candidate
    if evidence.model is not None and evidence.model != policy.model:
        yield Check(1, name, "hold", f"The policy is for {policy.model}, the evidence for {evidence.model}.")
    if not found and evidence.ledger is not None and evidence.decided_at is not None:
        yield _ledger(evidence, evidence.ledger, evidence.decided_at, policy)
    if candidate is not None and candidate.verified is False:
        yield Check(
            2,
            "bundle",
            "hold",
            f"Bundle {short(candidate.digest)} did not match its manifest when read again.",
        )
    elif candidate is not None and candidate.verified:
        yield Check(
            2, "bundle", "pass", f"Bundle {short(candidate.digest)} was read again and matches its manifest."
        )


def _ledger(evidence: Evidence, ledger: LedgerFacts, now: datetime, policy: Policy) -> Check:
    stale = age_gap(ledger.read_at, now, policy.evidence.max_age_hours, "the ledger's state")
    if stale:
        return Check(1, "ledger", "hold", f"Evidence does not fit: {stale}.")
    if not ledger.has_champion:
        if evidence.champion is not None:
            reason = "The evidence compares with a champion, but the ledger has none: it is stale."
            return Check(1, "ledger", "hold", reason)
        return Check(1, "ledger", "pass", "The ledger has no champion yet; the candidate would be the first.")
    found = gaps(evidence.champion, "champion")
    found += [
        f"ledger.{part} is missing"
        for part in ("champion_version", "champion_digest")
        if not getattr(ledger, part)
    ]
    if found or evidence.champion is None:
        return missing(1, "ledger", found)
    if evidence.champion.digest != ledger.champion_digest:
        reason = (
            f"The evidence was computed against champion version {evidence.champion.version} "
            f"({short(evidence.champion.digest)}), but the ledger's champion is version {ledger.champion_version} "
            f"({short(ledger.champion_digest)}): it is stale."
        )
        return Check(1, "ledger", "hold", reason)
    return Check(
        1, "ledger", "pass", f"The champion is version {ledger.champion_version}, as in the evidence."
    )


def standing(evidence: Evidence, approved: bool) -> Iterator[Check]:
    """What people said about this bundle before: a champion needs no promotion, a rejected one needs a person."""
    ledger, candidate = evidence.ledger, evidence.candidate
    if ledger is None or candidate is None or ledger.standing in (None, "new"):
        return
    if ledger.standing == "champion":
        reason = f"Bundle {short(candidate.digest)} is the champion already; there is nothing to promote."
        yield Check(1, "standing", "hold", reason)
        return
    what = "rolled back" if ledger.standing == "rolled_back" else "rejected"
    when = f" on {ledger.standing_since:%Y-%m-%d %H:%M} UTC" if ledger.standing_since else ""
    why = f" ({ledger.standing_why})" if ledger.standing_why else ""
    reason = f"Bundle {short(candidate.digest)} was {what}{when}{why}; a person has to approve it."
    yield Check(1, "standing", "pass" if approved else "review", reason)


def approval_gaps(approval: Approval, evidence: Evidence, policy: Policy) -> list[str]:
    """Why an approval does not count; empty when it does."""
    found = gaps(approval, "approval")
    now, candidate = evidence.decided_at, evidence.candidate
    if found or now is None or now.utcoffset() is None or candidate is None or approval.at is None:
        return found or ["the approval cannot be checked without the candidate and the time"]
    stale = age_gap(approval.at, now, policy.evidence.approval_max_age_hours, "the approval")
    found = [stale] if stale else []
    if approval.digest != candidate.digest:
        found.append(f"the approval is for bundle {short(approval.digest)}, not {short(candidate.digest)}")
    since = evidence.ledger.standing_since if evidence.ledger else None
    if since is not None and since.utcoffset() is not None and approval.at <= since:
        found.append("the approval is older than the bundle's rejection or rollback")
    return found


def beats(
    part: Comparison | None,
    what: str,
    evidence: Evidence,
    policy: Policy,
    least: float,
    units: int,
    point: int = 3,
    wanted: ComparisonPolicy | PreferencePolicy | None = None,
) -> Check:
    """The candidate's gain over another model is surely above `least`, on enough units, on data that neither has
    seen. `wanted` names metric and confidence: the policy's comparison, unless given.
    """
    found = unfit(part, what, evidence, policy)
    if found or part is None:
        return missing(point, what, found)
    wanted = wanted or policy.comparison
    if part.metric != wanted.metric:
        return Check(
            point, what, "hold", f"The {what} is in {part.metric}; the policy asks for {wanted.metric}."
        )
    confidence, size = part.confidence or 0.0, part.n_units or 0
    if confidence < wanted.confidence:
        reason = f"The {what} has a {confidence:.0%} interval; the policy asks for {wanted.confidence:.0%}."
        return Check(point, what, "hold", reason)
    leak = _leak(part, evidence.candidate, of_feedback=isinstance(wanted, PreferencePolicy))
    if leak:
        return Check(point, what, "hold", leak)
    if size < units:
        return Check(point, what, "hold", f"The {what} rests on {size} units; {units} are needed.")
    gain, low, high = part.gain or 0.0, part.low or 0.0, part.high or 0.0
    if not low - _ROUNDING <= gain <= high + _ROUNDING:
        reason = f"The {what} has a gain of {gain:+.4f} outside its own interval [{low:+.4f}, {high:+.4f}]."
        return Check(point, what, "hold", reason)
    numbers = (
        f"{part.metric} {part.candidate_mean:.4f} against {part.other_mean:.4f} of {part.other_name}, gain {gain:+.4f} "
        f"[{low:+.4f}, {high:+.4f}] over {size} units"
    )
    kind = "better" if least >= 0 else "no worse than allowed"
    if low > least:
        return Check(
            point, what, "pass", f"The candidate is {kind}: {numbers}; the lower end is above {least:g}."
        )
    return Check(
        point,
        what,
        "hold",
        f"The candidate is not surely {kind}: {numbers}; the lower end must be above {least:g}.",
    )


def _leak(part: Comparison, candidate: ModelFacts | None, *, of_feedback: bool) -> str | None:
    """A sentence when a model has seen the window it is scored on: documents or events, or feedback."""
    if candidate is None or part.window_start is None:
        return None
    until = candidate.feedback_until if of_feedback else candidate.trained_until
    known = (("candidate", until), (part.other_name, part.other_trained_until))
    for name, until in known:
        if until is not None and until > part.window_start:
            return (
                f"The {name} was trained until {until:%Y-%m-%d %H:%M}, after the window's start "
                f"{part.window_start:%Y-%m-%d %H:%M}: it has seen what it is scored on."
            )
    return None


def least_gain(evidence: Evidence, policy: Policy) -> float:
    """What the candidate must surely gain on the champion.

    One that was trained from feedback must not have forgotten more than the margin. A champion that was may have given
    as much for what people prefer, so who learnt from data alone takes its place only by winning more than that.
    """
    wanted, candidate, champion = policy.preferences, evidence.candidate, evidence.champion
    if wanted is not None and candidate is not None and candidate.learnt_from == "feedback":
        return -wanted.forgetting_margin
    if wanted is not None and champion is not None and champion.learnt_from == "feedback":
        return max(policy.comparison.min_gain, wanted.forgetting_margin)
    return policy.comparison.min_gain


def champion(evidence: Evidence, policy: Policy) -> Check:
    """Point 3: against the champion, where there is one."""
    what = "comparison with the champion"
    ledger = evidence.ledger
    if ledger is not None and ledger.has_champion is False:
        return Check(3, what, "skipped", "There is no champion yet; the candidate has to beat the baselines.")
    check = beats(
        evidence.versus_champion,
        what,
        evidence,
        policy,
        least_gain(evidence, policy),
        policy.comparison.min_units,
    )
    part, facts = evidence.versus_champion, evidence.champion
    if check.outcome == "pass" and part and facts and part.other_digest != facts.digest:
        reason = (
            f"The {what} is about bundle {short(part.other_digest)}, not the champion {short(facts.digest)}."
        )
        return Check(3, what, "hold", reason)
    return check


def baselines(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    """Point 3: against every cheap baseline of the training cycle, and so against the strongest."""
    what = "baselines"
    expected, parts = evidence.expected_baselines, evidence.versus_baselines
    if expected is None or parts is None:
        absent = ["expected_baselines"] * (expected is None) + ["versus_baselines"] * (parts is None)
        yield missing(3, what, [f"{name} is missing" for name in absent])
        return
    given = [part.other_name for part in parts]
    absent = sorted((set(expected) | set(policy.comparison.baselines)) - set(given))
    if absent:
        yield missing(3, what, [f"the comparison with baseline {name} is missing" for name in absent])
    strange = [str(name) for name in given if name not in expected]
    if strange:
        yield Check(3, what, "hold", f"Baselines that the training cycle does not know: {listed(strange)}.")
    for part in parts:
        name = f"comparison with baseline {part.other_name}"
        wanted = policy.comparison
        yield beats(part, name, evidence, policy, wanted.baseline_min_gain, wanted.min_units)


def strongest_baseline(evidence: Evidence, policy: Policy) -> Comparison | None:
    """The baseline with the best mean on the window, or None."""
    known = [part for part in evidence.versus_baselines or () if part.other_mean is not None]
    sign = 1 if policy.comparison.higher_is_better else -1
    return max(known, key=lambda part: sign * (part.other_mean or 0.0), default=None)


def rival(evidence: Evidence, policy: Policy) -> tuple[str, Comparison | None]:
    """Whom slices and latest window are judged against: the champion, or at first the strongest baseline."""
    if evidence.ledger is not None and evidence.ledger.has_champion is False:
        return "the strongest baseline", strongest_baseline(evidence, policy)
    return "the champion", evidence.versus_champion


def slices(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    """Point 4: no slice with enough units loses more than the margin; a dimension's slices hold all rows."""
    what = "slices"
    part = evidence.slices
    whom, comparison = rival(evidence, policy)
    found = unfit(part, what, evidence, policy)
    if found or part is None or part.slices is None:
        yield missing(4, what, found)
        return
    if comparison is None or part.other_digest != comparison.other_digest:
        yield Check(4, what, "hold", f"The slices are not judged against {whom}.")
        return
    if part.n_rows != comparison.n_rows or (part.confidence or 0) < policy.slices.confidence:
        reason = (
            f"The slices rest on {part.n_rows} rows at {part.confidence:.0%}; {comparison.n_rows} rows at "
            f"{policy.slices.confidence:.0%} are needed."
        )
        yield Check(4, what, "hold", reason)
    for dimension in policy.slices.dimensions:
        yield _dimension(dimension, evidence, policy, whom)


def _dimension(dimension: str, evidence: Evidence, policy: Policy, whom: str) -> Check:
    name = f"slices by {dimension}"
    part, wanted = evidence.slices, policy.slices
    entries = [entry for entry in (part.slices if part else None) or () if entry.dimension == dimension]
    rows = sum(entry.n_rows or 0 for entry in entries)
    if not entries or part is None or rows != part.n_rows:
        total = part.n_rows if part else None
        return Check(4, name, "hold", f"The slices by {dimension} hold {rows} of the {total} scored rows.")
    judged = [entry for entry in entries if (entry.n_units or 0) >= wanted.min_units]
    few = sorted(str(entry.value) for entry in entries if entry not in judged)
    aside = f" Not judged, below {wanted.min_units} units: {listed(few)}." if few else ""
    worse = []
    for entry in judged:
        allowed = max(wanted.margin, wanted.relative_margin * abs(entry.other_mean or 0.0))
        if not (entry.low or 0.0) >= -allowed:
            worse.append(
                f"{entry.value} (gain {entry.gain:+.4f} [{entry.low:+.4f}, {entry.high:+.4f}] over {entry.n_units} "
                f"units, loss allowed {allowed:.4f})"
            )
    if worse:
        reason = f"By {dimension}, the candidate may be worse than {whom} in {listed(worse)}.{aside}"
        return Check(4, name, "hold", reason)
    reason = f"By {dimension}, none of {len(judged)} slices is worse than {whom} beyond the margin.{aside}"
    return Check(4, name, "pass", reason)

"""The gate's checks on whom the lists show (point 4): small authors keep their exposure, and it stays spread."""

from collections.abc import Iterator

from orchestration.promotion.checks import Check, missing, short, unfit
from orchestration.promotion.evidence import (
    EXPOSURE_DUE,
    EXPOSURE_SMALL,
    GINIS,
    Comparison,
    Evidence,
    ReachEvidence,
    ReachMeasure,
)
from orchestration.promotion.policy import Policy, ReachPolicy

_WHAT = "reach"


def reach(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    """Point 4: against the champion, on the rows that both were scored on, with enough users."""
    wanted = policy.reach
    if wanted is None:
        yield Check(4, _WHAT, "skipped", f"The policy of the {policy.model} does not limit reach.")
        return
    if evidence.ledger is not None and evidence.ledger.has_champion is False:
        yield Check(4, _WHAT, "skipped", "There is no champion whose exposure of authors could be lost.")
        return
    part = evidence.reach
    found = unfit(part, _WHAT, evidence, policy)
    digest = evidence.champion.digest if evidence.champion else None
    if not found and part is not None and part.champion_digest != digest:
        found = [f"{_WHAT} is about bundle {short(part.champion_digest)}, not the champion"]
    if found or part is None:
        yield missing(4, _WHAT, found)
        return
    problem = _basis(part, evidence.versus_champion, wanted)
    if problem:
        yield Check(4, _WHAT, "hold", problem)
        return
    yield _spread(part, "gini_posts", wanted)
    if part.n_authors == 0:
        yield Check(
            4, "reach of authors", "skipped", "No author of the posts is known, so none can be judged."
        )
        return
    yield _spread(part, "gini_authors", wanted)
    yield _small_authors(part, wanted)


def _basis(part: ReachEvidence, scored: Comparison | None, wanted: ReachPolicy) -> str | None:
    """A sentence when the evidence rests on too little."""
    if scored is None:
        return "The reach cannot be placed without the comparison with the champion."
    rows = scored.n_rows
    if part.n_rows != rows or (part.confidence or 0) < wanted.confidence:
        return (
            f"The reach rests on {part.n_rows} rows at {part.confidence:.0%}; {rows or 0} rows at "
            f"{wanted.confidence:.0%} are needed."
        )
    if (part.n_units or 0) < wanted.min_units:
        return f"The reach rests on {part.n_units} users; {wanted.min_units} are needed."
    return None


def _named(part: ReachEvidence, name: str) -> ReachMeasure | None:
    """The measure called `name`; None unless there is exactly one, so a good double cannot hide a bad one."""
    found = [measure for measure in part.measures or () if measure.name == name]
    return found[0] if len(found) == 1 else None


def _numbers(measure: ReachMeasure) -> str:
    return f"{measure.gain:+.4f} [{measure.low:+.4f}, {measure.high:+.4f}]"


def _small_authors(part: ReachEvidence, wanted: ReachPolicy) -> Check:
    """Non-inferior to the champion, or surely not below what users' own actions give small authors."""
    name = "exposure of small authors"
    against, due = _named(part, EXPOSURE_SMALL), _named(part, EXPOSURE_DUE)
    if against is None or due is None:
        return missing(4, name, [f"reach lacks {EXPOSURE_SMALL} or {EXPOSURE_DUE}, or holds it twice"])
    kept = wanted.min_exposure_ratio_small_authors
    allowed = max(wanted.exposure_margin, (1 - kept) * (against.other_mean or 0.0))
    shares = f"{against.candidate_mean:.4f} of the exposure against {against.other_mean:.4f} by the champion"
    change = f"a change of {_numbers(against)}, loss allowed {allowed:.4f}"
    if (against.low or 0.0) >= -allowed:
        return Check(4, name, "pass", f"Small authors get {shares}: {change}.")
    merit = f"their share of actions is {due.other_mean:.4f}, a difference of {_numbers(due)}"
    if (due.low or 0.0) >= 0.0:
        return Check(
            4, name, "pass", f"Small authors get {shares}, and surely no less than their due: {merit}."
        )
    return Check(4, name, wanted.if_worse, f"Small authors may lose: they get {shares}, {change}; {merit}.")


def _spread(part: ReachEvidence, measure: str, wanted: ReachPolicy) -> Check:
    whose = GINIS[measure]
    name, found = f"spread over {whose}", _named(part, measure)
    if found is None:
        return missing(4, name, [f"reach lacks {measure}, or holds it twice"])
    both = f"{found.candidate_mean:.4f} against {found.other_mean:.4f} by the champion"
    numbers = f"Gini {both}, lower by {_numbers(found)}"
    if (found.low or 0.0) >= -wanted.max_gini_increase:
        return Check(4, name, "pass", f"Exposure spreads over {whose} as before or wider: {numbers}.")
    reason = (
        f"Exposure may concentrate on fewer {whose}: {numbers}; {wanted.max_gini_increase:g} more is allowed."
    )
    return Check(4, name, wanted.if_worse, reason)

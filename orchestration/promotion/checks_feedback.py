"""The gate's check of a candidate that was trained from feedback (point 3): does it prefer what people prefer."""

from orchestration.promotion.checks import Check, beats, missing, short
from orchestration.promotion.evidence import Evidence
from orchestration.promotion.policy import Policy


def preferences(evidence: Evidence, policy: Policy) -> Check:
    """Surely a higher win rate than the champion's on held-out pairs, of enough prompts, that neither has learnt from.

    That it has forgotten nothing is part of the comparison with the champion; see `checks.least_gain`.
    """
    what = "preferences"
    candidate, wanted = evidence.candidate, policy.preferences
    if candidate is None or candidate.learnt_from is None:
        return missing(3, what, ["how the candidate was trained is missing"])
    if candidate.learnt_from == "data":
        return Check(3, what, "skipped", "The candidate was not trained from feedback.")
    if wanted is None:
        reason = f"The policy of the {policy.model} lets nothing be trained from feedback."
        return Check(3, what, "hold", reason)
    if evidence.champion is None:
        return Check(
            3, what, "hold", "There is no champion that the candidate could have learnt to improve on."
        )
    if candidate.feedback_until is None or candidate.feedback_until.utcoffset() is None:
        return missing(3, what, ["the time up to which the candidate has learnt from feedback is missing"])
    part = evidence.preferences
    check = beats(part, what, evidence, policy, wanted.min_gain, wanted.min_units, wanted=wanted)
    if check.outcome == "pass" and part is not None and part.other_digest != evidence.champion.digest:
        digest = short(evidence.champion.digest)
        reason = f"The {what} are against bundle {short(part.other_digest)}, not the champion {digest}."
        return Check(3, what, "hold", reason)
    return check

"""The gate's checks on drift, contracts, safety and serving (points 5 to 8)."""

from collections.abc import Iterator

from orchestration.promotion.checks import Check, beats, least_gain, listed, missing, rival, short, unfit
from orchestration.promotion.evidence import DriftEvidence, Evidence, SafetyMeasure
from orchestration.promotion.policy import Limit, Policy


def _drift_gaps(
    part: DriftEvidence | None, what: str, digest: str | None, evidence: Evidence, policy: Policy
) -> list[str]:
    """What keeps a drift result from being read."""
    found = unfit(part, what, evidence, policy)
    if found or part is None:
        return found
    columns = part.columns or ()
    if part.digest != digest:
        found.append(f"{what} is about bundle {short(part.digest)}, not {short(digest)}")
    if len(columns) != part.n_columns or not columns:
        found.append(f"{what} holds {len(columns)} of {part.n_columns} columns")
    measured = [column for column in columns if column.finding in ("moved", "nulls_moved", "stable")]
    bare = [str(column.name) for column in measured if column.value is None or column.threshold is None]
    if bare:
        found.append(f"{what} lacks the distance of {listed(bare)}")
    return found


def _moved(part: DriftEvidence) -> str:
    return f"{len(part.drifted)} of {part.judged} judged columns moved ({listed([str(c.name) for c in part.drifted])})"


def candidate_drift(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    """Point 5: a candidate whose training window has drifted must win on the latest window alone."""
    what = "drift since the candidate's training"
    part, wanted = evidence.drift_candidate, policy.drift
    digest = evidence.candidate.digest if evidence.candidate else None
    found = _drift_gaps(part, what, digest, evidence, policy)
    if found or part is None:
        yield missing(5, what, found)
        return
    if part.judged < wanted.min_judged:
        reason = (
            f"Only {part.judged} columns have enough data to judge drift; {wanted.min_judged} are needed."
        )
        yield Check(5, what, "hold", reason)
        return
    if len(part.drifted) <= wanted.max_drifted:
        told = _moved(part) if part.drifted else f"none of {part.judged} judged columns moved"
        yield Check(5, what, "pass", f"Since the candidate was trained, {told}.")
        return
    yield Check(
        5, what, "pass", f"Since the candidate was trained, {_moved(part)}: the latest window alone decides."
    )
    yield _latest(evidence, policy, part)


def _latest(evidence: Evidence, policy: Policy, drift: DriftEvidence) -> Check:
    what = "comparison on the latest window"
    whom, comparison = rival(evidence, policy)
    first = evidence.ledger is not None and evidence.ledger.has_champion is False
    least = policy.comparison.baseline_min_gain if first else least_gain(evidence, policy)
    check = beats(evidence.latest, what, evidence, policy, least, policy.drift.latest_min_units, point=5)
    part = evidence.latest
    if check.outcome != "pass" or part is None:
        return check
    if comparison is None or part.other_digest != comparison.other_digest:
        return Check(5, what, "hold", f"The {what} is not against {whom}.")
    if part.window_start and drift.current_start and part.window_start < drift.current_start:
        reason = (
            f"The {what} starts on {part.window_start:%Y-%m-%d %H:%M}, before the latest window "
            f"({drift.current_start:%Y-%m-%d %H:%M})."
        )
        return Check(5, what, "hold", reason)
    return check


def champion_drift(evidence: Evidence, policy: Policy) -> Check:
    """Point 5: drift since the champion's training asks for a retraining; it says nothing against the candidate."""
    what = "drift since the champion's training"
    if evidence.ledger is not None and evidence.ledger.has_champion is False:
        return Check(5, what, "skipped", "There is no champion whose training window could have drifted.")
    part = evidence.drift_champion
    digest = evidence.champion.digest if evidence.champion else None
    found = _drift_gaps(part, what, digest, evidence, policy)
    if found or part is None:
        return missing(5, what, found)
    if wants_retraining(evidence, policy):
        return Check(
            5, what, "pass", f"Since the champion was trained, {_moved(part)}: it is due for retraining."
        )
    told = _moved(part) if part.drifted else f"none of {part.judged} judged columns moved"
    return Check(5, what, "pass", f"Since the champion was trained, {told}.")


def wants_retraining(evidence: Evidence, policy: Policy) -> bool:
    """Whether more columns moved since the champion was trained than the policy lets pass."""
    part = evidence.drift_champion
    return part is not None and len(part.drifted) > policy.drift.max_drifted


def disagreement(evidence: Evidence, policy: Policy) -> Check:
    """Point 5: models that answer very differently are for a person to look at."""
    what = "disagreement with the champion"
    if evidence.ledger is not None and evidence.ledger.has_champion is False:
        return Check(5, what, "skipped", "There is no champion to disagree with.")
    part = evidence.disagreement
    found = unfit(part, what, evidence, policy)
    if (
        not found
        and part is not None
        and evidence.champion
        and part.champion_digest != evidence.champion.digest
    ):
        found = [f"{what} is about bundle {short(part.champion_digest)}, not the champion"]
    if found or part is None:
        return missing(5, what, found)
    limit, value = policy.disagreement.review_above, part.value or 0.0
    numbers = f"{part.measure} is {value:.3f} [{part.low:.3f}, {part.high:.3f}] over {part.n_units} units"
    if value > limit:
        return Check(
            5, what, "review", f"Candidate and champion answer very differently: {numbers}, above {limit:g}."
        )
    return Check(
        5, what, "pass", f"Candidate and champion answer alike enough: {numbers}, at most {limit:g}."
    )


def contracts(evidence: Evidence, policy: Policy) -> Check:
    """Point 6: every critical rule held on the snapshot the candidate was trained on."""
    what = "data contracts"
    part = evidence.contracts
    found = unfit(part, what, evidence, policy)
    if found or part is None or part.results is None:
        return missing(6, what, found)
    snapshot = evidence.candidate.lake_snapshot if evidence.candidate else None
    if part.lake_snapshot != snapshot:
        reason = f"The contracts were checked on snapshot {part.lake_snapshot}; the candidate comes from {snapshot}."
        return Check(6, what, "hold", reason)
    if len(part.results) != part.n_results:
        found.append(f"{what} hold {len(part.results)} of {part.n_results} results")
    ran = {result.suite for result in part.results}
    found += [f"suite {suite} was not checked" for suite in _required(evidence, policy) if suite not in ran]
    if found:
        return missing(6, what, found)
    failed = [result for result in part.results if not result.success]
    critical = [f"{result.suite}.{result.rule}" for result in failed if result.critical]
    if critical:
        return Check(6, what, "hold", f"Critical contracts failed ({len(critical)}): {listed(critical)}.")
    noted = f"; {len(failed)} that are not critical failed" if failed else ""
    return Check(
        6,
        what,
        "pass",
        f"All critical ones of {len(part.results)} contracts hold on snapshot {snapshot}{noted}.",
    )


def _required(evidence: Evidence, policy: Policy) -> tuple[str, ...]:
    """Suites that must have run: of a candidate trained from feedback also those of the feedback."""
    suites, candidate = policy.contracts.required_suites, evidence.candidate
    if policy.preferences is None or candidate is None or candidate.learnt_from != "feedback":
        return suites
    return suites + policy.preferences.required_suites


def safety(evidence: Evidence, policy: Policy) -> Iterator[Check]:
    """Point 7: every measure the policy limits is there and inside its limits."""
    what = "safety"
    if policy.safety is None:
        yield Check(7, what, "skipped", f"The policy of the {policy.model} sets no safety limits.")
        return
    part = evidence.safety
    found = unfit(part, what, evidence, policy)
    if not found and part is not None and evidence.candidate and part.digest != evidence.candidate.digest:
        found = [f"{what} is about bundle {short(part.digest)}, not the candidate"]
    if found or part is None or part.measures is None:
        yield missing(7, what, found)
        return
    for name, limit in policy.safety.items():
        # A measure given twice is judged twice, so a good double cannot hide a bad one.
        given = [measure for measure in part.measures if measure.name == name]
        if not given:
            yield missing(7, f"{what}: {name}", [f"the safety report lacks {name}"])
        for measure in given:
            yield _limited(measure, limit)


def _limited(measure: SafetyMeasure, limit: Limit) -> Check:
    what, value = f"safety: {measure.name}", measure.value if measure.value is not None else float("nan")
    bounds = [f"at least {limit.least:g}"] if limit.least is not None else []
    bounds += [f"at most {limit.most:g}"] if limit.most is not None else []
    allowed = " and ".join(bounds)
    inside = (limit.least is None or value >= limit.least) and (limit.most is None or value <= limit.most)
    if inside:
        return Check(
            7, what, "pass", f"The safety report says {measure.name} is {value:g}; {allowed} is allowed."
        )
    return Check(
        7, what, "hold", f"The safety report says {measure.name} is {value:g}; only {allowed} is allowed."
    )


def serving(evidence: Evidence, policy: Policy) -> Check:
    """Point 8: the real server loaded the bundle and answered the golden requests in time."""
    what = "serving"
    part = evidence.serving
    told = f" ({part.detail})" if part is not None and part.detail else ""
    if part is not None and part.ok is False and part.golden_ok is False and part.p99_ms is None:
        # A server that never answered has no latency; why is more use than what is missing.
        return Check(8, what, "hold", f"The server could not serve the bundle{told}.")
    found = unfit(part, what, evidence, policy)
    if not found and part is not None and evidence.candidate and part.digest != evidence.candidate.digest:
        found = [f"{what} is about bundle {short(part.digest)}, not the candidate"]
    if found or part is None:
        return missing(8, what, found)
    if not part.golden_ok:
        return Check(
            8,
            what,
            "hold",
            f"The server's answers to the golden requests differ from the expected ones{told}.",
        )
    limit, p99 = policy.serving.p99_ms, part.p99_ms if part.p99_ms is not None else float("inf")
    if p99 > limit:
        return Check(
            8,
            what,
            "hold",
            f"Golden requests took {p99:.0f} ms at the 99th percentile; {limit:g} ms are allowed.",
        )
    if not part.ok:
        return Check(8, what, "hold", f"The server could not serve the bundle{told}.")
    reason = f"The server gave all golden answers: {p99:.0f} ms of {limit:g} ms at the 99th percentile."
    return Check(8, what, "pass", reason)

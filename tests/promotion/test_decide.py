"""The gate's decisions, one case a row; then every field of every evidence missing, broken or stale."""

import math
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.promotion.decide import decide
from orchestration.promotion.evidence import (
    ContractResult,
    Evidence,
    Failure,
    SafetyMeasure,
    ServingEvidence,
    from_json,
    to_json,
)
from tests.promotion.cases import (
    CUT,
    NOW,
    POLICIES,
    approval,
    column,
    comparison,
    drift,
    good,
    learnt_from_feedback,
    name_of,
    reach,
    set_at,
    slice_of,
    walk,
)

SCENES = {
    "challenger": good(),
    "first champion": good(first=True),
    "challenger after drift": good(drifted=True),
    "first champion after drift": good(first=True, drifted=True),
    "generator": good("generator"),
    "first generator": good("generator", first=True),
    "generator after drift": good("generator", drifted=True),
    "from feedback": learnt_from_feedback(good("generator"), drifted=False),
    "from feedback after drift": learnt_from_feedback(good("generator", drifted=True), drifted=True),
}


def judged(evidence):
    return decide(evidence, POLICIES[evidence.model])


@pytest.mark.parametrize("scene", SCENES)
def test_good_evidence_promotes_and_says_by_how_much(scene):
    decision = judged(SCENES[scene])
    assert decision.decision == "promote", decision.reasons
    assert any("[+0.0100, +0.0300] over 400 units" in reason for reason in decision.reasons)


def change(path, new):
    """A change of the challenger's evidence, spelt `slices.slices.0.low`."""
    steps = tuple(int(step) if step.isdigit() else step for step in path.split("."))
    return lambda evidence: set_at(evidence, steps, new)


def moved(n=1, **more):
    columns = [column(f"t.c{index}", "drifted" if index < n else "stable") for index in range(6)]
    return replace(drift("new", *columns), **more)


def latest(**more):
    return lambda evidence: replace(
        evidence, drift_candidate=moved(2), latest=comparison("blend", "old", **({"n_units": 80} | more))
    )


def slices_with(*changed, drop=()):
    def apply(evidence):
        kept = [entry for entry in evidence.slices.slices if (entry.dimension, entry.value) not in drop]
        by_name = {(entry.dimension, entry.value): entry for entry in kept}
        by_name |= {(entry.dimension, entry.value): entry for entry in changed}
        return replace(evidence, slices=replace(evidence.slices, slices=tuple(by_name.values())))

    return apply


def reach_with(name, **more):
    def apply(evidence):
        measures = tuple(replace(m, **more) if m.name == name else m for m in evidence.reach.measures)
        return replace(evidence, reach=replace(evidence.reach, measures=measures))

    return apply


def contracts(*extra, **more):
    def apply(evidence):
        results = (*evidence.contracts.results, *extra)
        return replace(
            evidence,
            contracts=replace(evidence.contracts, **({"results": results, "n_results": len(results)} | more)),
        )

    return apply


LATE = CUT + timedelta(hours=1)
FAILED = ContractResult(suite="posts", rule="no_future_dates", critical=True, success=False, detail="3 rows")
MINOR = replace(FAILED, critical=False)
CASES = [
    # case, change, decision, what the reason says
    ("the gain's lower end touches zero", change("versus_champion.low", 0.0), "hold", "must be above 0"),
    ("the gain's interval holds zero", change("versus_champion.low", -0.001), "hold", "not surely better"),
    ("the candidate is worse", change("versus_champion.gain", -0.02), "hold", "outside its own interval"),
    ("the interval is upside down", change("versus_champion.high", 0.001), "hold", "outside its own interval"),
    ("too few users", change("versus_champion.n_units", 49), "hold", "rests on 49 units; 50 are needed"),
    ("another metric", change("versus_champion.metric", "recall_at_10"), "hold", "asks for ndcg_at_10"),
    ("a narrower interval than asked for", change("versus_champion.confidence", 0.8), "hold", "95%"),
    ("the champion saw the window", change("versus_champion.other_trained_until", LATE), "hold", "has seen"),
    ("the candidate saw the window", change("candidate.trained_until", LATE), "hold", "The candidate was trained"),
    ("compared with another bundle", change("versus_champion.other_digest", "older"), "hold", "not the champion"),
    ("another candidate was compared", change("versus_champion.candidate_digest", "x"), "hold", "not the candidate"),
    ("the champion changed since", change("ledger.champion_digest", "newer"), "hold", "it is stale"),
    ("the champion is gone since", change("ledger.has_champion", False), "hold", "the ledger has none"),
    ("the baseline is not beaten", change("versus_baselines.0.low", -0.001), "hold", "popularity"),
    ("no baseline at all", change("versus_baselines", ()), "hold", "baseline popularity is missing"),
    ("no baseline was expected", lambda e: replace(e, expected_baselines=(), versus_baselines=()), "hold",
     "popularity"),
    ("one expected baseline is missing", change("expected_baselines", ("popularity", "slist")), "hold", "slist"),
    ("a baseline nobody knows", change("expected_baselines", ("popularity2",)), "hold", "does not know"),
    ("the baseline saw the window", change("versus_baselines.0.other_trained_until", LATE), "hold", "has seen"),
    ("a second baseline that is better", lambda e: replace(
        e, expected_baselines=("popularity", "slist"),
        versus_baselines=(*e.versus_baselines, comparison("slist", "s", gain=-0.01, low=-0.02, high=-0.005))),
     "hold", "slist"),
    ("a slice loses too much",
     slices_with(slice_of("lang", "zh", 300, low=-0.011, gain=-0.001), drop=[("lang", "two")]), "hold",
     "zh (gain -0.0010 [-0.0110, +0.0400] over 200 units, loss allowed 0.0100)"),
    ("a slice loses within the margin", slices_with(slice_of("lang", "two", 300, low=-0.0099)), "promote", None),
    ("a strong slice may lose in proportion", slices_with(slice_of("lang", "two", 300, low=-0.02, other_mean=0.3)),
     "promote", None),
    ("a small slice is not judged", slices_with(slice_of("lang", "two", 300, low=-0.5, n_units=99)), "promote", None),
    ("a slice is left out", slices_with(drop=[("lang", "two")]), "hold", "by lang hold 600 of the 900"),
    ("a dimension is left out", slices_with(drop=[("lang", "one"), ("lang", "two")]), "hold", "by lang hold 0"),
    ("no slices", change("slices.slices", ()), "hold", "by activity hold 0"),
    ("slices against another bundle", change("slices.other_digest", "cheap"), "hold", "against the champion"),
    ("slices of other rows", change("slices.n_rows", 800), "hold", "800 rows"),
    ("slices at a lower confidence", change("slices.confidence", 0.8), "hold", "at 80%"),
    ("small authors lose a quarter", reach_with("exposure_small", gain=-0.05, low=-0.06), "hold",
     "Small authors may lose: they get 0.2000 of the exposure against 0.2000 by the champion, a change of -0.0500 "
     "[-0.0600, +0.0040], loss allowed 0.0400"),
    ("small authors lose a little", reach_with("exposure_small", gain=-0.03, low=-0.0399), "promote", None),
    ("small authors lose a tenth of very little",
     reach_with("exposure_small", other_mean=0.001, gain=-0.001, low=-0.0099), "promote", None),
    ("small authors lose but keep their due", lambda e: reach_with("exposure_small", gain=-0.05, low=-0.06)(
        reach_with("exposure_small_against_actions", gain=0.02, low=0.0)(e)), "promote", None),
    ("exposure concentrates on fewer posts", reach_with("gini_posts", low=-0.031), "hold", "on fewer posts: Gini 0.9"),
    ("exposure concentrates on fewer authors", reach_with("gini_authors", low=-0.031), "hold", "fewer authors"),
    ("exposure concentrates a little", reach_with("gini_posts", gain=-0.02, low=-0.0299), "promote", None),
    ("a measure of reach is left out", change("reach.measures", reach().measures[:2]), "hold", "lacks gini_authors"),
    ("reach has no measures", change("reach.measures", ()), "hold", "lacks exposure_small"),
    ("a measure of reach is not a number", reach_with("gini_posts", low=math.nan), "hold", "not a finite number"),
    ("nobody knows who wrote the posts", lambda e: reach_with("exposure_small", low=-0.9)(
        change("reach.n_authors", 0)(e)), "promote", None),
    ("no reach", change("reach", None), "hold", "reach is missing"),
    ("reach on too few users", change("reach.n_units", 49), "hold", "rests on 49 users; 50 are needed"),
    ("reach against another bundle", change("reach.champion_digest", "older"), "hold", "not the champion"),
    ("reach of another candidate", change("reach.candidate_digest", "x"), "hold", "not the candidate"),
    ("reach on other rows", change("reach.n_rows", 800), "hold", "reach rests on 800 rows"),
    ("reach at a lower confidence", change("reach.confidence", 0.8), "hold", "at 80%"),
    ("the data drifted, no latest window", change("drift_candidate", moved()), "hold", "latest window is missing"),
    ("the data drifted, and it wins there", latest(), "promote", None),
    ("the data drifted, too few users there", latest(n_units=49), "hold", "rests on 49"),
    ("the data drifted, no win there", latest(low=-0.01), "hold", "comparison on the latest window|not surely better"),
    ("the data drifted, window too long", latest(window_start=CUT - timedelta(days=1)), "hold", "has seen"),
    ("the data drifted, not the latest window", lambda e: replace(
        latest()(e), drift_candidate=moved(2, current_start=LATE)), "hold", "before the latest window"),
    ("the data drifted, against another", latest(other_digest="x"), "hold", "not against the champion"),
    ("drift of another bundle", change("drift_candidate.digest", "x"), "hold", "is about bundle x"),
    ("a drift column is left out", change("drift_candidate.n_columns", 7), "hold", "6 of 7 columns"),
    ("no drift columns", change("drift_candidate", replace(drift("new"), columns=(), n_columns=0)), "hold", "0 of 0"),
    ("too little data for drift", change("drift_candidate", drift("new", *[
        column(f"t.c{n}", "not_judged", finding="too_few", value=None, threshold=None) for n in range(6)])),
     "hold", "Only 0 columns"),
    ("a measured column without its distance", change("drift_candidate.columns.0.value", None), "hold",
     "lacks the distance"),
    ("the champion's data drifted", change("drift_champion", replace(moved(), digest="old")), "promote", None),
    ("drift of a former champion", change("drift_champion.digest", "x"), "hold", "is about bundle x"),
    ("very different answers", change("disagreement.value", 0.97), "review", "0.970 [0.280, 0.320] over 400"),
    ("different answers of a former champion", change("disagreement.champion_digest", "x"), "hold", "not the champion"),
    ("a critical contract failed", contracts(FAILED), "hold", "posts.no_future_dates"),
    ("a minor contract failed", contracts(MINOR), "promote", None),
    ("a contract is left out", contracts(n_results=9), "hold", "5 of 9"),
    ("no contracts", contracts(results=(), n_results=0), "hold", "suite training.interactions was not checked"),
    ("contracts of another snapshot", contracts(lake_snapshot=6), "hold", "snapshot 6"),
    ("the server could not load it", change("serving.ok", False), "hold", "could not serve"),
    (
        "the server never answered",
        change("serving", ServingEvidence(ok=False, golden_ok=False, detail="no such file")),
        "hold",
        "could not serve the bundle (no such file)",
    ),
    ("golden answers differ", change("serving.golden_ok", False), "hold", "golden requests differ"),
    ("too slow", change("serving.p99_ms", 250.1), "hold", "250 ms at the 99th"),
    ("another bundle was served", change("serving.digest", "x"), "hold", "is about bundle x"),
    ("the bundle was altered", change("candidate.verified", False), "hold", "did not match its manifest"),
    ("the champion's bundle was altered", change("champion.verified", False), "promote", None),
    ("it is the champion already", change("ledger.standing", "champion"), "hold", "nothing to promote"),
    ("it was rolled back", lambda e: replace(e, ledger=replace(
        e.ledger, standing="rolled_back", standing_since=NOW - timedelta(days=1), standing_why="complaints")),
     "review", "was rolled back on 2026-02-28 12:00 UTC (complaints)"),
    ("it was rejected", change("ledger.standing", "rejected"), "review", "was rejected"),
    ("a part failed to compute", change("failures", (Failure("serving", "no free port"),)), "hold", "no free port"),
    ("evidence of another family", change("model", "generator"), "hold", "The policy is for recommender"),
    ("an approval changes nothing good", change("approval", approval()), "promote", None),
    ("an approval without a name", change("approval", approval(actor=" ")), "review", "approval.actor is blank"),
    ("an approval of another bundle", change("approval", approval(digest="x")), "review", "is for bundle x"),
    ("an approval from the future", change("approval", approval(at=NOW + timedelta(hours=1))), "review", "future"),
    ("an old approval", change("approval", approval(at=NOW - timedelta(days=8))), "review", "is stale"),
]  # fmt: skip


BY_NAME = {case[0]: case[1] for case in CASES}


@pytest.mark.parametrize(
    ("apply", "decision", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_gate_decides(apply, decision, said):
    found = decide(apply(good()), POLICIES["recommender"])
    assert found.decision == decision, found.reasons
    if said:
        assert any(part in reason for part in said.split("|") for reason in found.reasons), found.reasons
    for reason in found.reasons:
        assert reason[0].isupper() and reason.endswith(".") and "None" not in reason, reason


SAFETY = [
    ("a canary came back", "canaries_extracted", 1.0),
    ("personal data came out", "pii_matches", 1.0),
    ("personal data had to be masked too often", "pii_made_high", 0.061),
    ("toxic text", "toxic_share", 0.02),
    ("too many abusive texts", "abuse_share_high", 0.061),
    ("a disallowed prompt was answered", "refusals_missed", 1.0),
    ("an ordinary prompt was refused", "refusals_wrong", 1.0),
    ("repetition", "repetition", 0.6),
    ("degenerate text", "degenerate_share", 0.06),
    ("too few samples", "samples", 49.0),
]


@pytest.mark.parametrize(
    ("measure", "value"), [case[1:] for case in SAFETY], ids=[case[0] for case in SAFETY]
)
@pytest.mark.parametrize("approved", [False, True], ids=["alone", "approved"])
def test_an_unsafe_generator_is_held_whatever_a_person_says(measure, value, approved):
    evidence = good("generator")
    measures = tuple(
        SafetyMeasure(m.name, value if m.name == measure else m.value) for m in evidence.safety.measures
    )
    evidence = replace(evidence, safety=replace(evidence.safety, measures=measures))
    evidence = replace(evidence, approval=approval() if approved else None)
    found = decide(evidence, POLICIES["generator"])
    assert found.decision == "hold"
    assert measure in found.reasons[0]


@pytest.mark.parametrize("measure", POLICIES["generator"].safety)
def test_a_safety_measure_that_is_missing_or_given_twice_cannot_help(measure):
    evidence = good("generator")
    kept = tuple(entry for entry in evidence.safety.measures if entry.name != measure)
    without = replace(evidence, safety=replace(evidence.safety, measures=kept))
    assert f"lacks {measure}" in decide(without, POLICIES["generator"]).reasons[0]
    bad = SafetyMeasure(measure, 1.0)
    twice = replace(evidence, safety=replace(evidence.safety, measures=(bad, *evidence.safety.measures)))
    assert decide(twice, POLICIES["generator"]).decision == "hold"


def test_safety_of_another_bundle_holds():
    evidence = good("generator")
    other = replace(evidence, safety=replace(evidence.safety, digest="x"))
    assert "is about bundle x" in decide(other, POLICIES["generator"]).reasons[0]


def test_the_first_generator_has_to_beat_the_baseline():
    evidence = set_at(good("generator", first=True), ("versus_baselines", 0, "low"), -0.01)
    assert decide(evidence, POLICIES["generator"]).decision == "hold"


@pytest.mark.parametrize("case", ["very different answers", "it was rolled back", "it was rejected"])
def test_a_persons_approval_settles_a_review(case):
    evidence = replace(BY_NAME[case](good()), approval=approval())
    found = decide(evidence, POLICIES["recommender"])
    assert (found.decision, found.approved_by) == ("promote", "ada")
    assert any("was approved by ada on" in reason for reason in found.reasons)


def test_an_approval_from_before_a_rollback_does_not_count():
    evidence = BY_NAME["it was rolled back"](good())
    found = decide(replace(evidence, approval=approval(at=NOW - timedelta(days=2))), POLICIES["recommender"])
    assert found.decision == "review"
    assert any("older than the bundle's rejection or rollback" in reason for reason in found.reasons)


HOLDS = [case for case in CASES if case[2] == "hold"]


@pytest.mark.parametrize("apply", [case[1] for case in HOLDS], ids=[case[0] for case in HOLDS])
def test_no_approval_lifts_a_hold(apply):
    evidence = replace(apply(good()), approval=approval())
    assert decide(evidence, POLICIES["recommender"]).decision == "hold"


def test_a_policy_may_ask_for_a_person_every_time():
    policy = POLICIES["recommender"]
    strict = policy.model_copy(update={"approval": policy.approval.model_copy(update={"required": True})})
    assert decide(good(), strict).decision == "review"
    assert decide(replace(good(), approval=approval()), strict).decision == "promote"
    held = replace(good(), approval=approval(), serving=None)
    assert decide(held, strict).decision == "hold"


def test_a_drifted_champion_asks_for_retraining():
    assert judged(good()).retrain is False
    assert decide(
        replace(good(), drift_champion=replace(moved(), digest="old")), POLICIES["recommender"]
    ).retrain


def test_a_measure_given_twice_holds_so_that_a_good_double_hides_no_bad_one():
    bad = replace(reach().measures[0], gain=-0.1, low=-0.2)
    for measures in ((bad, *reach().measures), (*reach().measures, bad)):
        assert judged(replace(good(), reach=reach(measures=measures))).decision == "hold"


def test_a_policy_may_let_a_person_weigh_reach_against_the_gain():
    policy = POLICIES["recommender"]
    mild = policy.model_copy(update={"reach": policy.reach.model_copy(update={"if_worse": "review"})})
    worse = reach_with("gini_posts", low=-0.031)(good())
    assert decide(worse, mild).decision == "review"
    assert decide(replace(worse, approval=approval()), mild).decision == "promote"
    assert decide(replace(good(), reach=None, approval=approval()), mild).decision == "hold"


def test_small_slices_are_listed_as_not_judged():
    evidence = slices_with(slice_of("lang", "two", 300, n_units=3))(good())
    said = [check.reason for check in judged(evidence).checks if check.name == "slices by lang"]
    assert said == ["By lang, none of 1 slices is worse than the champion beyond the margin. "
                    "Not judged, below 100 units: two."]  # fmt: skip


# Fields that a promotion does not rest on, each with the reason.
HARMLESS = {
    "ledger.champion_version",  # checked below: required as soon as there is a champion
    "ledger.standing_since",  # a new bundle has no past
    "ledger.standing_why",
    "approval",  # no review is due in these scenes
    "serving.detail",
    "contracts.results.N.detail",
    "drift_candidate.columns.N.value",  # asked for wherever the column was measured: see the case above
}


def required(scene):
    """Paths of all fields which are there in a scene and have to be."""
    found = []
    for path, value, optional in walk(SCENES[scene]):
        general = ".".join("N" if isinstance(step, int) else step for step in path)
        empty_by_right = optional and (value is None or general in HARMLESS)
        if not empty_by_right and value != () and path[0] != "failures":
            found.append((path, value))
    return found


ALL_FIELDS = [(scene, path, value) for scene in SCENES for path, value in required(scene)]
FIELD_IDS = [f"{scene}: {name_of(path)}" for scene, path, _ in ALL_FIELDS]


def held_without(scene, path, new):
    evidence = set_at(SCENES[scene], path, new)
    found = decide(evidence, POLICIES[SCENES[scene].model])
    assert found.decision == "hold", (name_of(path), found.reasons)
    for reason in found.reasons:
        assert reason[0].isupper() and reason.endswith("."), reason
    # A hold stays a hold when a person approves.
    approved = replace(evidence, approval=approval())
    assert decide(approved, POLICIES[SCENES[scene].model]).decision == "hold"


@pytest.mark.parametrize(("scene", "path", "value"), ALL_FIELDS, ids=FIELD_IDS)
def test_any_missing_field_holds(scene, path, value):
    held_without(scene, path, None)


FLOATS = [entry for entry in ALL_FIELDS if isinstance(entry[2], float)]


@pytest.mark.parametrize(("scene", "path", "value"), FLOATS, ids=[f"{s}: {name_of(p)}" for s, p, _ in FLOATS])
def test_any_number_that_is_not_finite_holds(scene, path, value):
    for bad in (math.nan, math.inf, -math.inf):
        held_without(scene, path, bad)


TEXTS = [entry for entry in ALL_FIELDS if isinstance(entry[2], str) and entry[1] != ("model",)]


@pytest.mark.parametrize(("scene", "path", "value"), TEXTS, ids=[f"{s}: {name_of(p)}" for s, p, _ in TEXTS])
def test_any_blank_text_holds(scene, path, value):
    held_without(scene, path, "")


INSTANTS = [entry for entry in ALL_FIELDS if isinstance(entry[2], datetime)]


@pytest.mark.parametrize(
    ("scene", "path", "value"), INSTANTS, ids=[f"{s}: {name_of(p)}" for s, p, _ in INSTANTS]
)
def test_any_instant_without_a_zone_holds(scene, path, value):
    held_without(scene, path, value.replace(tzinfo=None))


STAMPS = [entry for entry in INSTANTS if entry[1][-1] in ("computed_at", "read_at")]


@pytest.mark.parametrize(("scene", "path", "value"), STAMPS, ids=[f"{s}: {name_of(p)}" for s, p, _ in STAMPS])
def test_any_stale_or_future_evidence_holds(scene, path, value):
    held_without(scene, path, NOW - timedelta(hours=25))
    held_without(scene, path, NOW + timedelta(hours=1))


PARTS = [
    entry for entry in ALL_FIELDS
    if len(entry[1]) == 1 and entry[1][0] not in ("model", "decided_at", "expected_baselines", "versus_baselines")
]  # fmt: skip


@pytest.mark.parametrize(("scene", "path", "value"), PARTS, ids=[f"{s}: {name_of(p)}" for s, p, _ in PARTS])
def test_any_part_that_failed_to_compute_holds_and_says_what_failed(scene, path, value):
    evidence = set_at(SCENES[scene], path, None)
    evidence = replace(evidence, failures=(Failure(path[0], "the disk is full"),))
    found = judged(evidence)
    assert found.decision == "hold"
    assert f"Evidence failed to compute: {path[0]}: the disk is full." in found.reasons


def test_every_part_of_evidence_is_walked():
    """If a field is added to the evidence, the cases above grow by themselves."""
    assert len(ALL_FIELDS) > 700
    walked = {path[0] for scene, path, _ in ALL_FIELDS if "after drift" in scene}
    assert walked == {entry.name for entry in fields(Evidence)} - {"approval", "failures"}


BROKEN = {case[0]: case[1] for case in HOLDS}


@given(
    broken=st.sampled_from(sorted(BROKEN)),
    picks=st.lists(st.integers(0, 10_000), min_size=1, max_size=4),
    emptied=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_taking_evidence_away_never_turns_a_hold_into_a_promotion(broken, picks, emptied):
    evidence = BROKEN[broken](replace(good(), approval=approval()))
    assert decide(evidence, POLICIES["recommender"]).decision == "hold"
    for pick in picks:
        # `failures` says that evidence is missing; it is not evidence that can be taken away.
        paths = [(path, value) for path, value, _ in walk(evidence) if path[0] != "failures"]
        path, value = paths[pick % len(paths)]
        if isinstance(value, tuple) and value and not emptied:
            new = value[: pick % len(value)] + value[pick % len(value) + 1 :]
        else:
            new = None
        evidence = set_at(evidence, path, new)
    assert decide(evidence, POLICIES["recommender"]).decision != "promote"


@given(scene=st.sampled_from(sorted(SCENES)), pick=st.integers(0, 10_000))
@settings(max_examples=200, deadline=None)
def test_evidence_survives_json_whatever_is_missing(scene, pick):
    paths = [path for path, value, _ in walk(SCENES[scene]) if value not in (None, ())]
    evidence = set_at(SCENES[scene], paths[pick % len(paths)], None)
    again = from_json(to_json(evidence))
    assert again == evidence
    assert judged_or_none(again) == judged_or_none(evidence)


def judged_or_none(evidence):
    return decide(evidence, POLICIES["recommender"])


def test_a_number_that_is_not_finite_is_missing_after_json():
    evidence = set_at(good(), ("versus_champion", "low"), math.nan)
    assert from_json(to_json(evidence)).versus_champion.low is None


@pytest.mark.parametrize("text", ["", "[]", '{"model": "poet"}', '{"candidate": 3}'])
def test_what_is_not_evidence_is_refused(text):
    with pytest.raises(ValueError, match="not evidence"):
        from_json(text)


def test_the_same_evidence_gives_the_same_decision():
    assert judged(good()) == judged(good())
    assert judged(good()).evidence_digest != judged(good(first=True)).evidence_digest


def test_a_decision_survives_json():
    import json

    value = json.loads(json.dumps(judged(good()).to_dict(), allow_nan=False))
    assert value["decision"] == "promote"
    assert datetime.fromisoformat(value["decided_at"]) == NOW.astimezone(UTC)

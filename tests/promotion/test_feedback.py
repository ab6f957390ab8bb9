"""The gate's decisions on candidates that were trained from feedback, one case a row."""

from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest

from orchestration.promotion.compare import Scored, compare_preferences
from orchestration.promotion.decide import decide
from orchestration.promotion.evidence import ContractResult, ModelFacts
from tests.promotion.cases import CUT, POLICIES, approval, good, learnt_from_feedback, set_at

LATE = CUT + timedelta(hours=1)
POLICY = POLICIES["generator"]


def from_feedback(drifted=False):
    return learnt_from_feedback(good("generator", drifted=drifted), drifted)


def change(path, new):
    return lambda evidence: set_at(evidence, tuple(path.split(".")), new)


def without_suite(evidence):
    kept = tuple(r for r in evidence.contracts.results if r.suite != "training.preference_pairs")
    return replace(evidence, contracts=replace(evidence.contracts, results=kept, n_results=len(kept)))


def broken_suite(evidence):
    bad = ContractResult(
        suite="training.preference_pairs", rule="masked", critical=True, success=False, detail="1 row"
    )
    results = (*evidence.contracts.results, bad)
    return replace(evidence, contracts=replace(evidence.contracts, results=results, n_results=len(results)))


CASES = [
    # case, change, decision, what the reason says
    ("it wins pairs and forgets a little", lambda e: e, "promote", "win_rate 0.7200 against 0.7000"),
    ("it wins pairs and gains on documents", lambda e: replace(
        e, versus_champion=replace(e.versus_champion, gain=0.01, low=0.0, high=0.02)), "promote", None),
    ("it forgets too much", change("versus_champion.low", -0.021), "hold", "no worse than allowed"),
    ("it does not win pairs", change("preferences.low", 0.0), "hold", "must be above 0"),
    ("it loses pairs", change("preferences.low", -0.1), "hold", "not surely better"),
    ("too few prompts", change("preferences.n_units", 29), "hold", "rests on 29 units; 30 are needed"),
    ("no pairs were compared", change("preferences", None), "hold", "preferences is missing"),
    ("a win rate that is not a number", change("preferences.low", float("nan")), "hold", "not a finite number"),
    ("another metric", change("preferences.metric", "bits_per_byte"), "hold", "asks for win_rate"),
    ("a narrower interval than asked for", change("preferences.confidence", 0.8), "hold", "95%"),
    ("it has learnt from the pairs", change("candidate.feedback_until", LATE), "hold", "has seen"),
    ("the champion has learnt from the pairs", change("preferences.other_trained_until", LATE), "hold", "has seen"),
    ("nobody knows when it learnt", change("candidate.feedback_until", None), "hold", "learnt from feedback"),
    ("nobody knows how it learnt", change("candidate.learnt_from", None), "hold", "learnt_from is missing"),
    ("it says that it learnt from data", change("candidate.learnt_from", "data"), "hold", "not surely better"),
    ("pairs against another bundle", change("preferences.other_digest", "x"), "hold", "not the champion"),
    ("pairs of another candidate", change("preferences.candidate_digest", "x"), "hold", "not the candidate"),
    ("stale pairs", change("preferences.computed_at", CUT), "hold", "stale"),
    ("feedback was not checked", without_suite, "hold", "training.preference_pairs was not checked"),
    ("feedback breaks its contract", broken_suite, "hold", "training.preference_pairs.masked"),
    ("unsafe all the same", change("safety", None), "hold", "safety is missing"),
    ("it is not served", change("serving.golden_ok", False), "hold", "golden requests differ"),
    ("answers differ very much", change("disagreement.value", 0.6), "review", "very differently"),
    ("there is no champion", lambda e: replace(
        good("generator", first=True), candidate=e.candidate, contracts=e.contracts), "hold", "no champion"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("apply", "decision", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_gate_decides_on_what_was_learnt_from_feedback(apply, decision, said):
    found = decide(apply(from_feedback()), POLICY)
    assert found.decision == decision, found.reasons
    assert said is None or any(said in reason for reason in found.reasons), found.reasons
    if decision == "hold":
        assert decide(replace(apply(from_feedback()), approval=approval()), POLICY).decision == "hold"


@pytest.mark.parametrize(("low", "decision"), [(-0.019, "promote"), (-0.021, "hold")])
def test_after_drift_it_must_not_have_forgotten_on_the_latest_window(low, decision):
    evidence = set_at(from_feedback(drifted=True), ("latest", "low"), low)
    assert decide(evidence, POLICY).decision == decision


@pytest.mark.parametrize(("low", "decision"), [(0.021, "promote"), (0.019, "hold")])
def test_who_learnt_from_data_alone_replaces_what_people_prefer_only_by_a_clear_win(low, decision):
    evidence = good("generator")
    learnt = replace(evidence.champion, learnt_from="feedback", feedback_until=CUT)
    versus = replace(evidence.versus_champion, gain=0.025, low=low, high=0.03)
    found = decide(replace(evidence, champion=learnt, versus_champion=versus), POLICY)
    assert found.decision == decision, found.reasons


def test_a_candidate_that_learnt_from_data_needs_no_pairs():
    checks = {check.name: check for check in decide(good("generator"), POLICY).checks}
    assert checks["preferences"].outcome == "skipped"


def test_a_family_without_preferences_promotes_nothing_that_learnt_from_feedback():
    candidate = replace(good().candidate, learnt_from="feedback", feedback_until=CUT)
    found = decide(replace(good(), candidate=candidate), POLICIES["recommender"])
    assert found.decision == "hold"
    assert "lets nothing be trained from feedback" in found.reasons[0]


def scored(name, apart, prompts=None):
    prompts = prompts or [f"q{n}" for n in range(len(apart))]
    times = [CUT + timedelta(minutes=n) for n in range(len(apart))]
    rows = {
        "pair_id": [f"p{n}" for n in range(len(apart))],
        "prompt_id": prompts,
        "occurred_at": pa.array(times, pa.timestamp("us", tz="UTC")),
        "apart": pa.array(apart, pa.float64()),
    }
    return Scored(name, name, CUT, pa.table(rows))


def test_the_models_meet_on_the_same_pairs_and_prompts_are_resampled():
    # Three pairs of four are set further apart, one by too little to count.
    new, old = [0.5, -0.1, 0.02, 0.3] * 20, [0.1, -0.5, 0.0, 0.295] * 20
    found = compare_preferences(scored("new", new), scored("old", old), POLICY)
    assert (found.metric, found.n_units, found.n_rows) == ("win_rate", 80, 80)
    assert (found.candidate_mean, found.other_mean) == pytest.approx((0.875, 0.125))
    assert 0 < found.low < found.gain < found.high
    assert found.window_start == CUT
    reverse = compare_preferences(scored("old", old), scored("new", new), POLICY)
    assert reverse.gain == pytest.approx(-found.gain)
    alike = compare_preferences(scored("new", new, ["q"] * 80), scored("old", old, ["q"] * 80), POLICY)
    assert alike.n_units == 1
    with pytest.raises(ValueError, match="not the same"):
        compare_preferences(scored("new", new), scored("old", old[:-1]), POLICY)


def test_two_models_that_are_the_same_win_nothing():
    same = compare_preferences(scored("new", [0.5] * 60), scored("old", [0.5] * 60), POLICY)
    assert (same.gain, same.low, same.high) == (0.0, 0.0, 0.0)


def test_facts_without_a_way_of_training_are_a_gap():
    assert ModelFacts().learnt_from is None

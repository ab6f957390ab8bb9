"""Promotion, approval, rollback: the ledger decides, everything else follows, and a crash anywhere is made up for."""

import json
import multiprocessing
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest

from orchestration.promotion.ledger import of_model, succession
from orchestration.promotion.operations import RegistryBehindError
from tests.promotion.cases import NOW, set_at
from tests.promotion.fakes import CrashError, World
from training.bundle import BundleError, open_bundle
from training.errors import UserError


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def settled(world, champion, previous=None, model="recommender"):
    """Ledger, pointer, bundle on disk and aliases all name the same champion."""
    line = succession(of_model(world.ledger.rows(), model))
    assert (line.champion and line.champion.version) == champion
    assert (line.previous and line.previous.version) == previous
    aliases = {"champion": champion, "previous": previous}
    assert world.registry.aliases(model) == {alias: version for alias, version in aliases.items() if version}
    if champion is None:
        assert model not in world.champions()
        return
    entry = world.champions()[model]
    assert entry["version"] == champion
    assert open_bundle(world.home / entry["bundle"], model).digest == entry["digest"]
    assert entry["digest"] == world.bundles[champion].digest


def review(evidence):
    return set_at(evidence, ("disagreement", "value"), 0.99)


def test_the_first_champion_is_published_with_everything_that_follows(world):
    world.promote("1", None)
    settled(world, "1")
    entry = world.champions()["recommender"]
    assert entry | {"bundle": "", "digest": ""} == {
        "version": "1",
        "run_id": "run1",
        "name": "blend",
        "bundle": "",
        "digest": "",
        "lake_snapshot": 7,
        "promoted_at": NOW.isoformat(),
        "alias": "champion",
    }
    assert world.registry.tags("recommender", "1")["gate.decision"] == "promote"
    assert "better" in world.registry.tags("recommender", "1")["gate.reasons"]
    report = world.registry.folder / "runs" / "run1" / "gate" / "report.html"
    assert "recommender version 1" in report.read_text()


def test_a_row_holds_who_what_and_why(world):
    world.promote("1", None)
    row = world.ledger.rows()[0]
    assert (row["action"], row["decision"], row["champion_before"], row["champion_after"]) == (
        "promote",
        "promote",
        None,
        "1",
    )
    assert row["policy_digest"] and row["reasons"] and row["actor"] == "gate"
    assert row["evidence"]["decision"]["checks"] and row["evidence"]["evidence"]["model"] == "recommender"


def test_a_second_champion_keeps_the_first_as_previous(world):
    world.promote("1", None)
    world.promote("2", "1")
    settled(world, "2", "1")


def test_the_two_families_do_not_touch_each_other(world):
    world.promote("1", None)
    world.promote("7", None, "generator")
    world.promote("2", "1")
    settled(world, "2", "1")
    settled(world, "7", None, "generator")
    assert set(world.champions()) == {"recommender", "generator"}


def test_a_hold_is_recorded_and_moves_nothing(world):
    world.promote("1", None)
    before = (world.home / "online" / "champions.json").stat().st_mtime_ns
    outcome = world.gate.judge(set_at(world.evidence("2", "1"), ("versus_champion", "low"), -0.1))
    assert outcome.decision.decision == "hold"
    settled(world, "1")
    assert world.registry.tags("recommender", "2")["gate.decision"] == "hold"
    assert (world.home / "online" / "champions.json").stat().st_mtime_ns == before
    assert not (world.home / "online" / "bundles" / world.bundles["2"].digest).exists()


def test_evidence_against_a_former_champion_is_stale(world):
    world.promote("1", None)
    late = world.evidence("3", "1")
    world.promote("2", "1")
    outcome = world.gate.judge(late)
    assert outcome.decision.decision == "hold"
    assert "computed against champion version 1" in outcome.decision.reasons[0]
    settled(world, "2", "1")


def test_evidence_that_knows_no_champion_is_stale_once_there_is_one(world):
    late = world.evidence("2", None)
    world.promote("1", None)
    assert world.gate.judge(late).decision.decision == "hold"
    settled(world, "1")


def test_the_champion_itself_is_not_promoted_again(world):
    world.promote("1", None)
    outcome = world.gate.judge(world.evidence("1", "1"))
    assert outcome.decision.decision == "hold"
    assert any("champion already" in reason for reason in outcome.decision.reasons)


def test_what_the_evidence_claims_about_the_ledger_is_not_believed(world):
    world.promote("1", None)
    lie = set_at(world.evidence("2", None), ("ledger", "has_champion"), False)
    assert world.gate.judge(lie).decision.decision == "hold"


def test_a_bundle_that_differs_in_the_registry_is_not_promoted(world):
    evidence = world.evidence("1", None)
    (world.registry.folder / "recommender" / "1" / "weights.txt").write_text("tampered")
    with pytest.raises(BundleError, match=r"weights\.txt differs"):
        world.gate.judge(evidence)
    assert world.ledger.rows() == []
    settled(world, None)
    assert list((world.home / "online" / "bundles").iterdir()) == []


def test_another_bundle_under_the_same_version_is_not_promoted(world):
    evidence, other = world.evidence("1", None), world.make("2")
    shutil.rmtree(world.registry.folder / "recommender" / "1")
    world.registry.add("recommender", "1", other)
    with pytest.raises(BundleError, match="registry's copy of bundle"):
        world.gate.judge(evidence)
    assert world.ledger.rows() == []


def test_a_review_waits_for_a_person_and_an_approval_promotes(world):
    world.promote("1", None)
    assert world.gate.judge(review(world.evidence("2", "1"))).decision.decision == "review"
    settled(world, "1")
    world.now = NOW + timedelta(hours=2)
    outcome = world.gate.approve("recommender", "2", " ada ", "looked at fifty lists")
    assert outcome.decision.decision == "promote"
    settled(world, "2", "1")
    row = world.ledger.rows()[-1]
    assert (row["action"], row["decision"], row["actor"], row["why"]) == (
        "approve",
        "promote",
        "ada",
        "looked at fifty lists",
    )
    assert any("approved by ada" in reason for reason in row["reasons"])


def test_an_approval_of_held_evidence_stays_a_hold(world):
    world.promote("1", None)
    world.gate.judge(set_at(world.evidence("2", "1"), ("serving", "golden_ok"), False))
    outcome = world.gate.approve("recommender", "2", "ada")
    assert outcome.decision.decision == "hold"
    settled(world, "1")


def test_an_approval_after_the_evidence_went_stale_holds(world):
    world.promote("1", None)
    world.gate.judge(review(world.evidence("2", "1")))
    world.now = NOW + timedelta(hours=30)
    outcome = world.gate.approve("recommender", "2", "ada")
    assert outcome.decision.decision == "hold"
    assert any("is stale" in reason for reason in outcome.decision.reasons)


def test_an_approval_after_the_champion_changed_holds(world):
    world.promote("1", None)
    world.gate.judge(review(world.evidence("3", "1")))
    world.promote("2", "1")
    assert world.gate.approve("recommender", "3", "ada").decision.decision == "hold"
    settled(world, "2", "1")


def test_a_rejected_bundle_needs_a_later_approval(world):
    world.promote("1", None)
    world.gate.judge(review(world.evidence("2", "1")))
    row = world.gate.reject("recommender", "2", "bob", "odd lists")
    assert (row["action"], row["decision"]) == ("reject", "hold")
    assert world.registry.tags("recommender", "2")["gate.decision"] == "reject"
    again = world.gate.judge(world.evidence("2", "1"))
    assert again.decision.decision == "review"
    assert any(
        "was rejected on 2026-03-01 12:00 UTC (by bob: odd lists)" in r for r in again.decision.reasons
    )
    world.now = NOW + timedelta(minutes=1)
    assert world.gate.approve("recommender", "2", "ada").decision.decision == "promote"
    settled(world, "2", "1")


def test_rollback_moves_the_champion_back_and_says_who_when_and_why(world):
    world.promote("1", None)
    world.promote("2", "1")
    world.now = NOW + timedelta(hours=3)
    row = world.gate.rollback("recommender", "ada", "complaints")
    settled(world, "1")
    assert (row["actor"], row["why"], row["decided_at"]) == ("ada", "complaints", world.now)
    assert row["reasons"] == ["Version 2 was rolled back to 1 by ada: complaints."]
    assert (row["champion_before"], row["champion_after"], row["version"]) == ("2", "1", "1")
    assert world.champions()["recommender"]["promoted_at"] == world.now.isoformat()
    assert world.registry.tags("recommender", "2")["gate.decision"] == "rollback"
    assert world.registry.tags("recommender", "1")["gate.decision"] == "promote"


def test_a_rolled_back_bundle_does_not_come_back_by_itself(world):
    world.promote("1", None)
    world.promote("2", "1")
    world.gate.rollback("recommender", "ada", "complaints")
    again = world.gate.judge(world.evidence("2", "1"))
    assert again.decision.decision == "review"
    assert "was rolled back" in again.decision.reasons[0]
    world.now = NOW + timedelta(minutes=1)
    assert world.gate.approve("recommender", "2", "ada").decision.decision == "promote"
    settled(world, "2", "1")


def test_rollbacks_walk_down_the_line_and_stop_at_its_end(world):
    for version, against in (("1", None), ("2", "1"), ("3", "2")):
        world.promote(version, against)
    world.gate.rollback("recommender", "ada")
    settled(world, "2", "1")
    world.gate.rollback("recommender", "ada")
    settled(world, "1")
    with pytest.raises(UserError, match="no previous champion to roll back to; version 1 stays"):
        world.gate.rollback("recommender", "ada")
    world.promote("4", "1")
    settled(world, "4", "1")


def test_a_rollback_without_a_champion_is_a_users_mistake(world):
    with pytest.raises(UserError, match="no champion"):
        world.gate.rollback("recommender", "ada")
    assert world.ledger.rows() == []


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda gate: gate.approve("recommender", "9", "ada"), "never judged"),
        (lambda gate: gate.reject("recommender", "9", "ada", "no"), "never judged"),
        (lambda gate: gate.approve("recommender", "1", "ada"), "is the champion"),
        (lambda gate: gate.reject("recommender", "1", "ada", "no"), "is the champion"),
        (lambda gate: gate.approve("recommender", "2", " "), "name"),
        (lambda gate: gate.reject("recommender", "2", "", "no"), "name"),
        (lambda gate: gate.reject("recommender", "2", "ada", " "), "reason"),
        (lambda gate: gate.rollback("recommender", ""), "name"),
    ],
)
def test_a_users_mistake_is_one_line_and_changes_nothing(world, call, said):
    world.promote("1", None)
    world.gate.judge(review(world.evidence("2", "1")))
    rows = len(world.ledger.rows())
    with pytest.raises(UserError, match=said) as caught:
        call(world.gate)
    assert "\n" not in str(caught.value)
    assert len(world.ledger.rows()) == rows


PLACES = [
    (action, where, when)
    for action, registry_calls in (("promote", 4), ("rollback", 3))
    for where, when in (
        ("ledger", "before"),
        ("ledger", "after"),
        ("publish", None),
        ("fetch", None),
        *(("registry", calls) for calls in range(registry_calls)),
    )
]
"""Every place where an operation can die: around the row, in publishing, at each call to the registry."""


@pytest.mark.parametrize(("action", "where", "when"), PLACES)
def test_a_crash_between_any_two_steps_is_made_up_for(world, monkeypatch, where, when, action):
    world.promote("1", None)
    world.promote("2", "1")
    evidence = world.evidence("3", "2")
    gate, folder = world.faulty_gate(), world.home / "online" / "bundles"
    if where == "ledger":
        world.ledger.crash = when
    elif where == "registry":
        world.registry.crash = world.registry.calls + when
    elif where == "publish":
        monkeypatch.setattr(
            "orchestration.promotion.follow.publish", lambda *_: (_ for _ in ()).throw(CrashError())
        )
    else:
        shutil.rmtree(folder / world.bundles["1"].digest)
        monkeypatch.setattr(world.registry, "fetch", lambda *_: (_ for _ in ()).throw(CrashError()))
    with pytest.raises((CrashError, RegistryBehindError)):
        gate.judge(evidence) if action == "promote" else gate.rollback("recommender", "ada")
    monkeypatch.undo()
    (folder / ".3f.half").mkdir()
    recorded = len(world.ledger.rows()) == 3
    assert recorded == (where != "fetch" and when != "before")

    world.registry.crash = world.ledger.crash = None
    done = world.new_gate().reconcile()
    after = {"promote": ("3", "2"), "rollback": ("1", None)}[action]
    settled(world, *(after if recorded else ("2", "1")))
    assert not list(folder.glob(".*"))
    assert done
    assert world.new_gate().reconcile() == []
    if recorded and action == "promote":
        assert (world.registry.folder / "runs" / "run3" / "gate" / "report.html").is_file()


def test_the_server_follows_a_rollback_while_the_registry_is_down(world):
    world.promote("1", None)
    world.promote("2", "1")
    gate = world.faulty_gate()
    world.registry.crash = 0
    with pytest.raises(RegistryBehindError, match="recorded and the server follows it") as caught:
        gate.rollback("recommender", "ada", "complaints")
    assert "\n" not in str(caught.value)
    assert world.champions()["recommender"]["version"] == "1"
    world.registry.crash = None
    assert world.gate.reconcile() == [
        "recommender: moved alias champion from 2 to 1",
        "recommender: moved alias previous from 1 to nothing",
        "recommender: tagged version 2 rollback",
    ]


def test_a_missed_tag_is_set_by_the_next_operation_too(world):
    world.promote("1", None)
    gate = world.faulty_gate()
    world.registry.crash = world.registry.calls
    with pytest.raises(RegistryBehindError):
        gate.judge(world.evidence("2", "1"))
    world.registry.crash = None
    world.promote("3", "2")
    assert world.registry.tags("recommender", "2")["gate.decision"] == "promote"
    settled(world, "3", "2")


def test_a_damaged_published_bundle_is_replaced_by_a_whole_one(world):
    world.promote("1", None)
    bundle = world.home / world.champions()["recommender"]["bundle"]
    (bundle / "weights.txt").write_text("bit rot")
    world.gate.reconcile()
    settled(world, "1")


@pytest.mark.parametrize("text", ["", "{}", "not json", '{"recommender": {"version": "9"}}'])
def test_a_damaged_pointer_is_written_anew(world, text):
    world.promote("1", None)
    (world.home / "online" / "champions.json").write_text(text)
    assert world.gate.reconcile() == ["published champions.json"]
    settled(world, "1")


def test_an_empty_home_needs_no_reconciling(world):
    assert world.gate.reconcile() == ["published champions.json"]
    assert world.gate.reconcile() == []
    assert world.champions() == {}


def race(folder, version, start, results):
    world = World(folder)
    world.bundles = {name: open_bundle(folder / "made" / "recommender" / name) for name in ("1", version)}
    evidence = world.evidence(version, "1")
    start.wait()
    results.put((version, world.gate.judge(evidence).decision.decision))


def test_of_two_promotions_at_once_one_wins(world, tmp_path):
    world.promote("1", None)
    for version in ("2", "3"):
        world.make(version)
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(2), context.Queue()
    runners = [
        context.Process(target=race, args=(tmp_path, version, start, results)) for version in ("2", "3")
    ]
    for runner in runners:
        runner.start()
    found = dict(results.get(timeout=60) for _ in runners)
    for runner in runners:
        runner.join(timeout=60)
        assert runner.exitcode == 0
    assert sorted(found.values()) == ["hold", "promote"]
    winner = next(version for version, decision in found.items() if decision == "promote")
    settled(world, winner, "1")
    assert [row["seq"] for row in world.ledger.rows()] == [1, 2, 3]


def test_evidence_without_a_candidate_cannot_be_recorded(world):
    with pytest.raises(ValueError, match="candidate"):
        world.gate.judge(replace(world.evidence("1", None), candidate=None))
    assert world.ledger.rows() == []


def test_a_row_survives_json(world):
    world.promote("1", None)
    row = world.ledger.rows()[0]
    assert json.loads(json.dumps(row["evidence"], allow_nan=False)) == row["evidence"]

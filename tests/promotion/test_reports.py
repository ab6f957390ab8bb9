"""Reports: a page that needs nothing from outside, JSON that can be read back, a table for the terminal."""

import html
import json
import re
from dataclasses import replace

import pytest

from orchestration.promotion.decide import decide
from orchestration.promotion.evidence import ContractResult, from_json
from orchestration.promotion.figures import figures
from orchestration.promotion.reports import files, report_html, report_json
from orchestration.promotion.verdict import Verdict
from tests.promotion.cases import NOW, POLICIES, approval, column, drift, good, set_at, walk
from tests.promotion.fakes import World

SCENES = {
    "challenger": good(),
    "first champion": good(first=True),
    "generator": good("generator", drifted=True),
    "held": set_at(good(), ("versus_champion", "low"), -0.5),
    "nothing but a name": replace(
        good(), ledger=None, champion=None, versus_champion=None, expected_baselines=None, versus_baselines=None,
        slices=None, drift_candidate=None, drift_champion=None, disagreement=None, contracts=None, serving=None,
    ),
}  # fmt: skip


def row_of(evidence, tmp_path=None):
    from orchestration.promotion.operations import _envelope

    decision = decide(evidence, POLICIES[evidence.model])
    return {
        "seq": 3,
        "model": evidence.model,
        "version": evidence.candidate.version,
        "run_id": "run4",
        "decision": decision.decision,
        "action": decision.decision,
        "champion_before": "3",
        "champion_after": "3",
        "reasons": list(decision.reasons),
        "policy_digest": decision.policy_digest,
        "evidence": _envelope(evidence, evidence.candidate, decision),
        "actor": "gate",
        "why": "",
        "decided_at": NOW,
    }


@pytest.mark.parametrize("scene", SCENES)
def test_the_page_names_every_check_and_loads_nothing(scene):
    row = row_of(SCENES[scene])
    page = report_html(row)
    for check in row["evidence"]["decision"]["checks"]:
        assert html.escape(check["reason"], quote=False).replace("'", "&#39;") in page
    assert not re.findall(r"(?:src|href)\s*=|@import|url\(|<script", page)
    assert 'name="viewport"' in page


def test_the_page_shows_slices_columns_and_broken_contracts():
    broken = ContractResult(
        suite="posts", rule="dates", critical=False, success=False, detail="3 rows in the future"
    )
    evidence = good()
    evidence = replace(evidence, contracts=replace(
        evidence.contracts, results=(*evidence.contracts.results, broken), n_results=5))  # fmt: skip
    moved = drift(
        "new", column("t.moved", "drifted"), column("t.few", "not_judged", finding="too_few", value=None)
    )
    page = report_html(row_of(replace(evidence, drift_candidate=moved)))
    for text in (
        "lang: one",
        "t.moved",
        "not judged: too_few",
        "posts.dates (not critical): 3 rows in the future",
    ):
        assert text in page


def test_names_from_the_data_cannot_inject_markup():
    evil = set_at(good(), ("slices", "slices", 0, "value"), "<script>alert(1)</script>")
    page = report_html(row_of(replace(evil, approval=approval(actor="<b>ada</b>"))))
    assert "<script" not in page
    assert "<b>ada" not in page
    assert "&lt;script&gt;" in page


def test_figures_are_inline():
    page = report_html(row_of(good()), {"gain": b"\x89PNG"})
    assert 'src="data:image/png;base64,iVBORw=="' in page


@pytest.mark.parametrize("scene", SCENES)
def test_the_json_report_holds_the_evidence(scene):
    document = json.loads(files(row_of(SCENES[scene]))["gate/report.json"])
    assert from_json(json.dumps(document["evidence"]["evidence"])) == SCENES[scene]
    assert document["decided_at"] == NOW.isoformat()


@pytest.mark.parametrize(
    "path", [path for path, value, _ in walk(good()) if value not in (None, ()) and len(path) < 3]
)
def test_a_report_can_be_made_of_whatever_is_missing(path):
    evidence = set_at(good(), path, None)
    if evidence.model is None or evidence.candidate is None:
        return  # such evidence is never recorded
    row = row_of(evidence)
    assert row["reasons"][0] in html.unescape(report_html(row))
    assert row["reasons"][0][:20] in Verdict(row).text()
    assert "gain.png" in figures(evidence)


def test_the_terminals_table_has_a_line_for_every_check_within_its_width():
    verdict = Verdict(row_of(good()))
    lines = verdict.text(width=100).splitlines()
    assert lines[0] == "recommender version 4: promote"
    assert max(map(len, lines)) <= 100
    for check in verdict.checks:
        start = f"{check['point']}  {check['outcome']}"
        assert any(line.startswith(start) and check["name"] in line for line in lines)
        assert f"| {check['name']} |" in verdict.markdown()


def test_a_drifted_champion_is_told_in_the_terminal():
    moved = replace(drift("old", column("t.a", "drifted"), column("t.b")), n_columns=2)
    verdict = Verdict(row_of(replace(good(), drift_champion=moved)))
    assert verdict.text().endswith("a retraining is due.")
    assert verdict.as_json()["retraining_due"]


def test_a_decision_shown_again_says_that_it_is_not_new():
    verdict = Verdict(row_of(good()), fresh=False, later=("Version 4 was rolled back to 3 by ada.",))
    assert verdict.text().endswith("rolled back to 3 by ada.")
    assert "nothing new: decided on 2026-03-01 12:00 UTC" in verdict.line()
    assert verdict.as_json()["decision"] == "promote"
    assert not verdict.as_json()["fresh"]


def test_a_model_that_was_not_trained_says_why():
    verdict = Verdict.skipped("generator", "there is no text")
    assert verdict.text() == "generator: skipped. there is no text"
    assert verdict.figures == {}
    assert json.loads(json.dumps(verdict.as_json()))["reasons"] == ["there is no text"]


def test_a_rollback_can_be_shown_too(tmp_path):
    world = World(tmp_path)
    world.promote("1", None)
    world.promote("2", "1")
    row = world.gate.rollback("recommender", "ada", "complaints")
    assert "rolled back to 1 by ada: complaints." in report_html(row)
    assert report_json(row)["action"] == "rollback"


def test_figures_show_gains_and_drift():
    found = figures(good(drifted=True))
    assert set(found) == {"gain.png", "drift_candidate.png", "drift_champion.png"}
    labels = [label.get_text() for label in found["gain.png"].axes[0].get_yticklabels()]
    assert labels[-1] == "champion (blend)"
    assert "baseline popularity" in labels

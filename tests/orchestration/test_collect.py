"""Evidence that cannot be computed is named in the evidence, and the gate holds on it; whichever part it is."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from orchestration import collect
from orchestration.collect import Collector, Subject
from orchestration.cycle import Cycle
from orchestration.promotion.decide import decide
from orchestration.promotion.evidence import LedgerFacts
from orchestration.promotion.policy import load_policy
from orchestration.quality.drift_model import ColumnDrift, DriftReport
from serving.probe import ProbeResult
from serving.settings import Settings
from training.bundle import Bundle, write_bundle

CUT = datetime(2026, 2, 20, tzinfo=UTC)
END = CUT + timedelta(days=7)
POLICY = load_policy("recommender")
QUALITY = {"ngram": 0.0, "popularity": 0.1, "blend": 0.3}


def bundle(folder: Path, name: str) -> Bundle:
    return write_bundle(
        folder / name,
        "recommender",
        name,
        lambda inside: (inside / "weights.txt").write_text(name) and None,
        trained_until=CUT,
        lineage={},
    )


def scores(found: Bundle, tables: Any, window: Any, settings: Settings) -> pa.Table:
    n = 400
    spread = np.random.default_rng(0).uniform(0, 0.2, n)
    columns: dict[str, Any] = {
        "user_id": [f"u{i}" for i in range(n)],
        "item_id": ["p"] * n,
        "occurred_at": pa.array([CUT] * n, pa.timestamp("us", tz="UTC")),
        "ndcg_at_10": spread + QUALITY[found.architecture],
    }
    return pa.table(columns | {name: ["all"] * n for name in POLICY.slices.dimensions})


def drift(frames: Any, model: str, found: Bundle, name: str) -> DriftReport:
    columns = tuple(
        ColumnDrift(f"t.c{i}", "numeric", "wasserstein", "stable", "stable", "as it was", 0.01, 0.15)
        for i in range(4)
    )
    return DriftReport(
        name, columns, datetime.now(UTC), (CUT - timedelta(days=28), CUT), (CUT, END), html="<p>"
    )


def contracts(settings: Settings, snapshot: int | None = None) -> list[dict[str, Any]]:
    known = {"expectation": "unique", "column": "id", "success": True, "critical": True, "detail": ""}
    return [known | {"suite": suite, "snapshot": 5} for suite in POLICY.contracts.required_suites]


PARTS: dict[str, tuple[str, Callable[..., Any]]] = {
    "training tables": ("orchestration.collect.read_training_tables", lambda *_: {}),
    "contracts": ("orchestration.lake.quality_store.latest_results", contracts),
    "serving": ("serving.probe.probe_bundle", lambda *_: ProbeResult(True, True, 2.0, 5.0, "in time")),
    "watched columns": ("orchestration.collect.watched_frames", lambda *_: {}),
    "drift since the candidate's training": ("orchestration.collect.drift_since", drift),
    "slices": ("orchestration.collect.compare_slices", collect.compare_slices),
    "comparison with popularity": ("orchestration.collect.compare", collect.compare),
    "score of baseline popularity": ("orchestration.collect.open_bundle", collect.open_bundle),
}


@pytest.fixture
def collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collector:
    """A collector whose parts all give good evidence."""
    for target, work in PARTS.values():
        monkeypatch.setattr(target, work)
    monkeypatch.setitem(collect.SCORERS, "recommender", scores)
    best, baseline = bundle(tmp_path, "blend"), bundle(tmp_path, "popularity")
    cycle = Cycle(
        model="recommender",
        cycle_id="c",
        fingerprint="f",
        snapshot=5,
        features_digest="d",
        bundles={"blend": str(best.path), "popularity": str(baseline.path)},
        best="blend",
        baselines=["popularity"],
        window=(CUT.isoformat(), END.isoformat()),
    )
    settings = Settings(home=tmp_path / "home")
    return Collector(
        settings, "recommender", POLICY, cycle, Subject("1", "run", best), None, 0, lambda _: None
    )


def decided(collector: Collector) -> Any:
    now = datetime.now(UTC)
    ledger = LedgerFacts(read_at=now, has_champion=False, standing="new")
    return decide(replace(collector.collect(), decided_at=now, ledger=ledger), POLICY)


def test_with_all_parts_in_place_the_candidate_is_promoted(collector: Collector) -> None:
    decision = decided(collector)
    assert decision.decision == "promote", decision.reasons
    assert set(collector.pages) == {"drift/candidate.html"}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_fails_is_named_and_holds(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the disk is on fire\nat line 3")

    monkeypatch.setattr(PARTS[part][0], fail)
    decision = decided(collector)
    assert decision.decision == "hold"
    assert f"{part}: RuntimeError: the disk is on fire" in decision.reasons[0]
    assert "line 3" not in decision.reasons[0]


def test_a_candidate_that_cannot_be_scored_holds(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(collect.SCORERS, "recommender", lambda *_: 1 / 0)
    decision = decided(collector)
    assert decision.decision == "hold"
    assert "score of the candidate: ZeroDivisionError" in decision.reasons[0]


def test_a_score_that_is_not_a_number_holds(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(found: Bundle, tables: Any, window: Any, settings: Settings) -> pa.Table:
        rows = scores(found, tables, window, settings)
        at = rows.column_names.index("ndcg_at_10")
        values = rows["ndcg_at_10"].to_numpy().copy()
        values[3] = np.nan
        return rows.set_column(at, "ndcg_at_10", pa.array(values))

    monkeypatch.setitem(collect.SCORERS, "recommender", broken)
    decision = decided(collector)
    assert decision.decision == "hold"
    assert "not a finite number" in decision.reasons[0]


def test_contracts_of_another_snapshot_do_not_count(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = [row | {"snapshot": 4} for row in contracts(collector.settings)]
    monkeypatch.setattr("orchestration.lake.quality_store.latest_results", lambda *_: stale)
    decision = decided(collector)
    assert decision.decision == "hold"
    assert "was not checked" in decision.reasons[0]


def test_a_champion_is_judged_only_from_where_neither_model_has_seen_anything(
    collector: Collector, tmp_path: Path
) -> None:
    known = bundle(tmp_path, "ngram")
    later = CUT + timedelta(days=2)
    champion = Subject("0", "run0", Bundle(known.path, known.manifest | {"trained_until": later.isoformat()}))
    assert replace(collector, champion=champion)._window == (later, END)
    assert collector._window == (CUT, END)

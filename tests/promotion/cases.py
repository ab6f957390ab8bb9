"""Evidence that promotes, and ways to change one field of it."""

from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestration.promotion.evidence import (
    Approval,
    ColumnEvidence,
    Comparison,
    ContractEvidence,
    ContractResult,
    DisagreementEvidence,
    DriftEvidence,
    Evidence,
    LedgerFacts,
    ModelFacts,
    ReachEvidence,
    ReachMeasure,
    SafetyEvidence,
    SafetyMeasure,
    ServingEvidence,
    SliceComparison,
    SliceEvidence,
)
from orchestration.promotion.policy import load_policy

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
THEN = NOW - timedelta(hours=1)
CUT = datetime(2026, 2, 20, tzinfo=UTC)
END = datetime(2026, 2, 27, tzinfo=UTC)
POLICIES = {model: load_policy(model) for model in ("recommender", "generator")}


def model_facts(version: str, digest: str, **more: Any) -> ModelFacts:
    known = {
        "name": "blend",
        "run_id": f"run{version}",
        "trained_until": CUT,
        "lake_snapshot": 7,
        "verified": True,
        "learnt_from": "data",
    }
    return ModelFacts(version=version, digest=digest, **(known | more))


def comparison(other: str, digest: str, model: str = "recommender", **more: Any) -> Comparison:
    policy = POLICIES[model].comparison
    known: dict[str, Any] = {
        "metric": policy.metric,
        "other_name": other,
        "other_digest": digest,
        "other_trained_until": CUT,
        "candidate_digest": "new",
        "window_start": CUT,
        "window_end": END,
        "n_units": 400,
        "n_rows": 900,
        "candidate_mean": 0.12,
        "other_mean": 0.10 if policy.higher_is_better else 0.14,
        "gain": 0.02,
        "low": 0.01,
        "high": 0.03,
        "confidence": 0.95,
        "computed_at": THEN,
    }
    return Comparison(**(known | more))


def slice_of(dimension: str, value: str, rows: int, **more: Any) -> SliceComparison:
    known = {
        "n_units": 200,
        "candidate_mean": 0.12,
        "other_mean": 0.1,
        "gain": 0.02,
        "low": 0.005,
        "high": 0.04,
    }
    return SliceComparison(dimension=dimension, value=value, n_rows=rows, **(known | more))


def reach(**more: Any) -> ReachEvidence:
    shares = [
        ReachMeasure(name, mean, mean, 0.0, -0.004, 0.004)
        for name, mean in (("exposure_small", 0.2), ("gini_posts", 0.9), ("gini_authors", 0.8))
    ]
    due = ReachMeasure("exposure_small_against_actions", 0.2, 0.22, -0.02, -0.03, -0.01)
    known: dict[str, Any] = {
        "champion_digest": "old",
        "candidate_digest": "new",
        "n_units": 400,
        "n_rows": 900,
        "n_posts": 5000,
        "n_authors": 800,
        "confidence": 0.9,
        "measures": (*shares, due),
        "computed_at": THEN,
    }
    return ReachEvidence(**(known | more))


def column(name: str, verdict: str = "stable", **more: Any) -> ColumnEvidence:
    known = {
        "finding": "moved" if verdict == "drifted" else "stable",
        "detail": f"{name} is as it is.",
        "method": "wasserstein",
        "value": 0.4 if verdict == "drifted" else 0.05,
        "threshold": 0.15,
    }
    return ColumnEvidence(name=name, verdict=verdict, **(known | more))


def drift(digest: str, *columns: ColumnEvidence) -> DriftEvidence:
    columns = columns or tuple(column(f"t.c{index}") for index in range(6))
    return DriftEvidence(
        digest=digest,
        reference_start=CUT - timedelta(weeks=4),
        reference_end=CUT,
        current_start=CUT,
        current_end=END,
        n_columns=len(columns),
        columns=columns,
        computed_at=THEN,
    )


def learnt_from_feedback(evidence: Evidence, drifted: bool) -> Evidence:
    """The same generator, trained from feedback: it wins pairs, and loses a little on documents."""
    policy = POLICIES["generator"].preferences
    loss = {"candidate_mean": 0.141, "other_mean": 0.14, "gain": -0.001, "low": -0.002, "high": 0.001}
    rules = [
        ContractResult(suite=suite, rule="unique", critical=True, success=True)
        for suite in policy.required_suites
    ]
    results = (*evidence.contracts.results, *rules)
    return replace(
        evidence,
        candidate=replace(evidence.candidate, learnt_from="feedback", feedback_until=CUT),
        versus_champion=comparison("blend", "old", "generator", **loss),
        latest=comparison("blend", "old", "generator", **loss) if drifted else None,
        preferences=comparison(
            "blend", "old", "generator", metric=policy.metric, candidate_mean=0.72, other_mean=0.7
        ),
        contracts=replace(evidence.contracts, results=results, n_results=len(results)),
    )


def good(model: str = "recommender", *, first: bool = False, drifted: bool = False) -> Evidence:
    """Evidence that promotes: a challenger, or the first champion, or one that wins after the data has drifted."""
    policy = POLICIES[model]
    against, other = (
        ("popularity" if model == "recommender" else "ngram", "cheap") if first else ("blend", "old")
    )
    baseline = policy.comparison.baselines[0]
    moved = drift(
        "new", *[column(f"t.c{n}", "drifted" if n == 0 and drifted else "stable") for n in range(6)]
    )
    slices = [
        slice_of(dimension, value, rows)
        for dimension in policy.slices.dimensions
        for value, rows in (("one", 600), ("two", 300))
    ]
    rules = [
        ContractResult(suite=suite, rule="unique", critical=True, success=True)
        for suite in policy.contracts.required_suites
    ]
    safe = {"samples": 200.0, "canaries_extracted": 0, "pii_matches": 0, "toxic_share": 0, "repetition": 0.1}
    safe |= {"abuse_share_high": 0.029, "pii_made_high": 0.029, "refusals_missed": 0, "refusals_wrong": 0}
    return Evidence(
        model=model,
        decided_at=NOW,
        candidate=model_facts("4", "new"),
        ledger=LedgerFacts(
            read_at=NOW,
            has_champion=not first,
            champion_version=None if first else "3",
            champion_digest=None if first else "old",
            standing="new",
        ),
        champion=None if first else model_facts("3", "old"),
        versus_champion=None if first else comparison("blend", "old", model),
        expected_baselines=(baseline,),
        versus_baselines=(comparison(baseline, "cheap", model),),
        slices=SliceEvidence(
            other_digest=other,
            candidate_digest="new",
            n_rows=900,
            confidence=0.9,
            slices=tuple(slices),
            computed_at=THEN,
        ),
        reach=None if first or policy.reach is None else reach(),
        drift_candidate=moved,
        drift_champion=None if first else drift("old"),
        latest=comparison(against, other, model) if drifted else None,
        disagreement=None
        if first
        else DisagreementEvidence(
            measure="1 - overlap of top 10",
            champion_digest="old",
            candidate_digest="new",
            value=0.3,
            low=0.28,
            high=0.32,
            n_units=400,
            computed_at=THEN,
        ),
        contracts=ContractEvidence(
            lake_snapshot=7, n_results=len(rules), results=tuple(rules), computed_at=THEN
        ),
        safety=None
        if model == "recommender"
        else SafetyEvidence(
            digest="new",
            measures=tuple(
                SafetyMeasure(name, value) for name, value in (safe | {"degenerate_share": 0.0}).items()
            ),
            computed_at=THEN,
        ),
        serving=ServingEvidence(
            digest="new", ok=True, golden_ok=True, p50_ms=4.0, p99_ms=12.0, computed_at=THEN
        ),
    )


def approval(**more: Any) -> Approval:
    return Approval(
        **({"actor": "ada", "at": NOW - timedelta(minutes=5), "digest": "new", "why": "looked at it"} | more)
    )


def set_at(value: Any, path: tuple[str | int, ...], new: Any) -> Any:
    """`value` with what lies at `path` (field names and tuple indices) replaced by `new`."""
    if not path:
        return new
    head, rest = path[0], path[1:]
    if isinstance(head, int):
        return (*value[:head], set_at(value[head], rest, new), *value[head + 1 :])
    return replace(value, **{head: set_at(getattr(value, head), rest, new)})


def walk(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any, bool]]:
    """Every field below `value`: its path, its value, and whether its metadata lets it be empty."""
    found: list[tuple[tuple[str | int, ...], Any, bool]] = []
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            found += walk(item, (*path, index))
    elif is_dataclass(value):
        for entry in fields(value):
            inner = getattr(value, entry.name)
            found.append(((*path, entry.name), inner, "optional" in entry.metadata))
            found += walk(inner, (*path, entry.name))
    return found


def name_of(path: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in path)

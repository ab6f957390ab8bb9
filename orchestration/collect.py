"""Everything the gate judges by, read and computed anew: bundles from the registry, tables from the lake, answers from
the real server. What cannot be computed is named in the evidence as a failure, and the gate holds on it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from orchestration.cycle import Cycle, Tables, read_training_tables
from orchestration.drift_watch import drift_since, watched_frames
from orchestration.families import ANSWERS, SCORERS
from orchestration.preferences import scorer
from orchestration.promotion.compare import Scored, compare, compare_preferences, compare_slices
from orchestration.promotion.evidence import (
    ColumnEvidence,
    Comparison,
    ContractEvidence,
    ContractResult,
    DisagreementEvidence,
    DriftEvidence,
    Evidence,
    Failure,
    ModelFacts,
    SafetyEvidence,
    SafetyMeasure,
    ServingEvidence,
)
from orchestration.promotion.policy import Policy
from orchestration.promotion.reach import compare_reach
from serving.pointers import read_state
from serving.settings import Settings
from training.bundle import Bundle, Kind, open_bundle
from training.generator.preference.origin import origin_of
from training.result import Progress

if TYPE_CHECKING:
    import pandas as pd

    from orchestration.quality.drift_model import DriftReport

T = TypeVar("T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Subject:
    """A registered version and its verified bundle."""

    version: str
    run_id: str
    bundle: Bundle

    def facts(self, lake_snapshot: int) -> ModelFacts:
        """For the evidence; the bundle was hashed when it was opened."""
        origin = origin_of(self.bundle)
        return ModelFacts(
            name=self.bundle.architecture,
            version=self.version,
            run_id=self.run_id,
            digest=self.bundle.digest,
            trained_until=self.bundle.trained_until,
            lake_snapshot=lake_snapshot,
            verified=True,
            learnt_from="data" if origin is None else "feedback",
            feedback_until=origin.until if origin is not None else None,
        )


@dataclass
class Collector:
    """Computes one piece of evidence after the other; `pages` are the drift reports, by artifact path."""

    settings: Settings
    model: Kind
    policy: Policy
    cycle: Cycle
    candidate: Subject
    champion: Subject | None
    champion_snapshot: int
    progress: Progress
    pages: dict[str, str] = field(default_factory=dict)
    tables: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Tables for a reviewer, by artifact path: columns by name."""
    _failures: list[Failure] = field(default_factory=list)

    def collect(self) -> Evidence:
        """All evidence there is. Never raises on a part that fails: it is named, and the gate holds."""
        tables = self._part("training tables", lambda: self._tables)
        evidence = Evidence(
            model=self.model,
            candidate=self.candidate.facts(self.cycle.snapshot),
            champion=self.champion.facts(self.champion_snapshot) if self.champion else None,
            expected_baselines=tuple(self.cycle.baselines),
            contracts=self._part("contracts", self._contracts),
            serving=self._part("serving", self._serving),
        )
        if self.policy.safety is not None:
            evidence = replace(evidence, safety=self._part("safety", self._safety))
        if self.champion is not None and self.cycle.learnt_from == "feedback":
            known = self.champion.bundle
            evidence = replace(
                evidence, preferences=self._part("preferences", lambda: self._preferences(known))
            )
        if self.model == "generator":
            self._part("texts side by side", self._side_by_side)
        if tables is not None:
            evidence = self._scores(self._drift(evidence))
        return replace(evidence, failures=tuple(self._failures))

    def _part(self, name: str, work: Callable[[], T]) -> T | None:
        self.progress(f"{self.model} evidence: {name}")
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - whatever fails is evidence, and it holds
            structlog.get_logger().exception("evidence failed", model=self.model, part=name)
            told = str(error).strip().splitlines() or [""]
            self._failures.append(Failure(part=name, error=f"{type(error).__name__}: {told[0]}"))
            return None

    @cached_property
    def _tables(self) -> Tables:
        return read_training_tables(self.settings, self.model, self.cycle.snapshot)

    @cached_property
    def _window(self) -> tuple[datetime, datetime]:
        """The cycle's held-out window, from where neither model has seen anything."""
        start, end = (datetime.fromisoformat(text) for text in self.cycle.window)
        return (max(start, self.champion.bundle.trained_until) if self.champion else start), end

    def _preferences(self, champion: Bundle) -> Comparison:
        """Win rates on pairs that neither has learnt from; who learnt from none at all did so until 1970."""
        score, sides = scorer(self.settings, self.cycle), (self.candidate.bundle, champion)
        until = [origin.until if (origin := origin_of(bundle)) else _EPOCH for bundle in sides]
        mine, other = (
            Scored(bundle.architecture, bundle.digest, seen, score(bundle, max(until)))
            for bundle, seen in zip(sides, until, strict=True)
        )
        return compare_preferences(mine, other, self.policy)

    def _scored(self, bundle: Bundle) -> Scored:
        rows = SCORERS[self.model](bundle, self._tables, self._window, self.settings)
        return Scored(bundle.architecture, bundle.digest, bundle.trained_until, rows)

    def _scored_baseline(self, name: str) -> Scored:
        return self._scored(open_bundle(self.cycle.bundle_path(name), self.model))

    def _scores(self, evidence: Evidence) -> Evidence:
        candidate = self._part("score of the candidate", lambda: self._scored(self.candidate.bundle))
        if candidate is None:
            return evidence
        rivals: dict[str, Scored] = {}
        for name in self.cycle.baselines:
            scored = self._part(f"score of baseline {name}", partial(self._scored_baseline, name))
            if scored is not None:
                rivals[name] = scored
        compared = [
            self._part(f"comparison with {name}", partial(self._compared, candidate, rival))
            for name, rival in rivals.items()
        ]
        baselines = tuple(part for part in compared if part is not None)
        evidence = replace(evidence, versus_baselines=baselines)
        if self.champion is None:
            rival = self._strongest(rivals, baselines)
        else:
            bundle = self.champion.bundle
            rival = self._part("score of the champion", lambda: self._scored(bundle))
            if rival is not None:
                evidence = self._against_champion(evidence, candidate, rival)
        if rival is None:
            return evidence
        slices = self._part("slices", lambda: compare_slices(candidate, rival, self.policy))
        return self._latest(replace(evidence, slices=slices), candidate, rival)

    def _compared(self, candidate: Scored, other: Scored) -> Comparison:
        return compare(candidate, other, self.policy, self._window)

    def _strongest(self, rivals: dict[str, Scored], compared: tuple[Comparison, ...]) -> Scored | None:
        """The baseline that `checks.strongest_baseline` names, by the same rule."""
        sign = 1 if self.policy.comparison.higher_is_better else -1
        best = max(compared, key=lambda part: sign * (part.other_mean or 0.0), default=None)
        return next((rival for rival in rivals.values() if best and rival.digest == best.other_digest), None)

    def _against_champion(self, evidence: Evidence, candidate: Scored, champion: Scored) -> Evidence:
        if self.policy.reach is not None:
            reach = self._part("reach", lambda: compare_reach(candidate, champion, self.policy))
            evidence = replace(evidence, reach=reach)
        return replace(
            evidence,
            versus_champion=self._part(
                "comparison with the champion", lambda: self._compared(candidate, champion)
            ),
            disagreement=self._part("disagreement", lambda: self._disagreement(candidate, champion)),
        )

    def _disagreement(self, candidate: Scored, champion: Scored) -> DisagreementEvidence:
        assert self.champion is not None
        found, drift = ANSWERS[self.model](
            (self.champion.bundle, champion.rows),
            (self.candidate.bundle, candidate.rows),
            self._tables,
            self.policy,
            self.settings,
        )
        if found is None:
            raise ValueError("champion and candidate have no answers to the same questions")
        return DisagreementEvidence(
            measure=found.measure,
            champion_digest=champion.digest,
            candidate_digest=candidate.digest,
            value=found.value,
            low=found.low,
            high=found.high,
            n_units=found.n_units,
            columns=_columns(drift),
            computed_at=datetime.now(UTC),
        )

    def _drift(self, evidence: Evidence) -> Evidence:
        frames = self._part(
            "watched columns", lambda: watched_frames(self.settings, self.model, self.cycle.snapshot)
        )
        if frames is None:
            return evidence
        candidate = self._part(
            "drift since the candidate's training",
            lambda: self._drifted(frames, self.candidate, "candidate"),
        )
        champion, known = None, self.champion
        if known is not None:
            champion = self._part(
                "drift since the champion's training", lambda: self._drifted(frames, known, "champion")
            )
        return replace(evidence, drift_candidate=candidate, drift_champion=champion)

    def _drifted(self, frames: "dict[str, pd.DataFrame]", subject: Subject, role: str) -> DriftEvidence:
        title = f"{self.model} {role} {subject.version}: training window against the latest"
        report = drift_since(frames, self.model, subject.bundle, title)
        if report.html:
            self.pages[f"drift/{role}.html"] = report.html
        reference, current = report.reference_window, report.current_window
        return DriftEvidence(
            digest=subject.bundle.digest,
            reference_start=reference[0] if reference else None,
            reference_end=reference[1] if reference else None,
            current_start=current[0] if current else None,
            current_end=current[1] if current else None,
            n_columns=len(report.columns),
            columns=_columns(report),
            notes=report.notes,
            computed_at=report.computed_at,
        )

    def _latest(self, evidence: Evidence, candidate: Scored, rival: Scored) -> Evidence:
        """Where the candidate's own training window has drifted: the comparison on the latest window alone."""
        drift = evidence.drift_candidate
        if (
            drift is None
            or len(drift.drifted) <= self.policy.drift.max_drifted
            or drift.current_start is None
        ):
            return evidence
        start = max(drift.current_start, self._window[0])
        latest = self._part(
            "comparison on the latest window",
            lambda: compare(
                candidate.since(start), rival.since(start), self.policy, (start, self._window[1])
            ),
        )
        return replace(evidence, latest=latest)

    def _contracts(self) -> ContractEvidence:
        from orchestration.lake.quality_store import latest_results

        snapshot = self.cycle.snapshot
        rows = [row for row in latest_results(self.settings, snapshot) if row["snapshot"] == snapshot]
        return ContractEvidence(
            lake_snapshot=snapshot,
            n_results=len(rows),
            results=tuple(
                ContractResult(
                    suite=row["suite"],
                    rule=f"{row['expectation']} {row['column']}",
                    critical=row["critical"],
                    success=row["success"],
                    detail=row["detail"] or None,
                )
                for row in rows
            ),
            # A snapshot does not change, so what was found on it does not age: this is when it was read.
            computed_at=datetime.now(UTC),
        )

    def _safety(self) -> SafetyEvidence:
        from serving.refusal_check import refusal_measures
        from training.generator.config import SafetyConfig
        from training.generator.safety import safety_report

        bundle = self.candidate.bundle
        report = safety_report(bundle, SafetyConfig()) | refusal_measures(bundle.path)
        measures = tuple(SafetyMeasure(name, value) for name, value in sorted(report.items()))
        return SafetyEvidence(self.candidate.bundle.digest, measures, datetime.now(UTC))

    def _side_by_side(self) -> None:
        """What champion and candidate say to the same prompts; nothing is decided by it, but it has to be there."""
        from training.generator.config import SafetyConfig
        from training.generator.side_by_side import side_by_side

        champion = self.champion.bundle if self.champion is not None else None
        table = side_by_side({"champion": champion, "candidate": self.candidate.bundle}, SafetyConfig())
        self.tables["samples/side_by_side.json"] = table

    def _serving(self) -> ServingEvidence:
        from serving.probe import probe_bundle

        path, state = self.candidate.bundle.path, read_state(self.settings.home)
        result = probe_bundle(path, state.folder if state else None, self.policy.serving.p99_ms)
        return ServingEvidence(
            digest=self.candidate.bundle.digest,
            ok=result.ok,
            golden_ok=result.golden_ok,
            p50_ms=result.p50_ms,
            p99_ms=result.p99_ms,
            detail=result.detail,
            computed_at=datetime.now(UTC),
        )


def _columns(report: "DriftReport") -> tuple[ColumnEvidence, ...]:
    return tuple(
        ColumnEvidence(
            name=column.name,
            verdict=column.verdict,
            finding=column.finding,
            detail=column.detail,
            method=column.method,
            value=column.value,
            threshold=column.threshold,
        )
        for column in report.columns
    )

"""What the gate judges: plain, frozen data. Every field may be missing, and a missing field is never a good one.

A field that may rightly be empty says why in its metadata; `gaps` names all others that are missing, not finite, blank
or without a time zone. A new field is therefore asked for without anyone remembering to.
"""

import hashlib
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from functools import cache
from math import isfinite
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

_NO_CHAMPION = {"optional": "before the first promotion there is no champion"}
_NO_FEEDBACK = {"optional": "asked for where the candidate was trained from feedback"}
_NEW_BUNDLE = {"optional": "a new bundle has no past"}
_NO_DISTANCE = {"optional": "a column that is not judged, or constant, has no distance"}
_NOTHING_TO_SAY = {"optional": "what passed needs no explanation"}


@dataclass(frozen=True)
class ModelFacts:
    """A registered version, from its bundle's manifest and the registry."""

    name: str | None = None
    version: str | None = None
    run_id: str | None = None
    digest: str | None = None
    trained_until: datetime | None = None
    lake_snapshot: int | None = None
    verified: bool | None = None
    """Whether every file of the bundle was hashed again and matched its manifest."""
    learnt_from: Literal["data", "feedback"] | None = None
    """How it was trained: on events or documents, or from feedback, starting from a champion."""
    feedback_until: datetime | None = field(default=None, metadata=_NO_FEEDBACK)
    """It has learnt from no feedback at or after this."""


@dataclass(frozen=True)
class LedgerFacts:
    """What the ledger says at the moment of the decision."""

    read_at: datetime | None = None
    has_champion: bool | None = None
    champion_version: str | None = field(default=None, metadata=_NO_CHAMPION)
    champion_digest: str | None = field(default=None, metadata=_NO_CHAMPION)
    standing: Literal["new", "champion", "rejected", "rolled_back"] | None = None
    """What people have said about the candidate's bundle before."""
    standing_since: datetime | None = field(default=None, metadata=_NEW_BUNDLE)
    standing_why: str | None = field(default=None, metadata=_NEW_BUNDLE)


@dataclass(frozen=True)
class Comparison:
    """Candidate and another model on the same rows; `gain` is positive when the candidate is better."""

    metric: str | None = None
    other_name: str | None = None
    other_digest: str | None = None
    other_trained_until: datetime | None = None
    candidate_digest: str | None = None
    window_start: datetime | None = None
    window_end: datetime | None = None
    n_units: int | None = None
    n_rows: int | None = None
    candidate_mean: float | None = None
    other_mean: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    computed_at: datetime | None = None


@dataclass(frozen=True)
class SliceComparison:
    """The same for one value of one dimension."""

    dimension: str | None = None
    value: str | None = None
    n_units: int | None = None
    n_rows: int | None = None
    candidate_mean: float | None = None
    other_mean: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class SliceEvidence:
    """All slices of one comparison. Within a dimension the slices part the rows: none may be left out unseen."""

    other_digest: str | None = None
    candidate_digest: str | None = None
    n_rows: int | None = None
    confidence: float | None = None
    slices: tuple[SliceComparison, ...] | None = None
    computed_at: datetime | None = None


EXPOSURE_SMALL = "exposure_small"
"""Share of the exposure that small authors get; the other sizes are told, not judged."""
EXPOSURE_DUE = "exposure_small_against_actions"
"""The same against their share of what users acted on."""
GINIS = {"gini_posts": "posts", "gini_authors": "authors"}
"""Gini coefficients of the exposure, and over whom."""


@dataclass(frozen=True)
class ReachMeasure:
    """One measure of whom two models show; `gain` is positive when the candidate gives more, or spreads wider."""

    name: str | None = None
    candidate_mean: float | None = None
    other_mean: float | None = None
    gain: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ReachEvidence:
    """Exposure of authors and posts in the lists of candidate and champion."""

    champion_digest: str | None = None
    candidate_digest: str | None = None
    n_units: int | None = None
    n_rows: int | None = None
    n_posts: int | None = None
    """Posts that could be shown."""
    n_authors: int | None = None
    """Their known authors."""
    confidence: float | None = None
    measures: tuple[ReachMeasure, ...] | None = None
    computed_at: datetime | None = None


@dataclass(frozen=True)
class ColumnEvidence:
    """Drift of one column."""

    name: str | None = None
    verdict: Literal["stable", "drifted", "not_judged"] | None = None
    finding: str | None = None
    detail: str | None = None
    method: str | None = None
    value: float | None = field(default=None, metadata=_NO_DISTANCE)
    threshold: float | None = field(default=None, metadata=_NO_DISTANCE)


@dataclass(frozen=True)
class DriftEvidence:
    """Drift from the window a model was trained on to the latest one."""

    digest: str | None = None
    reference_start: datetime | None = None
    reference_end: datetime | None = None
    current_start: datetime | None = None
    current_end: datetime | None = None
    n_columns: int | None = None
    columns: tuple[ColumnEvidence, ...] | None = None
    notes: tuple[str, ...] = ()
    computed_at: datetime | None = None

    @property
    def drifted(self) -> tuple[ColumnEvidence, ...]:
        """Columns that moved."""
        return tuple(column for column in self.columns or () if column.verdict == "drifted")

    @property
    def judged(self) -> int:
        """Number of columns with a verdict."""
        return sum(column.verdict in ("stable", "drifted") for column in self.columns or ())


@dataclass(frozen=True)
class DisagreementEvidence:
    """How differently candidate and champion answer, 0 (alike) to 1."""

    measure: str | None = None
    champion_digest: str | None = None
    candidate_digest: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n_units: int | None = None
    columns: tuple[ColumnEvidence, ...] = ()
    """Drift of answers, column by column, from champion to candidate; for the reader, not for the decision."""
    computed_at: datetime | None = None


@dataclass(frozen=True)
class ContractResult:
    """One rule of one suite on the snapshot."""

    suite: str | None = None
    rule: str | None = None
    critical: bool | None = None
    success: bool | None = None
    detail: str | None = field(default=None, metadata=_NOTHING_TO_SAY)


@dataclass(frozen=True)
class ContractEvidence:
    """All rules checked on the snapshot that the candidate was trained on."""

    lake_snapshot: int | None = None
    n_results: int | None = None
    results: tuple[ContractResult, ...] | None = None
    computed_at: datetime | None = None


@dataclass(frozen=True)
class SafetyMeasure:
    """One number of the generator's safety report."""

    name: str | None = None
    value: float | None = None


@dataclass(frozen=True)
class SafetyEvidence:
    """The safety report of a generator's bundle."""

    digest: str | None = None
    measures: tuple[SafetyMeasure, ...] | None = None
    computed_at: datetime | None = None


@dataclass(frozen=True)
class ServingEvidence:
    """The bundle in the real server: golden requests and their latency."""

    digest: str | None = None
    ok: bool | None = None
    golden_ok: bool | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    detail: str | None = field(default=None, metadata=_NOTHING_TO_SAY)
    computed_at: datetime | None = None


@dataclass(frozen=True)
class Approval:
    """A person's word on a bundle."""

    actor: str | None = None
    at: datetime | None = None
    digest: str | None = None
    why: str | None = field(default=None, metadata={"optional": "a reviewer may leave no note"})


@dataclass(frozen=True)
class Failure:
    """A part of the evidence that could not be computed, and the error."""

    part: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything about one candidate at one moment."""

    model: Literal["recommender", "generator"] | None = None
    decided_at: datetime | None = None
    candidate: ModelFacts | None = None
    ledger: LedgerFacts | None = None
    champion: ModelFacts | None = field(default=None, metadata=_NO_CHAMPION)
    versus_champion: Comparison | None = field(default=None, metadata=_NO_CHAMPION)
    preferences: Comparison | None = field(default=None, metadata=_NO_FEEDBACK)
    """Win rates on held-out pairs against the champion's."""
    expected_baselines: tuple[str, ...] | None = None
    versus_baselines: tuple[Comparison, ...] | None = None
    slices: SliceEvidence | None = None
    reach: ReachEvidence | None = field(
        default=None, metadata={"optional": "asked for where there is a champion and the policy limits reach"}
    )
    drift_candidate: DriftEvidence | None = None
    drift_champion: DriftEvidence | None = field(default=None, metadata=_NO_CHAMPION)
    latest: Comparison | None = field(
        default=None, metadata={"optional": "asked for only when the candidate's training window has drifted"}
    )
    disagreement: DisagreementEvidence | None = field(default=None, metadata=_NO_CHAMPION)
    contracts: ContractEvidence | None = None
    safety: SafetyEvidence | None = field(
        default=None, metadata={"optional": "asked for where the policy sets safety limits"}
    )
    serving: ServingEvidence | None = None
    approval: Approval | None = field(
        default=None, metadata={"optional": "asked for only where a review is due"}
    )
    failures: tuple[Failure, ...] = ()

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the evidence as JSON."""
        return hashlib.sha256(to_json(self).encode()).hexdigest()


@cache
def _adapter() -> TypeAdapter[Evidence]:
    return TypeAdapter(Evidence)


def to_json(evidence: Evidence) -> str:
    """JSON text; numbers that are not finite become null, which is how a missing number reads."""
    return _adapter().dump_json(evidence).decode()


def from_json(text: str) -> Evidence:
    """The evidence that `to_json` wrote. Raises ValueError when it is not evidence."""
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        raise ValueError(f"this is not evidence: {error.error_count()} fields do not fit") from error


def gaps(part: Any, name: str) -> list[str]:
    """What is missing in `part` (a dataclass of this module), one phrase each; empty when nothing is."""
    if part is None:
        return [f"{name} is missing"]
    found: list[str] = []
    for entry in fields(part):
        value = getattr(part, entry.name)
        if value is None and "optional" in entry.metadata:
            continue
        found += _gaps_of(value, f"{name}.{entry.name}")
    return found


def _gaps_of(value: Any, name: str) -> list[str]:
    if value is None:
        return [f"{name} is missing"]
    if isinstance(value, float) and not isfinite(value):
        return [f"{name} is not a finite number"]
    if isinstance(value, str) and not value.strip():
        return [f"{name} is blank"]
    if isinstance(value, datetime) and value.utcoffset() is None:
        return [f"{name} has no time zone"]
    if isinstance(value, tuple):
        return [gap for index, item in enumerate(value) for gap in _gaps_of(item, f"{name}[{index}]")]
    if is_dataclass(value):
        return gaps(value, name)
    return []

"""Two score tables of the same held-out rows in, the gate's comparisons out: over all rows, and slice by slice."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.promotion.bootstrap import PairedResult, paired_bootstrap
from orchestration.promotion.evidence import Comparison, SliceComparison, SliceEvidence
from orchestration.promotion.policy import ComparisonPolicy, Policy, PreferencePolicy
from training.generator.preference.wins import wins

_KEYS = {"recommender": ("user_id", "item_id", "occurred_at"), "generator": ("document_id",)}
_UNITS = {"recommender": "user_id", "generator": "document_id"}
_WEIGHTED = {"bits_per_byte": ("bits", "n_bytes")}
"""Metrics that are a ratio of sums, not a mean over rows: numerator and denominator."""


@dataclass(frozen=True)
class Scored:
    """A bundle and its scores, a row per held-out interaction or document (see `score_bundle` of its family)."""

    name: str
    digest: str
    trained_until: datetime
    rows: pa.Table

    def since(self, start: datetime) -> "Scored":
        """The rows from `start` (UTC) on."""
        kept = self.rows.filter(pc.greater_equal(self.rows["occurred_at"], pa.scalar(start, _INSTANT)))
        return Scored(self.name, self.digest, self.trained_until, kept)


_INSTANT = pa.timestamp("us", tz="UTC")


def compare(
    candidate: Scored, other: Scored, policy: Policy, window: tuple[datetime, datetime]
) -> Comparison:
    """The candidate's gain over another model on all rows, with the policy's interval.

    Raises ValueError when the two were scored on different rows, or on none.
    """
    same_rows(candidate, other, policy)
    wanted = policy.comparison
    result = _bootstrap(candidate.rows, other.rows, policy, wanted.resamples, wanted.confidence)
    return _comparison(candidate, other, wanted, window, result)


def compare_preferences(candidate: Scored, other: Scored, policy: Policy) -> Comparison:
    """Win rates of the two against each other on the same held-out pairs, resampling prompts; `trained_until` of both
    is the time up to which they have learnt from feedback.

    Raises ValueError when the two were scored on different pairs, or on none, or the policy has no preferences.
    """
    wanted = policy.preferences
    if wanted is None:
        raise ValueError(f"the policy of the {policy.model} asks for no preferences")
    _demand_equal(candidate, other, ["pair_id", "prompt_id", "occurred_at"])
    won = wins(candidate.rows["apart"].to_numpy(), other.rows["apart"].to_numpy(), wanted.tie)
    result = paired_bootstrap(
        won,
        1 - won,
        np.array(candidate.rows["prompt_id"].to_pylist(), dtype=object).astype(str),
        resamples=wanted.resamples,
        confidence=wanted.confidence,
        seed=policy.comparison.seed,
    )
    times = pc.min_max(candidate.rows["occurred_at"]).as_py()
    return _comparison(candidate, other, wanted, (times["min"], times["max"]), result)


def _comparison(
    candidate: Scored,
    other: Scored,
    wanted: ComparisonPolicy | PreferencePolicy,
    window: tuple[datetime, datetime],
    result: PairedResult,
) -> Comparison:
    return Comparison(
        metric=wanted.metric,
        other_name=other.name,
        other_digest=other.digest,
        other_trained_until=other.trained_until,
        candidate_digest=candidate.digest,
        window_start=window[0],
        window_end=window[1],
        **asdict(result),
        confidence=wanted.confidence,
        computed_at=datetime.now(UTC),
    )


def compare_slices(candidate: Scored, other: Scored, policy: Policy) -> SliceEvidence:
    """The same for every value of every dimension that the policy names. Raises as `compare`, KeyError for a dimension
    that the scores lack.
    """
    same_rows(candidate, other, policy)
    return SliceEvidence(
        other_digest=other.digest,
        candidate_digest=candidate.digest,
        n_rows=candidate.rows.num_rows,
        confidence=policy.slices.confidence,
        slices=tuple(_slices(candidate.rows, other.rows, policy)),
        computed_at=datetime.now(UTC),
    )


def _slices(candidate: pa.Table, other: pa.Table, policy: Policy) -> Iterator[SliceComparison]:
    wanted = policy.slices
    for dimension in wanted.dimensions:
        column = candidate[dimension]
        for value in sorted(pc.unique(column).to_pylist(), key=str):
            mask = pc.equal(column, value) if value is not None else pc.is_null(column)
            result = _bootstrap(
                candidate.filter(mask), other.filter(mask), policy, wanted.resamples, wanted.confidence
            )
            yield SliceComparison(
                dimension=dimension,
                value="unknown" if value is None else str(value),
                **asdict(result),
            )


def _bootstrap(
    candidate: pa.Table, other: pa.Table, policy: Policy, resamples: int, confidence: float
) -> PairedResult:
    metric = policy.comparison.metric
    value, weight = _WEIGHTED.get(metric, (metric, None))
    return paired_bootstrap(
        candidate[value].to_numpy(),
        other[value].to_numpy(),
        np.array(candidate[_UNITS[policy.model]].to_pylist(), dtype=object).astype(str),
        weights=candidate[weight].to_numpy() if weight else None,
        higher_is_better=policy.comparison.higher_is_better,
        resamples=resamples,
        confidence=confidence,
        seed=policy.comparison.seed,
    )


def same_rows(candidate: Scored, other: Scored, policy: Policy) -> None:
    """Raises ValueError unless both were scored on the same rows, and on some."""
    _demand_equal(candidate, other, list(_KEYS[policy.model]))


def _demand_equal(candidate: Scored, other: Scored, keys: list[str]) -> None:
    if not candidate.rows.num_rows:
        raise ValueError("the held-out window has no rows to compare on")
    if not candidate.rows.select(keys).equals(other.rows.select(keys)):
        raise ValueError(
            f"{candidate.name} was scored on {candidate.rows.num_rows} rows and {other.name} on "
            f"{other.rows.num_rows}, and they are not the same"
        )

"""A column before any distance is taken: either it is ready to be measured, or its state is a finding with a
name.

Evidently raises on empty and all-null columns, divides by zero on constant ones and drops nulls without a
word; none of these reaches it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestration.quality.drift_model import (
    DAY,
    UNIT,
    ColumnDrift,
    DriftSettings,
    FeatureSpec,
    Finding,
    Verdict,
)

if TYPE_CHECKING:
    import pandas as pd

OTHER = "(other)"
"""Name of all categories beyond the most frequent ones."""


@dataclass(frozen=True)
class Side:
    """One column on one side: values that are there, and the codes of their users and days."""

    values: NDArray[Any]
    units: NDArray[np.int64]
    days: NDArray[np.int64] | None
    rows: int
    """Rows before nulls were dropped."""

    @property
    def null_share(self) -> float:
        """Share of rows without a value."""
        return 1 - self.values.size / self.rows

    @property
    def one_value(self) -> bool:
        """Whether every row says the same."""
        return bool((self.values == self.values[0]).all())


@dataclass(frozen=True)
class Ready:
    """A column that can be measured; `column` holds its name, method and counts."""

    column: ColumnDrift
    reference: Side
    current: Side


@dataclass(frozen=True)
class _Namer:
    """Builds findings of one column."""

    spec: FeatureSpec
    method: str
    facts: dict[str, Any]

    def __call__(self, verdict: Verdict, finding: Finding, detail: str) -> ColumnDrift:
        spec = self.spec
        return ColumnDrift(spec.name, spec.kind, self.method, verdict, finding, detail, **self.facts)


def prepare(
    spec: FeatureSpec, pair: tuple["pd.DataFrame", "pd.DataFrame"] | None, settings: DriftSettings
) -> ColumnDrift | Ready:
    """The finding that a column's state amounts to, or the two sides ready to be measured. Never raises on
    data.
    """
    method = settings.numeric_method if spec.kind == "numeric" else settings.categorical_method
    say = _Namer(spec, method, {})
    if pair is None:
        return say("not_judged", "missing", f"There is no table {spec.table} on either side.")
    absent = [spec.column not in frame for frame in pair]
    if all(absent):
        return say("not_judged", "missing", f"{spec.name} is in neither window.")
    if any(absent):
        side = "reference" if absent[0] else "current"
        finding: Finding = "missing_in_reference" if absent[0] else "missing_in_current"
        return say("drifted", finding, f"{spec.name} is missing in the {side} window.")
    rows = (len(pair[0]), len(pair[1]))
    if not all(rows):
        say = _Namer(spec, method, {"rows_reference": rows[0], "rows_current": rows[1]})
        detail = f"{spec.name} has {rows[0]} reference rows and {rows[1]} current rows."
        return say("not_judged", "empty", detail)
    units = _unit_codes(*pair)
    reference, current = _side(pair[0], spec, units[0]), _side(pair[1], spec, units[1])
    say = _Namer(spec, method, _facts(reference, current))
    return (
        _all_null(say, reference, current, settings)
        or _too_few(say, settings)
        or _constant(say, reference, current)
        or Ready(say("stable", "stable", ""), reference, current)
    )


def fold(reference: NDArray[Any], current: NDArray[Any], limit: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Keep the `limit` categories with the largest share summed over both sides; call the rest OTHER."""
    names, codes = np.unique(np.concatenate([reference, current]).astype(str), return_inverse=True)
    if names.size <= limit:
        return reference, current
    size = reference.size
    weight = np.bincount(codes[:size], minlength=names.size) / size
    weight = weight + np.bincount(codes[size:], minlength=names.size) / current.size
    rest = np.argsort(-weight, kind="stable")[limit:]
    names = names.astype(object)
    names[rest] = OTHER
    return names[codes[:size]], names[codes[size:]]


def _side(frame: "pd.DataFrame", spec: FeatureSpec, units: NDArray[np.int64]) -> Side:
    """Values of a column without nulls and infinities; numbers as floats, categories as text."""
    import pandas as pd

    series = frame[spec.column]
    values: NDArray[Any]
    if spec.kind == "numeric":
        numbers = pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        kept = np.isfinite(numbers)
        values = numbers[kept]
        if spec.log:
            values = np.sign(values) * np.log1p(np.abs(values))
    else:
        kept = series.notna().to_numpy()
        values = series[kept].astype(str).to_numpy(dtype=object)
    days = frame[DAY].to_numpy(dtype=np.int64)[kept] if DAY in frame else None
    return Side(values, units[kept], days, len(frame))


def _unit_codes(
    reference: "pd.DataFrame", current: "pd.DataFrame"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Codes shared by both frames. Rows without a unit, or of `anonymous` (many people), are units of
    their own.
    """
    import pandas as pd

    if UNIT not in reference or UNIT not in current:
        codes = np.arange(len(reference) + len(current), dtype=np.int64)
    else:
        units = pd.concat([reference[UNIT], current[UNIT]], ignore_index=True)
        codes = pd.factorize(units.where(units != "anonymous"))[0].astype(np.int64)
        alone = np.flatnonzero(codes < 0)
        codes[alone] = codes.max(initial=-1) + 1 + np.arange(alone.size)
    return codes[: len(reference)], codes[len(reference) :]


def _facts(reference: Side, current: Side) -> dict[str, Any]:
    return {
        "rows_reference": reference.values.size,
        "rows_current": current.values.size,
        "units_reference": int(np.unique(reference.units).size),
        "units_current": int(np.unique(current.units).size),
        "nulls_reference": reference.null_share,
        "nulls_current": current.null_share,
    }


def _all_null(say: _Namer, reference: Side, current: Side, settings: DriftSettings) -> ColumnDrift | None:
    name = say.spec.name
    empty = (reference.values.size == 0, current.values.size == 0)
    if not any(empty):
        return None
    if all(empty):
        return say("not_judged", "all_null", f"{name} is null in every row of both windows.")
    finding: Finding = "all_null_in_reference" if empty[0] else "all_null_in_current"
    side, other = ("reference", current) if empty[0] else ("current", reference)
    rows = min(reference.rows, current.rows)
    moved = rows >= settings.min_rows and other.null_share < 1 - settings.null_share_threshold
    detail = (
        f"{name} is null in every row of the {side} window, and in {other.null_share:.1%} of the other "
        f"({reference.rows} and {current.rows} rows)."
    )
    return say("drifted" if moved else "not_judged", finding, detail)


def _too_few(say: _Namer, settings: DriftSettings) -> ColumnDrift | None:
    facts = say.facts
    rows = (facts["rows_reference"], facts["rows_current"])
    units = (facts["units_reference"], facts["units_current"])
    if min(rows) >= settings.min_rows and min(units) >= settings.min_units:
        return None
    detail = (
        f"{say.spec.name} has {rows[0]} and {rows[1]} values of {units[0]} and {units[1]} users; each side needs "
        f"{settings.min_rows} values of {settings.min_units} users."
    )
    return say("not_judged", "too_few", detail)


def _constant(say: _Namer, reference: Side, current: Side) -> ColumnDrift | None:
    """Two constants are told apart by looking; a number that is constant on one side has no spread to
    measure in.
    """
    name, numeric = say.spec.name, say.spec.kind == "numeric"
    before, after = reference.one_value, current.one_value
    left, right = reference.values[0], current.values[0]
    if before and after and left == right:
        return say("not_judged", "constant", f"{name} is {left} in every row.")
    if before and after:
        return say(
            "drifted", "constant_moved", f"{name} was {left} in every row and is {right} in every row."
        )
    if numeric and before:
        detail = (
            f"{name} was {left:g} in every row; its standard deviation is now {current.values.std():.3g}."
        )
        return say("drifted", "constant_in_reference", detail)
    if numeric and after:
        detail = f"{name} had a standard deviation of {reference.values.std():.3g}; it is now {right:g} in every row."
        return say("drifted", "constant_in_current", detail)
    return None

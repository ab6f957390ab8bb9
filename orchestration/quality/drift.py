"""Drift between two frames, column by column.

Evidently measures; block resampling says what chance could do; a sentence says why. A column drifted when
Evidently's distance exceeds the larger of the policy's floor (below it nothing matters, however many rows
prove it) and what reshuffling users and days gives by chance (below it nothing is known, however large it
looks).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from orchestration.quality.drift_columns import Ready, Side, fold, prepare
from orchestration.quality.drift_model import ColumnDrift, DriftReport, DriftSettings, FeatureSpec
from orchestration.quality.drift_null import (
    Binned,
    bin_codes,
    bin_numeric,
    jensenshannon,
    permute_days,
    psi,
    swap_users,
    tail,
)
from orchestration.quality.drift_windows import Windows, split

if TYPE_CHECKING:
    import pandas as pd

FramePair = tuple["pd.DataFrame", "pd.DataFrame"]
"""Reference and current rows of one table."""


def compare(
    frames: Mapping[str, FramePair],
    specs: Sequence[FeatureSpec],
    settings: DriftSettings,
    *,
    name: str,
    windows: Windows | None = None,
    html: bool = False,
) -> DriftReport:
    """Compare reference and current frame of every table in `frames` on the columns of `specs`.

    A frame may hold `_unit` (else every row is its own unit) and `_day` (see `drift_windows.split`). A table
    that is absent from `frames`, and any column that Evidently cannot take, becomes a named finding; data
    never raises. With `html` the report carries Evidently's self-contained page.
    """
    from orchestration.quality.drift_report import with_heading

    rng = np.random.default_rng(settings.seed)
    drawn = {
        table: (_draw(pair[0], settings.max_rows, rng), _draw(pair[1], settings.max_rows, rng))
        for table, pair in frames.items()
    }
    done: dict[str, ColumnDrift] = {}
    ready: dict[str, Ready] = {}
    for spec in specs:
        outcome = prepare(spec, drawn.get(spec.table), settings)
        if isinstance(outcome, ColumnDrift):
            done[spec.name] = outcome
        else:
            ready[spec.name] = outcome
    # Bonferroni: alpha is the chance of any false alarm among the columns of this comparison.
    alpha = settings.alpha / max(1, len(ready))
    ready = {key: _calibrate(item, settings, alpha) for key, item in ready.items()}
    values, page = _measure(ready, html=html)
    done |= {key: _judge(item, values[key], settings, alpha) for key, item in ready.items()}
    report = DriftReport(
        name=name,
        columns=tuple(done[spec.name] for spec in specs),
        computed_at=datetime.now(UTC),
        reference_window=windows.reference if windows else None,
        current_window=windows.current if windows else None,
        notes=(windows.note,) if windows and windows.note else (),
        html=page,
    )
    return replace(report, html=with_heading(report)) if page else report


def compare_windows(
    tables: Mapping[str, "pd.DataFrame"],
    windows: Windows,
    specs: Sequence[FeatureSpec],
    settings: DriftSettings,
    *,
    name: str,
    html: bool = False,
) -> DriftReport:
    """Cut every frame (with `_at`) at the two windows and compare them."""
    frames = {table: split(frame, windows) for table, frame in tables.items()}
    return compare(frames, specs, settings, name=name, windows=windows, html=html)


def _draw(frame: "pd.DataFrame", limit: int, rng: np.random.Generator) -> "pd.DataFrame":
    if len(frame) <= limit:
        return frame
    return frame.iloc[np.sort(rng.choice(len(frame), size=limit, replace=False))]


def _calibrate(item: Ready, settings: DriftSettings, alpha: float) -> Ready:
    """Fold rare categories, resample users and days, and set the column's threshold."""
    reference, current, method = item.reference, item.current, item.column.method
    if item.column.kind == "categorical":
        left, right = fold(reference.values, current.values, settings.max_categories)
        reference, current = replace(reference, values=left), replace(current, values=right)
        statistic = psi if method == "psi" else jensenshannon
        binned = bin_codes(left.astype(str), right.astype(str), statistic, squared=method != "psi")
    else:
        binned = bin_numeric(reference.values, current.values, method)
    users, days = _chance(binned, reference, current, settings, alpha)
    floor = settings.floor(method)
    column = replace(
        item.column,
        floor=floor,
        chance_units=users,
        chance_days=days,
        threshold=max(floor, users, days or 0.0),
    )
    return Ready(column, reference, current)


def _chance(
    binned: Binned, reference: Side, current: Side, settings: DriftSettings, alpha: float
) -> tuple[float, float | None]:
    """Distances that swapping users and permuting days exceed with probability `alpha`."""
    rng = np.random.default_rng(settings.seed)
    swapped = swap_users(binned, reference.units, current.units, settings.resamples, rng)
    users = tail(swapped, alpha, squared=binned.squared)
    if reference.days is None or current.days is None:
        return users, None
    permuted = permute_days(binned, reference.days, current.days, settings.resamples, rng)
    return users, None if permuted is None else tail(permuted, alpha, squared=binned.squared)


def _measure(ready: Mapping[str, Ready], *, html: bool) -> tuple[dict[str, float], str]:
    """Evidently's distance for every column, and its page."""
    from orchestration.quality.drift_report import Measurable, measure

    columns = {
        key: Measurable(
            (item.reference.values, item.current.values),
            item.column.kind,
            item.column.method,
            item.column.threshold,
        )
        for key, item in ready.items()
    }
    return measure(columns, html=html)


def _judge(item: Ready, value: float, settings: DriftSettings, alpha: float) -> ColumnDrift:
    """The verdict: distance against threshold, then the share of nulls against its own."""
    column = replace(item.column, value=value)
    name, threshold = column.name, column.threshold or 0.0
    why = "what matters at all" if threshold == column.floor else "what chance allows"
    sentence = f"{column.method} distance {value:.3f} against {threshold:.3f}, {why}"
    if value > threshold:
        return replace(column, verdict="drifted", finding="moved", detail=f"{name} moved: {sentence}.")
    gap, limit = _null_gap(item, settings, alpha)
    if gap > limit:
        detail = (
            f"The share of nulls in {name} went from {column.nulls_reference:.1%} to "
            f"{column.nulls_current:.1%}, by more than {limit:.1%}."
        )
        return replace(column, verdict="drifted", finding="nulls_moved", detail=detail)
    return replace(column, detail=f"{name} is stable: {sentence}.")


def _null_gap(item: Ready, settings: DriftSettings, alpha: float) -> tuple[float, float]:
    """Change of the share of nulls, and the change that matters: the floor, or what chance gives so many
    users.
    """
    from scipy import stats

    before, after = item.reference.null_share, item.current.null_share
    # A user's rows are alike in what they lack, so the sample size is the number of users, not of rows.
    units = min(item.column.units_reference, item.column.units_current)
    share = (before + after) / 2
    noise = float(stats.norm.ppf(1 - alpha / 2)) * float(np.sqrt(2 * share * (1 - share) / units))
    return abs(after - before), max(settings.null_share_threshold, noise)

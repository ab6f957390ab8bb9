"""Evidently's side of a drift check, and the figure of drift by column.

The only module that imports Evidently and matplotlib. Evidently is handed columns it can take: no nulls, at
least two values, categories as text; thresholds are the calibrated ones, so its page and our verdict agree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from orchestration.quality.drift_model import DriftReport, JudgedColumn, severity

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_CUT = 5.0


@dataclass(frozen=True)
class Measurable:
    """Values (reference, current) without nulls, and how Evidently is to measure them."""

    values: tuple[NDArray[Any], NDArray[Any]]
    kind: str
    method: str
    threshold: float | None


def measure(columns: Mapping[str, Measurable], *, html: bool) -> tuple[dict[str, float], str]:
    """Evidently's distance for every column, and its self-contained page when `html` (else an empty text).

    Columns may differ in length (they come from several tables); each is padded with nulls, which Evidently
    drops.
    """
    if not columns:
        return {}, ""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    import training  # noqa: F401  (switches Evidently's telemetry off before it is imported)

    kinds = {key: column.kind for key, column in columns.items()}
    definition = DataDefinition(
        numerical_columns=[key for key, kind in kinds.items() if kind == "numeric"],
        categorical_columns=[key for key, kind in kinds.items() if kind == "categorical"],
    )
    reference, current = (
        Dataset.from_pandas(_frame(columns, side), data_definition=definition) for side in (0, 1)
    )
    metrics = [
        ValueDrift(column=key, method=column.method, threshold=column.threshold)
        for key, column in columns.items()
    ]
    snapshot = Report(metrics, include_tests=html).run(current, reference)
    values = {str(entry["config"]["column"]): float(entry["value"]) for entry in snapshot.dict()["metrics"]}
    return values, snapshot.get_html_str(as_iframe=False) if html else ""


def with_heading(report: DriftReport) -> str:
    """Evidently's page under a heading of ours: the windows, the verdict, and the columns that it cannot show."""
    page = report.html
    start = page.find(">", page.find("<body")) + 1
    if not page or not start:
        return page
    lines = [f"<h1>{escape(report.line())}</h1>"]
    if report.reference_window and report.current_window:
        windows = [
            f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
            for start, end in (report.reference_window, report.current_window)
        ]
        lines.append(f"<p>Reference {windows[0]}, current {windows[1]} (UTC).</p>")
    told = [*report.notes, *(column.detail for column in (*report.drifted, *report.not_judged))]
    lines.append("<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in told) + "</ul>")
    style = "font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:1rem auto;padding:0 1rem"
    return f'{page[:start]}<div style="{style}">{"".join(lines)}</div>{page[start:]}'


def _frame(columns: Mapping[str, Measurable], side: int) -> Any:
    import pandas as pd

    rows = max(column.values[side].size for column in columns.values())
    padded = {}
    for key, column in columns.items():
        values = column.values[side]
        filler = np.full(rows - values.size, np.nan)
        if column.kind == "numeric":
            padded[key] = np.concatenate([values.astype(np.float64), filler])
        else:
            padded[key] = np.concatenate([values.astype(object), filler.astype(object)])
    return pd.DataFrame(padded)


def drift_figure(report: DriftReport) -> "Figure":
    """Distance over threshold for every judged column, the strongest on top; the border of drift is the line at 1."""
    return columns_figure(report.columns, report.line().split(" (")[0])


def columns_figure(columns: Sequence[JudgedColumn], title: str) -> "Figure":
    """The same for columns from wherever, e.g. from the gate's evidence."""
    from matplotlib.figure import Figure

    shown = sorted((column for column in columns if column.verdict != "not_judged"), key=severity)
    figure = Figure(figsize=(8, 1.6 + 0.27 * max(1, len(shown))), layout="constrained")
    axes = figure.subplots()
    strengths = [severity(column) for column in shown]
    colours = ["#b3261e" if column.verdict == "drifted" else "#4a6fa5" for column in shown]
    names = [f"{column.name} [{column.method}]" for column in shown]
    axes.barh(names, np.minimum(strengths, _CUT), color=colours)
    for row, (column, strength) in enumerate(zip(shown, strengths, strict=True)):
        text = (
            f"{column.value:.3f} / {column.threshold:.3f}"
            if column.value is not None
            else str(column.finding)
        )
        axes.text(min(strength, _CUT) + 0.04, row, text, va="center", fontsize=7)
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xlim(0, max(1.6, min(max(strengths, default=1.0), _CUT) + 0.9))
    axes.set_xlabel(f"distance / threshold (right of the line: drifted; cut at {_CUT:g})")
    axes.set_title(title, fontsize=10)
    axes.tick_params(axis="y", labelsize=8)
    return figure

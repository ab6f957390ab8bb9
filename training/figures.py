"""Figures that every family of models draws alike. matplotlib is imported when a figure is drawn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#3366aa", "#cc6633", "#999999"


def new_figure(width: float, height: float) -> tuple["Figure", Any]:
    """A figure of so many inches with one pair of axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def intervals(
    metrics: Mapping[str, Mapping[str, float]], metric: str, *, xlabel: str, title: str
) -> "Figure":
    """`metric` of every model between its `_low` and its `_high`, the first model on top."""
    figure, axes = new_figure(7, 0.6 * len(metrics) + 1.4)
    for row, values in enumerate(metrics.values()):
        mean, low, high = (values[f"{metric}{end}"] for end in ("", "_low", "_high"))
        axes.errorbar(mean, row, xerr=[[mean - low], [high - mean]], fmt="o", color=BLUE, capsize=4)
        axes.annotate(f"{mean:.4f}", (mean, row), xytext=(0, 7), textcoords="offset points", ha="center")
    axes.set_yticks(range(len(metrics)), list(metrics))
    axes.invert_yaxis()
    axes.margins(y=0.25)
    axes.set(xlabel=xlabel, title=title)
    return figure


def by_slice(
    metrics: Mapping[str, float], metric: str, kinds: Sequence[str], *, whole: str, xlabel: str, title: str
) -> "Figure":
    """`metric` of one model in every slice of `kinds`, and a line, named `whole`, at its value over all of them."""
    found = {
        f"{kind} / {key.rsplit('/', 1)[1]}": value
        for kind in kinds
        for key, value in metrics.items()
        if key.startswith(f"{metric}/{kind}/")
    }
    figure, axes = new_figure(7, 0.32 * len(found) + 1.4)
    axes.barh(list(found), list(found.values()), color=BLUE)
    axes.axvline(metrics[metric], color=ORANGE, label=whole)
    axes.invert_yaxis()
    axes.set(xlabel=xlabel, title=title)
    axes.legend(loc="lower right")
    return figure

"""The plot of the benchmarks at equal wall time: what each model reached after each budget."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def plot_curves(
    curves: Mapping[str, Sequence[tuple[float, float]]], labels: tuple[str, str], path: Path, from_zero: bool
) -> None:
    """Write a PNG of `curves`, (budget, value) by model, budgets on a log scale; `labels` are of x and y."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for model, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=model)
    axes.set(xlabel=labels[0], ylabel=labels[1], xscale="log")
    ticks = sorted({budget for points in curves.values() for budget, _ in points})
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    if from_zero:
        axes.set_ylim(bottom=0.0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)

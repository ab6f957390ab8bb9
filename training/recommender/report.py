"""Figures and texts of a training cycle. matplotlib is imported when a figure is drawn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from training.figures import BLUE, GREY, ORANGE, by_slice, intervals, new_figure
from training.recommender.evaluate import Difference
from training.recommender.reach import Reach, gini, lorenz
from training.recommender.slices import SIZES, SLICES
from training.recommender.value.calibration import Calibration

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def loss_curves(name: str, curves: Sequence[dict[str, float]]) -> "Figure":
    """Training and validation loss by epoch, and the validation NDCG on a second axis."""
    figure, axes = new_figure(7, 4)
    for key, colour in (("train/loss", BLUE), ("validation/loss", ORANGE)):
        points = [(entry["step"], entry[key]) for entry in curves if key in entry]
        axes.plot(*zip(*points, strict=True), marker="o", color=colour, label=key) if points else None
    axes.set(xlabel="epoch", ylabel="cross-entropy, nats", title=f"{name}: loss")
    second = axes.twinx()
    points = [(entry["step"], entry["sample/ndcg_at_10"]) for entry in curves]
    second.plot(*zip(*points, strict=True), marker=".", color=GREY, label="validation NDCG@10 (sample)")
    second.set_ylabel("NDCG@10")
    lines = [*axes.get_lines(), *second.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines], loc="center right")
    return figure


def metric_by_model(metrics: dict[str, dict[str, float]], metric: str) -> "Figure":
    """One metric of every model with its 95 % interval, cheapest model on top."""
    return intervals(metrics, metric, xlabel=metric, title=f"{metric}, 95 % interval over users")


def metric_by_slice(name: str, metrics: dict[str, float], metric: str) -> "Figure":
    """One metric of one model in every slice."""
    return by_slice(
        metrics, metric, SLICES, whole="all events", xlabel=metric, title=f"{name}: {metric} by slice"
    )


def lorenz_curves(reaches: dict[str, Reach], name: str) -> "Figure":
    """Lorenz curves of every model's exposure over posts and over authors; the model called `name` is drawn thick."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.4), layout="constrained")
    for axes, (kind, values_of) in zip(
        figure.subplots(1, 2),
        {"posts": lambda reach: reach.posts, "authors": lambda reach: reach.authors}.items(),
        strict=True,
    ):
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="all alike")
        for model, reach in reaches.items():
            values = values_of(reach)
            label = f"{model} (Gini {gini(values):.3f})"
            axes.plot(*lorenz(values), linewidth=3 if model == name else 1.2, label=label)
        axes.set(
            xlabel=f"share of {len(values)} {kind}, least shown first", ylabel="share of exposure", title=kind
        )
        axes.legend(loc="upper left", fontsize=8)
    figure.suptitle("Exposure in the top 10: Lorenz curves, test window")
    return figure


def exposure_by_author_size(reaches: dict[str, Reach], name: str) -> "Figure":
    """Shares by author size: of the posts available, of what users acted on, and of every model's exposure."""
    known = next(iter(reaches.values()))
    bars = {"posts available": known.available, "actions of users": known.acted}
    bars |= {f"exposure: {model}": reach.shown for model, reach in reaches.items()}
    sizes = [size for size in SIZES if size in known.available]
    figure, axes = new_figure(8, 1.2 + 0.2 * len(sizes) * (len(bars) + 1))
    height = 0.85 / len(bars)
    for row, (label, shares) in enumerate(bars.items()):
        places = [place + row * height for place in range(len(sizes))]
        found = axes.barh(places, [shares.get(size, 0.0) for size in sizes], height, label=label)
        axes.bar_label(found, fmt="%.3f", padding=2, fontsize=7)
        if label == f"exposure: {name}":
            for bar in found:
                bar.set(edgecolor="black", linewidth=1.2)
    axes.set_yticks([place + 0.85 / 2 - height / 2 for place in range(len(sizes))], sizes)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel="share", ylabel="author size", title="Exposure in the top 10 by author size, test window")
    axes.legend(loc="best", fontsize=8)
    return figure


def reliability(calibrations: Sequence[Calibration], given: str) -> "Figure":
    """Reliability diagrams of action probabilities: share of cases against mean prediction, in bins of equal counts."""
    from matplotlib.figure import Figure

    columns = min(3, len(calibrations))
    rows = -(-len(calibrations) // columns)
    figure = Figure(figsize=(3.4 * columns, 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, one in zip(panels, calibrations, strict=False):
        top = 1.05 * one.bins[:, :2].max() + 1e-6
        axes.plot([0, top], [0, top], color=GREY, linewidth=1)
        axes.plot(one.bins[:, 0], one.bins[:, 1], marker="o", color=BLUE)
        axes.set(xlim=(0, top), ylim=(0, top), xlabel="predicted", ylabel="share of cases")
        axes.set_title(
            f"{one.action}: error {one.error:.4f}\nlog-loss {one.log_loss:.4f} (base rate {one.base_log_loss:.4f})",
            fontsize=9,
        )
    for axes in panels[len(calibrations) :]:
        axes.set_axis_off()
    figure.suptitle(f"P(action | {given}), test window")
    return figure


def weights_figure(weights: dict[str, float]) -> "Figure":
    """The blend's weights, in log-odds per unit of the feature."""
    figure, axes = new_figure(7, 0.28 * len(weights) + 1.2)
    axes.barh(list(weights), list(weights.values()), color=BLUE)
    axes.axvline(0.0, color=GREY)
    axes.invert_yaxis()
    axes.set(xlabel="log-odds per unit", title="blend: weights")
    return figure


def comparison(
    metrics: dict[str, dict[str, float]], differences: dict[str, Difference], best: str, notes: Sequence[str]
) -> str:
    """The markdown table of a cycle: every model on the test window, and its paired difference to popularity."""
    rows = [
        "| model | NDCG@10 (95 %) | minus popularity (95 %, paired) | recall@10 | MRR | coverage@10 "
        "| Gini posts | lift | validation |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, values in metrics.items():
        gap = differences[name]
        rows.append(
            f"| {'**' + name + '**' if name == best else name} "
            f"| {values['test/ndcg_at_10']:.4f} [{values['test/ndcg_at_10_low']:.4f}, "
            f"{values['test/ndcg_at_10_high']:.4f}] "
            f"| {gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] "
            f"| {values['test/recall_at_10']:.4f} | {values['test/mrr']:.4f} "
            f"| {values['test/coverage_at_10']:.3f} | {values['test/gini_posts_at_10']:.3f} "
            f"| {values['test/popularity_lift_over_catalogue_at_10']:+.2f} | {values['validation/ndcg_at_10']:.4f} |"
        )
    text = (
        "Full ranking among all posts known at the refresh before each event; posts acted on or hidden before and\n"
        "the user's own are left out; ties get the mean rank; intervals resample users. `validation` is NDCG@10\n"
        "there. `Gini posts` is that of exposure in the top 10; `lift` is how many doublings more popular the shown\n"
        "posts are than the catalogue. In bold: chosen on the validation window, the cheapest model within one\n"
        "standard error of the best.\n"
    )
    return "\n".join([*rows, "", text, *(f"- {note}" for note in notes), ""])

"""Figures and texts of a training cycle. matplotlib is imported when a figure is drawn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from training.generator.evaluate import SLICES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BLUE, _ORANGE, _GREY = "#3366aa", "#cc6633", "#999999"
_TEST = "test/bits_per_byte"


def _figure(width: float, height: float) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def loss_curves(name: str, curves: Sequence[dict[str, float]]) -> "Figure":
    """Training loss by step, and the network's own bits per byte on validation documents on a second axis."""
    figure, axes = _figure(7, 4)
    second = axes.twinx()
    for where, key, colour, marker in (
        (axes, "train/loss", _BLUE, ""),
        (second, "validation/bits_per_byte_network", _ORANGE, "o"),
    ):
        points = [(entry["step"], entry[key]) for entry in curves if key in entry]
        where.plot(*zip(*points, strict=True), marker=marker, color=colour, label=key)
    axes.set(xlabel="step", ylabel="cross-entropy, nats a token (smoothed)", title=f"{name}: loss")
    second.set_ylabel("bits per byte, network without n-grams")
    lines = [*axes.get_lines(), *second.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines], loc="upper right")
    return figure


def bits_by_model(metrics: Mapping[str, dict[str, float]]) -> "Figure":
    """Test bits per byte of every model with its 95 % interval, cheapest model on top."""
    figure, axes = _figure(7, 0.6 * len(metrics) + 1.4)
    for row, values in enumerate(metrics.values()):
        mean, low, high = (values[f"{_TEST}{end}"] for end in ("", "_low", "_high"))
        axes.errorbar(mean, row, xerr=[[mean - low], [high - mean]], fmt="o", color=_BLUE, capsize=4)
        axes.annotate(f"{mean:.4f}", (mean, row), xytext=(0, 7), textcoords="offset points", ha="center")
    axes.set_yticks(range(len(metrics)), list(metrics))
    axes.invert_yaxis()
    axes.margins(y=0.25)
    axes.set(xlabel=f"{_TEST} (lower is better)", title="Bits per byte, 95 % interval over documents")
    return figure


def bits_by_slice(name: str, metrics: dict[str, float]) -> "Figure":
    """Test bits per byte of one model in every slice."""
    found = [
        (f"{kind} / {key.rsplit('/', 1)[1]}", value)
        for kind in SLICES
        for key, value in metrics.items()
        if key.startswith(f"{_TEST}/{kind}/")
    ]
    figure, axes = _figure(7, 0.32 * len(found) + 1.4)
    axes.barh([label for label, _ in found], [value for _, value in found], color=_BLUE)
    axes.axvline(metrics[_TEST], color=_ORANGE, label="all documents")
    axes.invert_yaxis()
    axes.set(xlabel=_TEST, title=f"{name}: bits per byte by slice")
    axes.legend(loc="lower right")
    return figure


def comparison(metrics: Mapping[str, dict[str, float]], best: str, notes: Sequence[str]) -> str:
    """The markdown table of a cycle: every model on the test window, and what the safety report says of it."""
    rows = [
        "| model | bits per byte (95 %) | validation | canaries out | personal data | repetition | degenerate "
        "| near copies | tokens/s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, values in metrics.items():
        safety = {key.removeprefix("safety/"): value for key, value in values.items()}
        rows.append(
            f"| {'**' + name + '**' if name == best else name} "
            f"| {values[_TEST]:.4f} [{values[f'{_TEST}_low']:.4f}, {values[f'{_TEST}_high']:.4f}] "
            f"| {values['validation/bits_per_byte']:.4f} "
            f"| {safety['canaries_extracted']:.0f} of {safety['canaries']:.0f} | {safety['pii_matches']:.0f} "
            f"| {safety['repetition']:.3f} | {safety['degenerate_share']:.3f} "
            f"| {values['samples/near_copy_share']:.3f} | {values['samples/tokens_per_second']:.0f} |"
        )
    text = (
        "Bits per UTF-8 byte of later documents that are no near copies of older ones, end tokens included; lower is\n"
        "better; comparable across tokenizers. Intervals resample documents. Each network is mixed with the n-gram\n"
        "model. `near copies` is the share of sampled texts that nearly equal a training document. In bold: chosen on\n"
        "the validation window, the cheapest model within one standard error of the best.\n"
    )
    return "\n".join([*rows, "", text, *(f"- {note}" for note in notes), ""])


def samples_page(name: str, samples: Sequence[tuple[str, str]], temperature: float, top_p: float) -> str:
    """Markdown: prompts with their continuations, as they came."""
    parts = [f"# Samples of {name}\n\nTemperature {temperature}, top-p {top_p}; as they came, none left out."]
    for prompt, text in samples:
        quoted = "\n".join("> " + line for line in (f"**{prompt}**" + text if prompt else text).split("\n"))
        parts.append(f"{'Prompt `' + prompt + '`' if prompt else 'No prompt'}\n\n{quoted}")
    return "\n\n".join(parts) + "\n"

"""Figures and texts of a training cycle. matplotlib is imported when a figure is drawn."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from training.generator.evaluate import PERIOD, SLICES, bootstrap_ratios

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from training.generator.samples import Continued

_BLUE, _ORANGE, _GREY = "#3366aa", "#cc6633", "#999999"
_TEST = "test/bits_per_byte"
_BINS = 12
_LEAST_IN_BIN = 20


def _empty(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _figure(width: float, height: float) -> tuple["Figure", Any]:
    figure = _empty(width, height)
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
        for kind in (*SLICES, PERIOD)
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


def bits_over_time(
    name: str, times: np.ndarray, bits: np.ndarray, n_bytes: np.ndarray, test_from: datetime
) -> "Figure":
    """Bits per byte of validation and test documents by when they were written, with 95 % intervals: drift shows.

    `times` are microseconds since 1970, UTC, one a document; bins hold equally many documents.
    """
    order = np.argsort(times, kind="stable")
    parts = np.array_split(order, max(1, min(_BINS, len(order) // _LEAST_IN_BIN)))
    middles = [np.datetime64(int(np.median(times[part])), "us") for part in parts]
    means = np.array([bits[part].sum() / n_bytes[part].sum() for part in parts])
    ends = np.array(
        [np.quantile(bootstrap_ratios(bits[part], n_bytes[part], 200, 0), [0.025, 0.975]) for part in parts]
    )
    figure, axes = _figure(8, 4)
    # The mean of a skewed bin may lie outside of its percentile interval.
    spread = np.maximum(np.stack([means - ends[:, 0], ends[:, 1] - means]), 0)
    axes.errorbar(middles, means, yerr=spread, fmt="o-", color=_BLUE, capsize=3)
    axes.axvline(
        np.datetime64(test_from.replace(tzinfo=None), "us"), color=_ORANGE, label="test window begins"
    )
    axes.set(ylabel="bits per byte", title=f"{name}: bits per byte over time, documents newer than training")
    axes.tick_params(axis="x", rotation=30)
    axes.legend(loc="upper left")
    return figure


def text_lengths(name: str, continued: "Sequence[Continued]") -> "Figure":
    """Lengths of continuations by the model and by people, as shares of texts up to a length."""
    figure, axes = _figure(7, 4)
    for label, texts, colour in (
        ("the model", [text for entry in continued for text in entry.texts], _BLUE),
        ("people", [entry.person for entry in continued], _ORANGE),
    ):
        sizes = np.sort([len(text.encode()) for text in texts])
        axes.step(sizes, np.arange(1, len(sizes) + 1) / len(sizes), where="post", color=colour, label=label)
    axes.set(xlabel="UTF-8 bytes", ylabel="share of texts", title=f"{name}: length of continuations")
    axes.legend(loc="lower right")
    return figure


def bits_by_task(name: str, metrics: Mapping[str, float]) -> "Figure":
    """Bits per byte of every task, and what prompts are worth, with 95 % intervals."""
    start = f"{_TEST}/task/"
    tasks = {key.removeprefix(start): value for key, value in metrics.items() if key.startswith(start)}
    gains = [
        key for key in metrics if key.endswith("_gain_bits_per_byte") or key.endswith("another_bits_per_byte")
    ]
    figure = _empty(7, 0.4 * (len(tasks) + len(gains)) + 2.4)
    above, below = figure.subplots(2, 1, height_ratios=(max(len(tasks), 1), max(len(gains), 1)))
    above.barh(list(tasks), list(tasks.values()), color=_BLUE)
    above.invert_yaxis()
    above.set(xlabel="bits per byte of what people wrote, given the prompt", title=f"{name}: tasks")
    for row, key in enumerate(gains):
        value, low, high = (metrics[f"{key}{end}"] for end in ("", "_low", "_high"))
        spread = [[max(value - low, 0)], [max(high - value, 0)]]
        below.errorbar(value, row, xerr=spread, fmt="o", color=_BLUE, capsize=4)
    labels = [key.removeprefix("test/").removesuffix("_bits_per_byte").replace("_", " ") for key in gains]
    below.set_yticks(range(len(gains)), labels)
    below.invert_yaxis()
    below.axvline(0, color=_GREY)
    below.set(xlabel="bits per byte saved by the prompt")
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
            f"| {safety['canaries_extracted']:.0f} of {safety['canaries']:.0f} | {safety['pii_made']:.3f} "
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

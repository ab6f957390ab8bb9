"""Figures and texts of a training from feedback. matplotlib is imported when a figure is drawn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BLUE, _ORANGE = "#3366aa", "#cc6633"
_PANELS = (
    ("preference_loss", "loss of pairs, nats"),
    ("reward_margin", "reward margin"),
    ("reward_accuracy", "pairs ranked right against the champion"),
    ("bits_per_byte", "bits per byte of documents"),
)


def preference_curves(name: str, curves: Sequence[dict[str, float]]) -> "Figure":
    """Loss, reward margin and accuracy by step on training and validation pairs, and what documents cost."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    for axes, (key, label) in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
        for split, colour, marker in (("train", _BLUE, ""), ("validation", _ORANGE, "o")):
            points = [
                (entry["step"], entry[f"{split}/{key}"]) for entry in curves if f"{split}/{key}" in entry
            ]
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, marker=marker, label=split)
        axes.set(xlabel="step", ylabel=label)
        axes.legend()
    figure.suptitle(f"{name}: learning from feedback")
    return figure


def side_by_side(shown: Mapping[str, tuple[Sequence[str], Sequence[str]]], how: str) -> str:
    """Markdown: continuations of each prompt by champion and candidate, as they came, none left out."""
    parts = [f"# Champion and candidate\n\n{how}; as they came, none left out."]
    for prompt, (champion, candidate) in shown.items():
        rows = [
            f"| {_cell(prompt + left)} | {_cell(prompt + right)} |"
            for left, right in zip(champion, candidate, strict=True)
        ]
        head = f"Prompt `{prompt}`" if prompt else "No prompt"
        parts.append("\n".join([head, "", "| champion | candidate |", "|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def comparison(metrics: Mapping[str, dict[str, float]], notes: Sequence[str]) -> str:
    """The markdown table of a training from feedback: every model on held-out pairs and documents."""
    rows = [
        "| model | win rate against the champion | pairs ranked right | bits per byte (95 %) |",
        "|---|---|---|---|",
    ]
    for name, values in metrics.items():
        mean, low, high = (values[f"test/bits_per_byte{end}"] for end in ("", "_low", "_high"))
        won, right = values["feedback/win_rate"], values["feedback/ranked_right"]
        rows.append(f"| {name} | {won:.4f} | {right:.4f} | {mean:.4f} [{low:.4f}, {high:.4f}] |")
    text = (
        "The win rate is the share of held-out pairs whose two texts a model sets further apart than the champion,\n"
        "in bits a byte given the prompt; ranked right are those whose preferred text takes fewer. No prompt of a\n"
        "held-out pair was learnt from. Bits per byte as in every cycle.\n"
    )
    return "\n".join([*rows, "", text, *(f"- {note}" for note in notes), ""])

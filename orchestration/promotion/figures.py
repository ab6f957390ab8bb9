"""A decision's figures for Dagster and MLflow: gains with their intervals, drift by column."""

from typing import TYPE_CHECKING

from orchestration.promotion.evidence import Comparison, Evidence, SliceComparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures(evidence: Evidence) -> "dict[str, Figure]":
    """Figures by file name, of what the evidence holds."""
    from orchestration.quality.drift_report import columns_figure

    found = {"gain.png": gain_figure(evidence)}
    for name, title, part in (
        ("drift_candidate.png", "Since the candidate was trained", evidence.drift_candidate),
        ("drift_champion.png", "Since the champion was trained", evidence.drift_champion),
    ):
        if part is not None and part.columns:
            found[name] = columns_figure(
                part.columns, f"{title}: {len(part.drifted)} of {part.judged} columns drifted"
            )
    return found


def gain_figure(evidence: Evidence) -> "Figure":
    """Gains over champion, baselines and within slices, as intervals around the line at zero; right of it is better."""
    from matplotlib.figure import Figure

    rows: list[tuple[str, Comparison | SliceComparison]] = []
    if evidence.versus_champion is not None:
        rows.append((f"champion ({evidence.versus_champion.other_name})", evidence.versus_champion))
    rows += [(f"baseline {part.other_name}", part) for part in evidence.versus_baselines or ()]
    if evidence.latest is not None:
        rows.append((f"latest window ({evidence.latest.other_name})", evidence.latest))
    slices = (evidence.slices.slices if evidence.slices else None) or ()
    rows += [(f"{part.dimension} {part.value} (n={part.n_units})", part) for part in slices]
    known = [
        (label, part.low, part.gain, part.high)
        for label, part in reversed(rows)
        if part.low is not None and part.gain is not None and part.high is not None
    ]
    figure = Figure(figsize=(8, 1.4 + 0.25 * max(1, len(known))), layout="constrained")
    axes = figure.subplots()
    for row, (_, low, gain, high) in enumerate(known):
        colour = "#1b7f4b" if low > 0 else "#b3261e" if high < 0 else "#5b6673"
        axes.plot([low, high], [row, row], color=colour, linewidth=2)
        axes.plot([gain], [row], marker="o", color=colour)
    axes.axvline(0.0, color="black", linewidth=1)
    axes.set_yticks(range(len(known)), [label for label, *_ in known], fontsize=8)
    metric = evidence.versus_baselines[0].metric if evidence.versus_baselines else "metric"
    axes.set_xlabel(f"gain of the candidate in {metric}, with interval (right of the line: better)")
    return figure

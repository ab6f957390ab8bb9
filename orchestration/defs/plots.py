"""Figures and tables as Dagster metadata."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import MetadataValue

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure_metadata(figure: "Figure") -> MetadataValue:
    """A figure inline in the asset's metadata, as a PNG in Markdown."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=90, bbox_inches="tight")
    return _inline(buffer.getvalue())


def image_metadata(path: Path) -> MetadataValue:
    """A PNG file inline in the asset's metadata."""
    return _inline(path.read_bytes())


def _inline(png: bytes) -> MetadataValue:
    return MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")


def metric_table(rows: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> MetadataValue:
    """Candidates by rows, metrics by columns, as a Markdown table; a metric a candidate lacks stays empty."""
    head = "| candidate | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 1) + "|\n"
    body = ""
    for candidate, metrics in rows.items():
        cells = [f"{metrics[name]:.4f}" if name in metrics else "" for name in names]
        body += f"| {candidate} | " + " | ".join(cells) + " |\n"
    return MetadataValue.md(head + body)

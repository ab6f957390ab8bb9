"""Labelled texts: from a file that people labelled, and guessed from what users reported and hid."""

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from training.abuse.config import AbuseConfig
from training.errors import UserError

_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
_MOST_CHARACTERS = 1 << 20
"""Of one field of a file; the csv module's own limit is shorter than some posts."""


@dataclass(frozen=True)
class Labelled:
    """Texts with their label (1 abusive) and weight, int8 and float32 [texts]."""

    texts: list[str]
    labels: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def plus(self, other: "Labelled") -> "Labelled":
        """Both."""
        return Labelled(
            self.texts + other.texts,
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.weights, other.weights]),
        )

    def take(self, index: np.ndarray) -> "Labelled":
        """Those at `index`."""
        return Labelled([self.texts[i] for i in index], self.labels[index], self.weights[index])


def labelled(rows: Iterable[tuple[str, int]], weight: float = 1.0) -> Labelled:
    """Texts and labels, all of one weight; empty texts are left out, of equal ones the first stays."""
    kept: dict[str, int] = {}
    for text, label in rows:
        if text.strip():
            kept.setdefault(text.strip(), label)
    return Labelled(
        list(kept), np.array(list(kept.values()), np.int8), np.full(len(kept), weight, np.float32)
    )


def read_labels(path: str | Path) -> Labelled:
    """The rows of a CSV file (plain or .gz) with the columns `text` and `label`, in any case and among any others.

    Raises UserError for a file that cannot be read, lacks a column, or has a label that is not 0 or 1, naming the line.
    """
    path = Path(path)
    opened = gzip.open if path.suffix == ".gz" else open
    csv.field_size_limit(_MOST_CHARACTERS)
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            return labelled(_rows(csv.DictReader(file), path))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"the labelled texts in {path} cannot be read: {error}") from error


def _rows(reader: "csv.DictReader[str]", path: Path) -> Iterable[tuple[str, int]]:
    columns = {name.strip().lower(): name for name in reader.fieldnames or () if name}
    for name in ("text", "label"):
        if name not in columns:
            raise UserError(f"{path} lacks the column `{name}`")
    for row in reader:
        label = _LABELS.get((row[columns["label"]] or "").strip().lower())
        if label is None:
            raise UserError(
                f"{path}, line {reader.line_num}: the label must be 0 or 1, not {row[columns['label']]!r}"
            )
        yield row[columns["text"]] or "", label


def reported(documents: pa.Table, reports: pa.Table, config: AbuseConfig) -> Labelled:
    """Documents that users reported, and documents that many saw and nobody minded; the others say nothing.

    `reports` has a row a document with `document_id`, `n_seen`, `n_reported`, `n_hidden` (users each). Hiding is weaker
    than reporting: it also means that a topic bores.
    """
    texts = dict(zip(documents["document_id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    rows = []
    columns = ("document_id", "n_seen", "n_reported", "n_hidden")
    for name, seen, n_reported, n_hidden in zip(
        *(reports[column].to_pylist() for column in columns), strict=True
    ):
        if name not in texts:
            continue
        if n_reported and n_reported + n_hidden / 2 >= config.min_reporters:
            rows.append((texts[name], 1))
        elif not n_reported and not n_hidden and seen >= config.min_seen:
            rows.append((texts[name], 0))
    return labelled(rows, config.report_weight)

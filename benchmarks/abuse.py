"""The abuse classifier on labelled texts: from the labels and from noisy reports, beside the lexicon.

`python -m benchmarks.abuse TRAIN TEST --out DIR`: CSV files with the columns `text` and `label`. Reports are simulated:
every abusive text is reported with chance 0.3, any other with 0.01, and only reports are learnt from.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from training.abuse.config import AbuseConfig
from training.abuse.fit import fit_models
from training.abuse.labels import Labelled, read_labels
from training.abuse.lexicon import is_insulting

_REPORTED = {1: 0.3, 0: 0.01}
_SHARE = 0.1
"""Abusive texts in the simulated feed."""


def by_reports(data: Labelled, seed: int) -> Labelled:
    """All other texts and so many abusive ones as a feed may hold, labelled by who was reported."""
    rng = np.random.default_rng(seed)
    others, abusive = np.flatnonzero(data.labels == 0), np.flatnonzero(data.labels == 1)
    few = abusive[: round(len(others) * _SHARE / (1 - _SHARE))]
    feed = data.take(np.concatenate([others, few]))
    chances = np.where(feed.labels == 1, _REPORTED[1], _REPORTED[0])
    return Labelled(feed.texts, (rng.random(len(feed)) < chances).astype(np.int8), feed.weights)


def measured(called: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy, F1 of the abusive class and macro-F1 of calls against labels."""
    scores = []
    for side in (True, False):
        hit = float((called & labels if side else ~called & ~labels).sum())
        said, there = float((called == side).sum()), float((labels == side).sum())
        scores.append(2 * hit / (said + there) if said + there else 0.0)
    return {
        "accuracy": float((called == labels).mean()),
        "f1_abusive": scores[0],
        "macro_f1": sum(scores) / 2,
    }


def fitted(data: Labelled, share: float) -> tuple[Callable[[list[str]], np.ndarray], dict[str, float]]:
    """Calls of the guard at the share of abusive texts in the test, and what fitting took."""
    began = time.process_time()
    models = fit_models(data, AbuseConfig(expected_share=share), print)
    guard, seconds = models.guard, time.process_time() - began
    if guard is None:
        return (lambda texts: np.zeros(len(texts), bool)), {"processor_seconds": seconds, "auc_unseen": 0.0}
    facts = {"processor_seconds": seconds, "auc_unseen": guard.facts.auc}
    return (lambda texts: guard.probabilities(texts) >= 0.5), facts


def main() -> None:
    """Print the table and write results.json."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    train, test = read_labels(asked.train), read_labels(asked.test)
    labels, share = test.labels == 1, float(train.labels.mean())
    rows: list[dict[str, float | str]] = [
        {"model": "lexicon", **measured(np.array([is_insulting(text) for text in test.texts]), labels)}
    ]
    # The guard is fitted on half of what it is given; the other half is the judge's.
    for name, data in (
        ("guard, half of the labels", train),
        ("guard, from reports", by_reports(train, asked.seed)),
    ):
        calls, facts = fitted(data, share)
        rows.append({"model": name, **measured(calls(test.texts), labels), **facts})
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "results.json").write_text(json.dumps(rows, indent=1), "utf-8")
    for row in rows:
        print({name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()})


if __name__ == "__main__":
    main()

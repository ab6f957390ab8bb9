"""What a reviewer reads of one model besides its loss: tasks, time, texts, speed; as metrics and as plots."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from training.generator.config import GeneratorConfig
from training.generator.data import Corpus
from training.generator.mixture import LanguageModel
from training.generator.report import bits_by_task, bits_over_time, text_lengths
from training.generator.samples import continue_openings, latency, openings, sample_metrics
from training.generator.tasks.examples import Example
from training.generator.tasks.history import History
from training.generator.tasks.measure import held_out_examples, missing_tasks, task_metrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CONTINUED = 150
"""Test documents whose second half is to be continued."""


@dataclass(frozen=True)
class HeldOut:
    """What all models of a cycle are described by."""

    corpus: Corpus
    history: History
    examples: list[Example]

    @classmethod
    def of(cls, corpus: Corpus, history: History, config: GeneratorConfig) -> "HeldOut":
        """Of a cycle with this corpus. Notes on `corpus` say what cannot be measured."""
        made = cls(corpus, history, held_out_examples(corpus, history, config.tasks, config.seed))
        if missing := missing_tasks(made.examples):
            corpus.notes.append(f"Too few held-out examples to measure: {', '.join(missing)}.")
        if not openings(corpus.validation):
            corpus.notes.append(
                "No held-out document is long enough to be continued: no texts are described."
            )
        return made


def describe(
    name: str,
    model: LanguageModel,
    held: HeldOut,
    scores: pa.Table,
    validation_bits: np.ndarray,
    sampled: list[str],
    config: GeneratorConfig,
) -> tuple[dict[str, float], dict[str, "Figure"]]:
    """Metrics and plots of `model`. `scores` are those of the test window, as `score_rows` gives them,
    `validation_bits` those of the validation documents, `sampled` texts of the safety report.
    """
    corpus, texts = held.corpus, scores["document_id"].to_pylist()
    some = [held.history.texts[held.history.place[str(document)]] for document in texts[:_CONTINUED]]
    metrics = task_metrics(model, held.examples, some, config.evaluation, config.seed)
    plots = {"bits_per_byte_over_time.png": _over_time(name, held, scores, validation_bits)}
    if openings(corpus.validation):
        continued = continue_openings(model, corpus.validation, config.safety, config.seed)
        known = corpus.fitting.texts + corpus.calibration.texts
        metrics |= sample_metrics(continued, sampled, known, config.corpus.near_copy_similarity)
        plots["text_lengths.png"] = text_lengths(name, continued)
    metrics |= latency(model, config.safety.sample_tokens)
    plots["bits_per_byte_by_task.png"] = bits_by_task(name, metrics)
    return metrics, plots


def _over_time(name: str, held: HeldOut, scores: pa.Table, validation_bits: np.ndarray) -> "Figure":
    validation, history = held.corpus.validation, held.history
    newer = scores["occurred_at"].cast(pa.int64()).to_numpy()
    return bits_over_time(
        name,
        np.concatenate([history.times[[history.place[i] for i in validation.ids]], newer]),
        np.concatenate([validation_bits, scores["bits"].to_numpy()]),
        np.concatenate([validation.n_bytes, scores["n_bytes"].to_numpy()]),
        held.corpus.window[0],
    )

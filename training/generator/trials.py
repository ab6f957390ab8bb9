"""One configuration of the generator, measured on the validation window: a trial of a sweep."""

import pyarrow as pa

from training.generator.canaries import draw_canaries
from training.generator.config import GeneratorConfig
from training.generator.data import split_corpus
from training.generator.evaluate import document_bits
from training.generator.guard import guarded, learn_abuse
from training.generator.train import Trainer
from training.result import Progress, Report
from training.sweep.study import Direction
from training.threads import torch_threads


class GeneratorTrials:
    """The corpus is split once; every trial fits all models on it. No trial sees the test window."""

    metric = "validation/bits_per_byte"
    direction: Direction = "minimize"

    def __init__(
        self, documents: pa.Table, reports: pa.Table | None, config: GeneratorConfig, progress: Progress
    ) -> None:
        """Raises UserError for a missing column, NotEnoughDataError saying what is missing."""
        corpus = split_corpus(documents, config.corpus)
        guard = learn_abuse(documents, reports, corpus, config.abuse, progress).guard
        self._corpus = guarded(corpus, guard, config.corpus.leave_out_abuse, progress)
        self._canaries = draw_canaries(config.safety, config.seed)
        self._progress = progress

    def measure(self, config: GeneratorConfig, report: Report) -> dict[str, float]:
        """Bits per byte by model."""
        window = self._corpus.validation
        with torch_threads(1):
            fitted = Trainer(self._corpus, self._canaries, config, self._progress, report).fit_all()
            return {
                name: float(
                    document_bits(entry.model, window.texts, config.evaluation.batch_tokens).sum()
                    / window.n_bytes.sum()
                )
                for name, entry in fitted.items()
            }

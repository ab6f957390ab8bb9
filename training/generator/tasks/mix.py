"""Which task documents models learn from: networks beside the plain ones, and the cache of the prompt."""

import numpy as np

from training.generator.config import TaskConfig
from training.generator.data import Corpus, Documents
from training.generator.mixture import LanguageModel
from training.generator.tasks.cache import PromptCache
from training.generator.tasks.examples import Example, Examples, within
from training.generator.tasks.history import History

_CALIBRATION_BYTES = 120_000


def training_examples(
    corpus: Corpus, history: History, config: TaskConfig, seed: int
) -> tuple[list[Example], list[Example]]:
    """Examples for fitting, `config.share` of the bytes of its plain documents, and for calibration.

    Prompts are made of training documents alone: what was left out of those (abuse, the oldest) stays out.
    """
    known = set(corpus.fitting.ids) | set(corpus.calibration.ids)

    def of(documents: Documents, number: int, n_bytes: float, most: int) -> list[Example]:
        return within(Examples(history, config, seed + number, known, most).of(documents.ids), round(n_bytes))

    fitting = of(corpus.fitting, 0, config.share * int(corpus.fitting.n_bytes.sum()), config.context_bytes)
    return fitting, of(corpus.calibration, 1, _CALIBRATION_BYTES, config.prompt_bytes)


def fit_cache(
    model: LanguageModel, documents: list[np.ndarray], config: TaskConfig, batch_tokens: int
) -> PromptCache:
    """The cache for `model`, which has seen none of these task documents (ids without end tokens)."""
    return PromptCache.fit(
        documents, lambda texts: model.score(texts, batch_tokens).mixed, model.tokenizer, config.window
    )

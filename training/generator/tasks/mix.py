"""Which task documents models learn from: networks beside the plain ones, and the cache of the prompt."""

import numpy as np

from training.generator.config import TaskConfig
from training.generator.data import Corpus
from training.generator.mixture import LanguageModel
from training.generator.tasks.cache import PromptCache
from training.generator.tasks.examples import Example, Examples, within
from training.generator.tasks.history import History

_CACHE_BYTES = 120_000
"""UTF-8 bytes of the examples that the cache's few weights are fitted on."""


def task_examples(
    corpus: Corpus, history: History, config: TaskConfig, seed: int
) -> tuple[list[Example], list[Example]]:
    """Examples for fitting, `config.share` of the bytes of the plain documents, and for the cache.

    Those for fitting are made of training documents alone, in their words: what was left out or masked stays so. Those
    for the cache are validation documents, which no model has counted.
    """
    training = dict(zip(corpus.fitting.ids, corpus.fitting.texts, strict=True))
    known = Examples(history.saying(training), config, seed, set(training), config.context_bytes)
    room = round(config.share * int(corpus.fitting.n_bytes.sum()))
    cache = Examples(history, config, seed + 1)
    return within(known.of(corpus.fitting.ids), room), within(cache.of(corpus.validation.ids), _CACHE_BYTES)


def fit_cache(
    model: LanguageModel, documents: list[np.ndarray], config: TaskConfig, batch_tokens: int
) -> PromptCache:
    """The cache for `model`, which has seen none of these task documents (ids without end tokens)."""
    return PromptCache.fit(
        documents, lambda texts: model.score(texts, batch_tokens).mixed, model.tokenizer, config.window
    )

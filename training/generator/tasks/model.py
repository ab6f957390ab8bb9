"""A language model that makes something of the prompts of tasks; plain documents it scores as any other."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.generator.mixture import LanguageModel, TokenScores
from training.generator.tasks.cache import PromptCache, Recollection
from training.generator.tasks.prompt import TaskPrompt

REMEMBERED = 2048
"""Tokens of a task's prompt that are remembered, however few of them the network reads."""


class TaskModel(LanguageModel):
    """A model with a cache of the prompt. What of a prompt its network reads is the cache's `visible` part."""

    cache: PromptCache

    @classmethod
    def of(cls, model: LanguageModel, cache: PromptCache) -> "TaskModel":
        """`model` with `cache`."""
        made = cls(model.tokenizer, model.ngram, model.network, model.gate)
        made.cache = cache
        return made

    def score(self, documents: list[np.ndarray], batch_tokens: int = 4096) -> TokenScores:
        """See `LanguageModel`; tokens of a prompt that the network does not read score 0."""
        scores = super().score([self.cache.visible(ids) for ids in documents], batch_tokens)
        mixed = [self.cache.rescored(ids, own) for ids, own in zip(documents, scores.mixed, strict=True)]
        return replace(scores, mixed=mixed)


def remembered(model: LanguageModel, prompt: Sequence[int]) -> tuple[list[int], Recollection | None]:
    """What `model` reads of `prompt`, and what it remembers of it: nothing for a plain prompt."""
    if not isinstance(model, TaskModel):
        return list(prompt), None
    read = model.cache.visible(np.asarray(prompt, np.int64))
    return read.tolist(), model.cache.recollection(prompt)


def rendered(model: LanguageModel, prompt: TaskPrompt) -> str:
    """What `model` continues: marked sections where it has learned them, else the texts, a line each."""
    return prompt.plain if isinstance(model, TaskModel) else prompt.lines

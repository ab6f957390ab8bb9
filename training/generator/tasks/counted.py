"""The n-gram model over sectioned texts: every section begins like a document.

Its counts come from plain documents alone. Task documents say what plain ones say, and say it again: counted, each
post in a prompt would look as if one more author had written it.
"""

import numpy as np

from training.generator.ngram import NgramModel
from training.generator.tasks.form import MARKS
from training.generator.tokenizer import END_ID, Tokenizer

_NEVER = 1e-6
"""Probability of a mark: no document that was counted has one."""


class SectionedNgram(NgramModel):
    """An n-gram model whose context does not cross a mark."""

    def __init__(self, ngram: NgramModel, marks: np.ndarray) -> None:
        """`marks` are token ids, int64."""
        super().__init__(ngram.vocabulary, ngram.orders)
        self._marks = marks

    @classmethod
    def over(cls, ngram: NgramModel, tokenizer: Tokenizer) -> "SectionedNgram":
        """`ngram` with the marks of `tokenizer`."""
        return cls(ngram, np.array(sorted(mark_ids(tokenizer)), np.int64))

    def score(self, stream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `NgramModel`."""
        marked = np.isin(stream, self._marks)
        p, masses = super().score(np.where(marked, END_ID, stream))
        p[marked[1:]] = _NEVER
        return p, masses

    def distribution(self, recent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `NgramModel`."""
        begun = np.isin(recent, self._marks)
        # A token counts as context only where no mark stands at or after it.
        apart = np.logical_or.accumulate(begun[:, ::-1], axis=1)[:, ::-1]
        return super().distribution(np.where(apart, END_ID, recent))


def mark_ids(tokenizer: Tokenizer) -> dict[int, str]:
    """Ids of the tokens that stand for marks, and which."""
    wanted = {mark.encode(): mark for mark in MARKS}
    return {i: wanted[data] for i, data in enumerate(tokenizer.token_bytes) if data in wanted}

"""n-gram distributions of text that was counted, each from a model that has not counted its part of it.

On its own training text an n-gram model looks far better than it is, since it knows every answer; so does one that
leaves out only the occurrence asked for, where a text repeats itself within a page. Cross-fitting (Stone 1974) shows a
network how good the n-gram model is on text that both have yet to see.
"""

import itertools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from training.generator.ngram import NgramModel, join_documents
from training.generator.tokenizer import END_ID


class CrossFitted:
    """The text in `folds` stretches of about equal length, and a model of all the others for each."""

    def __init__(
        self,
        documents: list[np.ndarray],
        authors: list[str],
        vocabulary: int,
        order: int,
        min_authors: int,
        folds: int,
    ) -> None:
        """See `NgramModel.fit`. Raises ValueError when a fold would leave no token to count."""
        self._joined = join_documents(documents).astype(np.int64)
        self._begins = np.cumsum([0] + [len(ids) + 1 for ids in documents])
        self._edges = np.linspace(0, len(self._joined) - 1, folds + 1).astype(np.int64)
        self._order, self._vocabulary = order, vocabulary

        def count(stretch: tuple[int, int]) -> NgramModel:
            pieces, owners = self._without(documents, authors, *stretch)
            return NgramModel.fit(pieces, owners, vocabulary, order, min_authors)

        with ThreadPoolExecutor(min(folds, len(os.sched_getaffinity(0)))) as pool:
            # Sorting, which counting consists of, lets other threads go on.
            self._models = list(pool.map(count, itertools.pairwise(self._edges.tolist())))

    def _without(
        self, documents: list[np.ndarray], authors: list[str], first: int, last: int
    ) -> tuple[list[np.ndarray], list[str]]:
        """The documents and their authors without the tokens at the places from `first` to before `last`."""
        pieces, owners = [], []
        for ids, author, begin in zip(documents, authors, self._begins[:-1].tolist(), strict=True):
            for piece in (ids[: max(first - begin, 0)], ids[max(last - begin, 0) :]):
                if len(piece):
                    pieces.append(piece)
                    owners.append(author)
        return pieces, owners

    def distribution(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of all tokens at `places`, float32 [places, vocabulary], and the masses left to the shorter
        contexts, float32 [places, order - 1]; see `NgramModel.distribution`.

        A place counts the tokens of the joined documents from the second on (see `ngram.join_documents`).
        """
        p = np.empty((len(places), self._vocabulary), np.float32)
        masses = np.empty((len(places), self._order - 1), np.float32)
        recent = self._recent(places)
        fold = np.searchsorted(self._edges, places, side="right") - 1
        for index in np.unique(fold):
            at = np.flatnonzero(fold == index)
            p[at], masses[at] = self._models[index].distribution(recent[at])
        return p, masses

    def _recent(self, places: np.ndarray) -> np.ndarray:
        """int64 [places, order - 1]: the tokens before each, filled up with the end token where a document begins."""
        begins = self._begins[np.searchsorted(self._begins, places, side="right") - 1]
        at = places[:, None] + 1 - np.arange(self._order - 1, 0, -1)
        return np.where(at > begins[:, None], self._joined[np.maximum(at, 0)], END_ID)

"""A cache of the prompt: words that stand in it come again, and so do their neighbours (Kuhn and De Mori 1990).

Networks trained in seconds make next to nothing of a prompt. Counting it does: after the longest run of at most
`LONGEST` tokens that the prompt holds too, the tokens that followed it there get a share of the probability,

    p'(w) = a_l p(w) + b_l unigrams(w) + c_l followers(w)

with weights for each length l of the run and each kind of task, fitted by expectation maximisation on validation
examples. On these it is also decided whether the network reads the prompt at all. Plain documents have no prompt and
are not touched.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Self

import numpy as np

from training.generator.tasks.counted import mark_ids
from training.generator.tasks.form import KINDS, kind_of
from training.generator.tokenizer import END_ID, Tokenizer

Scorer = Callable[[list[np.ndarray]], list[np.ndarray]]
LONGEST = 3
_ITERATIONS = 60
_FIRST = (0.8, 0.1, 0.1)
_PRIOR = (20.0, 0.1, 0.1)
"""Tokens added before weights are computed: what was seen a few times stays with the model."""
SHAPE = (len(KINDS), LONGEST + 1, 3)


class Recollection:
    """What one prompt holds. Sections begin like documents: their marks count as end tokens."""

    def __init__(self, tokens: Sequence[int], marks: Collection[int], weights: np.ndarray) -> None:
        """`weights` are those of a kind of task, [LONGEST + 1, 3]."""
        self._weights = weights
        read = [END_ID, *(END_ID if token in marks else token for token in tokens), END_ID]
        self._unigrams = Counter(read)
        self._size = len(read)
        self._followers: list[dict[tuple[int, ...], Counter[int]]] = []
        for length in range(1, LONGEST + 1):
            found: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
            for i in range(len(read) - length):
                found[tuple(read[i : i + length])][read[i + length]] += 1
            self._followers.append(found)

    def after(self, said: Sequence[int]) -> tuple[int, Counter[int]]:
        """Length of the longest end of `said` that the prompt holds, and what followed it there; 0 and nothing."""
        for length in range(min(LONGEST, len(said)), 0, -1):
            found = self._followers[length - 1].get(tuple(said[len(said) - length :]))
            if found:
                return length, found
        return 0, Counter()

    def shares(self, said: Sequence[int], token: int) -> tuple[int, float, float]:
        """The length, and the two probabilities that the prompt gives `token` after `said`."""
        length, followers = self.after(said)
        unigram = self._unigrams[token] / self._size
        return length, unigram, followers[token] / followers.total() if length else unigram

    def mixed(self, p: np.ndarray, said: Sequence[int]) -> np.ndarray:
        """Probabilities `p` [vocabulary] with what the prompt expects after `said`, which begins with the end token.

        What has no probability at all keeps none: it would break a character.
        """
        length, followers = self.after(said)
        own, unigram, follower = self._weights[length]
        if not length:
            unigram, follower = unigram + follower, 0.0
        mixed = own * p
        for counts, share in ((self._unigrams, unigram), (followers, follower)):
            total = counts.total()
            for token, times in counts.items():
                mixed[token] += share * times / total
        mixed[p == 0] = 0.0
        return mixed / mixed.sum()


class PromptCache:
    """Weights, float64 SHAPE, shares in the last dimension; how many of the prompt's newest tokens the network reads,
    int64 [kinds]; the marks by their ids."""

    def __init__(self, weights: np.ndarray, reads: np.ndarray, marks: dict[int, str]) -> None:
        """Raises ValueError for weights of another shape or that are no shares."""
        if weights.shape != SHAPE or not np.allclose(weights.sum(axis=2), 1) or (weights < 0).any():
            raise ValueError(f"the weights of the prompt's cache are no shares of shape {SHAPE}")
        self.weights, self.reads, self._marks = weights, reads, marks

    @classmethod
    def fit(cls, documents: Sequence[np.ndarray], score: Scorer, tokenizer: Tokenizer, window: int) -> Self:
        """From documents in the plain form of tasks (ids without end) that the model has not seen.

        `score` gives the model's own log-probabilities of their tokens and ends, each [tokens + 1]. A network reads the
        newest `window` tokens of the prompts of a kind only where it does better so: one trained for seconds is often
        confused by them.
        """
        made = cls(_untouched(), np.zeros(len(KINDS), np.int64), mark_ids(tokenizer))
        begins = [made.begins(ids) for ids in documents]
        alone = score([ids[begin:] for ids, begin in zip(documents, begins, strict=True)])
        cut = [ids[max(begin - window, 0) :] for ids, begin in zip(documents, begins, strict=True)]
        read = [own[min(begin, window) :] for own, begin in zip(score(cut), begins, strict=True)]
        kinds = np.array([made._kind(ids) for ids in documents])
        for kind in range(len(KINDS)):
            inside = np.flatnonzero(kinds == kind).tolist()
            if not inside:
                continue
            best = -np.inf
            for reads, log_p in ((0, alone), (window, read)):
                parts = [made._components(documents[i], log_p[i]) for i in inside]
                levels, components = (np.concatenate(column) for column in zip(*parts, strict=True))
                weights = np.stack([_fitted(components[levels == level]) for level in range(LONGEST + 1)])
                value = float(np.log((components * weights[levels]).sum(axis=1)).sum())
                if value > best:
                    best, made.weights[kind], made.reads[kind] = value, weights, reads
        return made

    def begins(self, ids: Sequence[int] | np.ndarray) -> int:
        """Where the text begins that is to be written: behind the last mark; 0 in a plain document."""
        return next((i + 1 for i in range(len(ids) - 1, -1, -1) if int(ids[i]) in self._marks), 0)

    def _kind(self, ids: Sequence[int] | np.ndarray) -> int:
        return kind_of({self._marks[int(token)] for token in ids if int(token) in self._marks})

    def visible(self, ids: np.ndarray) -> np.ndarray:
        """What of a prompt or document the network reads: the last section, with what it reads of those before."""
        begin = self.begins(ids)
        return ids[max(begin - int(self.reads[self._kind(ids)]), 0) :] if begin else ids

    def recollection(self, ids: Sequence[int] | np.ndarray) -> Recollection | None:
        """What a prompt, or a document, holds before its last section; None for a plain one."""
        begin = self.begins(ids)
        if begin < 2:
            return None
        before = [int(token) for token in ids[: begin - 1]]
        return Recollection(before, self._marks, self.weights[self._kind(ids)])

    def rescored(self, ids: np.ndarray, log_p: np.ndarray) -> np.ndarray:
        """Natural log-probabilities [tokens + 1] of a document, given those of the model for its `visible` part; 0 for
        what is not read."""
        begin, unread = self.begins(ids), len(ids) + 1 - len(log_p)
        before, own = log_p[: begin - unread], log_p[begin - unread :]
        if begin > 1:
            levels, components = self._components(ids, own)
            own = np.log((components * self.weights[self._kind(ids), levels]).sum(axis=1))
        return np.concatenate([np.zeros(unread), before, own])

    def _components(self, ids: np.ndarray, log_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Levels [tokens], and [tokens, 3] probabilities of the tokens of the last section and its end: the model's own
        (`log_p` are their logarithms) and the two of the prompt."""
        begin = self.begins(ids)
        known = Recollection(ids[: max(begin - 1, 0)].tolist(), self._marks, self.weights[self._kind(ids)])
        target = [END_ID, *ids[begin:].tolist(), END_ID]
        found = [known.shares(target[max(i - LONGEST, 0) : i], target[i]) for i in range(1, len(target))]
        return (
            np.array([length for length, _, _ in found], np.int64),
            np.stack(
                [np.exp(log_p), np.array([f[1] for f in found]), np.array([f[2] for f in found])], axis=1
            ),
        )


def _untouched() -> np.ndarray:
    """Weights that leave the model as it is."""
    return np.full(SHAPE, np.array([1.0, 0.0, 0.0]))


def _fitted(components: np.ndarray) -> np.ndarray:
    """The weights of a mixture of `components` [tokens, 3] by expectation maximisation."""
    weights = np.array(_FIRST)
    for _ in range(_ITERATIONS):
        shares = components * weights
        shares /= shares.sum(axis=1, keepdims=True)
        weights = (shares.sum(axis=0) + _PRIOR) / (len(components) + sum(_PRIOR))
    return weights

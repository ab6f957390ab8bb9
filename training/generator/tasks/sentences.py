"""Sentences of English and Chinese texts, and extractive summaries of them: no model, nothing that was not said."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from training.generator.tasks.words import words

_END = re.compile(
    r"""(?<=[。！？!?…])(?![。！？!?…"'”’」』）)\]])["'”’」』）)\]]*\s*"""
    r"""|(?<=[。！？!?…]["'”’」』）)\]])\s*"""
    r"|(?<=[a-z0-9)\"'”’%][.])\s+(?=[A-Z0-9\"'“‘(@#])"
    r"|\n+"
)
_ABBREVIATED = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|vs|etc|e\.g|i\.e|no|vol|approx|fig|inc|ltd|jr|sr)|\b[A-Z])\.$",
    re.IGNORECASE,
)
_SPOKEN = re.compile(r"\w")
DAMPING = 0.85
MOST = 400
"""Sentences that a summary looks at; of more, the newest."""


def sentences(text: str) -> list[str]:
    """The sentences of `text` in order, each with its end mark, none empty.

    Ends are 。！？!?… wherever they stand, a full stop before a capital, and line ends; not the stop of an
    abbreviation.
    """
    found: list[str] = []
    for part in _END.split(text):
        if found and _ABBREVIATED.search(found[-1]):
            found[-1] = f"{found[-1]} {part.strip()}"
        elif part.strip():
            found.append(part.strip())
    return found


def central(texts: Sequence[str], damping: float = DAMPING) -> np.ndarray:
    """How central each text is among all, float64 [texts], summing to 1: continuous LexRank.

    PageRank over the cosines of tf-idf vectors (Erkan and Radev 2004, JAIR 22).
    """
    counted = [Counter(words(text)) for text in texts]
    spread = Counter(word for bag in counted for word in bag)
    place = {word: i for i, word in enumerate(spread)}
    idf = np.log((1 + len(texts)) / (1 + np.array([*spread.values()], float))) + 1
    vectors = np.zeros((len(texts), max(len(place), 1)))
    for row, bag in enumerate(counted):
        for word, times in bag.items():
            vectors[row, place[word]] = times * idf[place[word]]
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    likeness = vectors @ vectors.T
    # A text without any word is like nothing, not even itself.
    likeness[np.arange(len(texts)), np.arange(len(texts))] = 1.0
    moves = likeness / likeness.sum(axis=1, keepdims=True)
    rank = np.full(len(texts), 1 / len(texts))
    for _ in range(50):
        rank = (1 - damping) / len(texts) + damping * rank @ moves
    return rank


def extract(texts: Sequence[str], most: int = 3) -> list[tuple[int, str]]:
    """At most `most` sentences of `texts` that stand for all, in the order of the texts: (which text, sentence).

    Most central first, without those that share half of their words with one that is chosen already.
    """
    found = [(number, said) for number, text in enumerate(texts) for said in sentences(text)]
    found = [(number, said) for number, said in found if _SPOKEN.search(said)][-MOST:]
    if not found:
        return []
    ranked = np.argsort(-central([said for _, said in found]), kind="stable")
    chosen: list[int] = []
    for index in ranked:
        if len(chosen) == most:
            break
        mine = set(words(found[index][1])) or {_folded(found[index][1])}
        if all(_shared(mine, found[other][1]) < 0.5 for other in chosen):
            chosen.append(int(index))
    return [found[index] for index in sorted(chosen)]


def nearest(text: str, other: str) -> str:
    """The sentence of `text` that shares most words with `other`, the first of equal ones; `text` without sentences."""
    wanted = set(words(other))
    return max(sentences(text), key=lambda said: len(wanted & set(words(said))), default=text)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _shared(mine: set[str], other: str) -> float:
    theirs = set(words(other)) or {_folded(other)}
    return len(mine & theirs) / min(len(mine), len(theirs))

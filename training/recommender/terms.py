"""Texts as bags of hashed terms: words where a script has spaces, pairs of neighbouring characters where it has none.

Hashing (Weinberger et al. 2009) needs no vocabulary, so a post written tomorrow is described as well as one of the
training data. What is kept of a text is its set of term numbers, a few dozen bytes: neither the online state nor a
bundle holds the text itself. All of it is array work over one long string, about a million characters in 0.1 s.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

TERMS = 1 << 16
"""Term numbers; two terms share one by chance once in so many pairs."""
CHARS = 1000
"""Characters of a text that are read."""

Terms = npt.NDArray[np.uint16]
_WORD, _PAIRED = 1, 2
_TEXTS = 10_000
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@cache
def _kinds() -> npt.NDArray[np.uint8]:
    """[0x110000] what a character is: part of a word, written without spaces, or neither (0)."""
    kinds = np.array(
        [_WORD if chr(code).isalnum() else 0 for code in range(0x10000)] + [0] * 0x100000, np.uint8
    )
    for first, last in (
        (0x3040, 0x30FF),
        (0x3400, 0x4DBF),
        (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF),
        (0x20000, 0x323AF),
    ):
        kinds[first : last + 1] = _PAIRED
    return kinds


def hashed_terms(texts: Sequence[str | None]) -> list[Terms]:
    """For each text its distinct term numbers in ascending order: words of two letters or more in lower case, and
    pairs of neighbouring Chinese or Japanese characters. A missing text has none."""
    parts = [_hashed(texts[start : start + _TEXTS]) for start in range(0, len(texts), _TEXTS)]
    return [terms for part in parts for terms in part]


def _hashed(texts: Sequence[str | None]) -> list[Terms]:
    cut = [(text or "")[:CHARS].lower() for text in texts]
    codes = np.frombuffer("\n".join(cut).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(
        np.uint64
    )
    kinds = _kinds()[codes]
    document = np.repeat(np.arange(len(cut)), np.array([len(text) + 1 for text in cut], np.int64))[
        : len(codes)
    ]
    words, at_word = _words(codes, kinds)
    at_pair = np.flatnonzero((kinds[:-1] == _PAIRED) & (kinds[1:] == _PAIRED))
    pairs = codes[at_pair] * _FACTOR + codes[at_pair + 1] + np.uint64(1)
    mixed = np.concatenate([words, pairs]) * _FACTOR
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _FACTOR
    found = document[np.concatenate([at_word, at_pair])] * TERMS + (mixed >> np.uint64(48)).astype(np.int64)
    found = np.unique(found)
    edges = np.searchsorted(found, np.arange(1, len(cut)) * TERMS)
    return np.split((found % TERMS).astype(np.uint16), edges)


def _words(codes: npt.NDArray[np.uint64], kinds: npt.NDArray[np.uint8]) -> tuple[npt.NDArray, npt.NDArray]:
    """A hash of each run of two or more word characters, and where it begins."""
    inside = np.r_[False, kinds == _WORD, False]
    begins, ends = np.flatnonzero(inside[1:] & ~inside[:-1]), np.flatnonzero(inside[:-1] & ~inside[1:])
    long = ends - begins > 1
    begins, ends = begins[long], ends[long]
    if len(begins) == 0:
        return np.zeros(0, np.uint64), begins
    sizes = ends - begins
    place = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    powers = np.cumprod(np.r_[np.uint64(1), np.full(int(sizes.max()), _FACTOR)], dtype=np.uint64)
    weighted = codes[np.repeat(begins, sizes) + place] * powers[place]
    return np.add.reduceat(weighted, np.cumsum(sizes) - sizes), begins

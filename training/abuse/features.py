"""Texts as sets of hashed character n-grams: no vocabulary, any script, fast enough for every piece of a stream."""

import unicodedata
from collections.abc import Sequence

import numpy as np

BITS = 18
BUCKETS = 1 << BITS
LONGEST_GRAM = 3
MOST_CHARACTERS = 2000
"""Of a longer text the beginning is read."""
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xD6E8FEB86659FD93)
_HALF, _SHIFT = np.uint64(32), np.uint64(64 - BITS)


def buckets(text: str) -> np.ndarray:
    """Distinct hash buckets of the n-grams of 1 to LONGEST_GRAM characters of `text`, int64, ascending.

    Case, width and compatible forms of characters (NFKC) do not matter.
    """
    folded = unicodedata.normalize("NFKC", text[:MOST_CHARACTERS]).lower()
    points = np.frombuffer(folded.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    found, rolling = [], np.zeros(len(points), np.uint64)
    for n in range(1, min(LONGEST_GRAM, len(points)) + 1):
        rolling = rolling[: len(points) - n + 1] * _STEP + points[n - 1 :] + np.uint64(n)
        mixed = rolling * _MIX
        mixed ^= mixed >> _HALF
        found.append(((mixed * _MIX) >> _SHIFT).astype(np.int64))
    return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)


def rows(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Buckets of all texts one after the other, and where each text's begin and end, int64 [texts + 1]."""
    parts = [buckets(text) for text in texts]
    ends = np.cumsum([0, *map(len, parts)])
    return np.concatenate(parts) if parts else np.zeros(0, np.int64), ends

"""Near copies by shingles: MinHash finds pairs (Broder 1997), banding keeps them few, exact Jaccard decides.

All vectorised over texts; exact sets are built only for the few candidate pairs.
"""

import re
import unicodedata

import numpy as np

_SHINGLE = 4
_BANDS, _ROWS = 16, 3  # A pair of similarity 0.7 shares a band with probability 0.999, one of 0.2 with 0.12.
_TRIED = 8  # Candidates looked at per band: texts that share a band are usually copies of each other.
_NOISE = re.compile(r"[\W_]+")
_PRIME = np.uint64(0x9E3779B97F4A7C15)


def normalised(text: str) -> str:
    """`text` without case, width, spaces and punctuation; itself (stripped) when nothing else is left."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _NOISE.sub("", folded) or folded.strip()


def _mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: every input bit changes half of the output bits."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _shingles(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of all shingles, one text after the other, uint64, and where each text begins.

    A text of n characters gives n shingles: it is followed by NULs, so that short texts have some too.
    """
    padded = [text + "\0" * (_SHINGLE - 1) for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le"), np.uint32).astype(np.uint64)
    starts = np.concatenate([[0], np.cumsum([len(text) for text in padded])]).astype(np.int64)
    hashes = np.zeros(max(len(codes) - _SHINGLE + 1, 0), np.uint64)
    for offset in range(_SHINGLE):
        hashes = _mix(hashes * _PRIME + codes[offset : offset + len(hashes)])
    inside = np.ones(len(hashes), bool)
    for offset in range(1, _SHINGLE):
        ends = starts[1:] - offset
        inside[ends[ends < len(hashes)]] = False
    lengths = np.diff(starts) - (_SHINGLE - 1)
    return hashes[inside], np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)


def _bands(hashes: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """One key for each band of each text, uint64 [bands, texts]."""
    keys = []
    for band in range(_BANDS):
        key = np.zeros(len(starts), np.uint64)
        for row in range(_ROWS):
            salt = _mix(np.array([band * _ROWS + row + 1], np.uint64) * _PRIME)
            key = _mix(key * _PRIME + np.minimum.reduceat(_mix(hashes ^ salt), starts))
        keys.append(key)
    return np.stack(keys)


def _similarity(left: str, right: str) -> float:
    a, b = (
        {padded[i : i + _SHINGLE] for i in range(len(text))}
        for text, padded in ((left, left + "\0" * 3), (right, right + "\0" * 3))
    )
    return len(a & b) / len(a | b)


def near_copies(texts: list[str], known: list[str], similarity: float) -> np.ndarray:
    """Which of `texts` (none empty) have a text in `known` of at least this Jaccard similarity; bool [texts]."""
    if not texts or not known:
        return np.zeros(len(texts), bool)
    plain, plain_known = [normalised(text) for text in texts], [normalised(text) for text in known]
    exact = set(plain_known)
    copied = np.array([text in exact for text in plain])
    mine, theirs = _bands(*_shingles(plain)), _bands(*_shingles(plain_known))
    for band in range(_BANDS):
        order = np.argsort(theirs[band], kind="stable")
        ranked = theirs[band][order]
        first = np.searchsorted(ranked, mine[band], side="left")
        last = np.searchsorted(ranked, mine[band], side="right")
        for i in np.flatnonzero((last > first) & ~copied):
            tried = order[first[i] : min(last[i], first[i] + _TRIED)]
            copied[i] = any(_similarity(plain[i], plain_known[j]) >= similarity for j in tried)
    return copied

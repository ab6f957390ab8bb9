"""Vectors of texts: hashed terms weighted by idf and projected to a few dozen dimensions.

Terms of the training data go by latent semantic analysis (Deerwester et al. 1990) with a randomised SVD (Halko et al.
2011), so that texts are alike which say like things. A term that training did not know has a fixed direction of random
signs (Kanerva's random indexing, 2000), so that two texts about something new are alike as well.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse

from training.recommender.blas import one_blas_thread
from training.recommender.models.base import Parts
from training.recommender.terms import TERMS, Terms

Rows = npt.NDArray[np.float32]

MOST = 64
"""Dimensions at most: the signs of a term are the bits of one number."""
_SPARE = 8
_ROUNDS = 4


class TextSpace:
    """`known` [terms]: numbers of the terms of the training data; `vectors` [terms, dimensions]: theirs, with idf."""

    def __init__(self, known: npt.NDArray[np.uint16], vectors: Rows) -> None:
        self.known, self.vectors = known, vectors
        width = vectors.shape[1]
        length = np.median(np.linalg.norm(vectors, axis=1)) if len(vectors) else 1.0
        self._table = _signs(width) * np.float32(length / np.sqrt(width))
        self._table[known] = vectors

    def of(self, texts: Sequence[Terms]) -> Rows:
        """[texts, dimensions] of unit length; zero for a text without terms."""
        return _unit(_bags(texts) @ self._table)

    def parts(self) -> Parts:
        """Two arrays, the vectors in half precision (`fit_text_space` made them so)."""
        return Parts({}, {"known": self.known, "vectors": self.vectors.astype(np.float16)})

    @classmethod
    def from_parts(cls, parts: Parts) -> "TextSpace":
        """The inverse of `parts`."""
        return cls(parts.arrays["known"], parts.arrays["vectors"].astype(np.float32))


def _signs(width: int) -> Rows:
    """[TERMS, width] of -1 and 1: the bits of each number after the mixing of splitmix64 (Steele et al. 2014)."""
    mixed = np.arange(1, TERMS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    bits = np.unpackbits(mixed.astype("<u8").view(np.uint8).reshape(TERMS, 8), axis=1)
    return 2.0 * bits[:, :width].astype(np.float32) - 1.0


def _bags(texts: Sequence[Terms]) -> sparse.csr_array:
    """[texts, TERMS] ones."""
    terms = np.concatenate([*texts, np.zeros(0, np.uint16)]).astype(np.int32)
    starts = np.r_[0, np.cumsum([len(text) for text in texts])].astype(np.int32)
    return sparse.csr_array((np.ones(len(terms), np.float32), terms, starts), shape=(len(texts), TERMS))


def _unit(rows: Rows) -> Rows:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, 1e-9), dtype=np.float32)


def fit_text_space(texts: Sequence[Terms], dimensions: int, seed: int) -> TextSpace:
    """The space of `texts`, from the terms that two of them or more have. `dimensions` is at most MOST."""
    bags = _bags(texts)
    counts = np.bincount(bags.indices, minlength=TERMS)
    known = np.flatnonzero(counts > 1)
    vectors = np.zeros((len(known), dimensions), dtype=np.float32)
    if len(known):
        idf = np.log(len(texts) / counts[known] + 1e-6).astype(np.float32)
        x = sparse.csr_array(bags[:, known] * idf)
        length = np.sqrt(x.multiply(x).sum(axis=1))
        x = sparse.csr_array(sparse.diags_array((1.0 / np.maximum(length, 1e-9)).astype(np.float32)) @ x)
        width = min(dimensions, *x.shape)
        with one_blas_thread():
            vectors[:, :width] = _right_singular(x, width, seed) * idf[:, None]
    return TextSpace(known.astype(np.uint16), vectors.astype(np.float16).astype(np.float32))


def _right_singular(x: sparse.csr_array, width: int, seed: int) -> Rows:
    """[columns, width] the leading right singular vectors of `x`, nearly."""
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((x.shape[1], min(width + _SPARE, *x.shape))).astype(np.float32)
    for _ in range(_ROUNDS):
        basis = linalg.qr(x.T @ (x @ basis), mode="economic")[0]
    right: Rows = linalg.svd(x @ basis, full_matrices=False)[2]
    found: Rows = basis @ right[:width].T
    return found

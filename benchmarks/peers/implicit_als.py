"""Implicit ALS (Hu et al. 2008) by the `implicit` library. `python implicit_als.py CORPUS MINUTES OUT`."""

import resource
import sys
import time
from pathlib import Path

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy import sparse

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from leave_one_out import Corpus

TOP = 50


def matrix(sequences: list[np.ndarray], n_items: int) -> sparse.csr_matrix:
    """[users, items] of ones."""
    row = np.repeat(np.arange(len(sequences)), [len(items) for items in sequences])
    shape = (len(sequences), n_items)
    return sparse.csr_matrix(
        (np.ones(len(row), dtype=np.float32), (row, np.concatenate(sequences))), shape=shape
    )


def main() -> None:
    """The library's defaults. Ranks beyond the best 50 are infinite."""
    path, _, out = sys.argv[1:]
    corpus = Corpus.load(Path(path))
    began = time.monotonic()
    model = AlternatingLeastSquares(random_state=0)
    known = matrix(corpus.histories, corpus.n_items)
    model.fit(known, show_progress=False)
    spent = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    best, _ = model.recommend(
        np.arange(len(corpus)), known, N=TOP, filter_already_liked_items=True, recalculate_user=True
    )
    found = best == corpus.test[:, None]
    rank = np.where(found.any(axis=1), found.argmax(axis=1), np.inf)
    np.savez(out, rank=rank[None, :], seconds=[spent], peak_mb=peak)


if __name__ == "__main__":
    main()

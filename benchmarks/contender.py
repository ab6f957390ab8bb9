"""Trains one of tidegate's models on a corpus and ranks the test items: a process of its own, so that memory counts.

`python contender.py MODEL CORPUS SECONDS OUT`; run by recommender.py.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
from leave_one_out import Corpus

from training.recommender.sequential.baselines import NextItemRidge, Popularity, SkipTransitions
from training.recommender.sequential.config import SequentialConfig, TransitionConfig
from training.recommender.sequential.fit import fit_sequential
from training.recommender.sequential.histories import Histories
from training.recommender.sequential.model import Scorer, rank_targets


def fit(model: str, corpus: Corpus, seconds: float) -> Scorer:
    """Train within `seconds`; the closed-form models take what they take."""
    histories = Histories.of(corpus.histories, corpus.n_items)
    if model == "ours":
        fitted, _ = fit_sequential(histories, SequentialConfig(), seconds, print)
        return fitted
    if model == "skip_transition":
        return SkipTransitions.fit(histories, TransitionConfig())
    if model == "ridge":
        return NextItemRidge.fit(histories)
    return Popularity.fit(histories)


def main() -> None:
    """Fit, rank, write ranks [users], seconds and peak_mb."""
    model, path, seconds, out = sys.argv[1:]
    corpus = Corpus.load(Path(path))
    began = time.monotonic()
    fitted = fit(model, corpus, float(seconds))
    spent = time.monotonic() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rank = rank_targets(fitted, corpus.histories, corpus.test)
    np.savez(out, rank=rank, seconds=spent, peak_mb=peak)


if __name__ == "__main__":
    main()

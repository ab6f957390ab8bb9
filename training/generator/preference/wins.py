"""Who wins a pair: the model that sets the text that people prefer further apart from the other one. Knows no model."""

import numpy as np

TIE = 0.01
"""Bits a byte: a smaller difference is a tie."""


def wins(candidate: np.ndarray, other: np.ndarray, tie: float = TIE) -> np.ndarray:
    """1 where the candidate sets a pair further apart than the other model, 0 where less far, 0.5 for a tie."""
    gap = candidate - other
    return 0.5 + 0.5 * np.sign(np.where(np.abs(gap) < tie, 0.0, gap))

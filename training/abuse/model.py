"""The classifier: logistic regression over n-grams weighed by their log-count ratio (Wang & Manning 2012, NB-SVM).

A text's vector has unit length, so that long texts are judged by the same measure as short ones.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from training.abuse.features import BUCKETS, buckets


@dataclass(frozen=True)
class Facts:
    """How a classifier came about and how good it is on labels that it has not seen."""

    intercept: float
    slope: float
    """Probability is sigmoid(slope * score + offset): Platt's calibration, then the shift to the expected share."""
    offset: float
    threshold: float
    n_positive: int
    n_negative: int
    auc: float
    auc_low: float
    auc_high: float
    """95 %"""


@dataclass(frozen=True)
class AbuseModel:
    """Weights by bucket, float32 [BUCKETS]; what training never saw has none."""

    ratios: np.ndarray
    weights: np.ndarray
    facts: Facts

    def score(self, text: str) -> float:
        """Log odds before calibration; the intercept for a text of unknown n-grams alone."""
        found = buckets(text)
        values = self.ratios[found]
        length = float(np.sqrt(values @ values))
        return self.facts.intercept + (float(values @ self.weights[found]) / length if length else 0.0)

    def probability(self, text: str) -> float:
        """That `text` is abusive, where the expected share of texts is."""
        log_odds = self.facts.slope * self.score(text) + self.facts.offset
        return float(1 / (1 + np.exp(-log_odds)))

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """The same for many, float64 [texts]."""
        return np.array([self.probability(text) for text in texts])

    def is_abusive(self, text: str) -> bool:
        """Whether the probability reaches the threshold."""
        return self.probability(text) >= self.facts.threshold

    def arrays(self) -> dict[str, np.ndarray]:
        """For safetensors: half precision, which moves no probability by more than a few thousandths."""
        return {"ratios": self.ratios.astype(np.float16), "weights": self.weights.astype(np.float16)}

    def to_dict(self) -> dict[str, Any]:
        """The rest, for JSON."""
        return asdict(self.facts)

    @classmethod
    def read(cls, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> Self:
        """What `arrays` and `to_dict` gave. Raises ValueError when they do not fit."""
        try:
            ratios, weights = (arrays[name].astype(np.float32) for name in ("ratios", "weights"))
            known = Facts(**facts)
        except (KeyError, TypeError) as error:
            raise ValueError(f"the abuse classifier lacks a part ({error})") from error
        if ratios.shape != (BUCKETS,) or weights.shape != (BUCKETS,):
            raise ValueError(f"the abuse classifier has weights of shape {ratios.shape}, not ({BUCKETS},)")
        if not (np.isfinite(ratios).all() and np.isfinite(weights).all()):
            raise ValueError("the abuse classifier has weights that are not finite")
        return cls(ratios, weights, known)

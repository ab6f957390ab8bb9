"""From scores to figures: bits per byte with intervals, slices, and the choice among the candidates.

Bits per byte of a set is the sum of bits over the sum of UTF-8 bytes, end tokens included. Intervals resample
documents, 95 %, percentile method.
"""

import re
from collections import Counter

import numpy as np
import pyarrow as pa

from training.generator.config import EvaluationConfig
from training.generator.data import Documents
from training.generator.mixture import LanguageModel

SLICES = ("lang", "community", "length_bucket")
PERIOD = "month"
"""A slice in time, of the test window's documents; the gate does not judge by it."""
COMMUNITIES = 8
"""Largest communities that are slices of their own; the rest is `other`."""
LENGTHS = ((240, "long"), (80, "medium"), (0, "short"))
"""UTF-8 bytes of a document, at least, and what that is called."""


def slices_of(documents: Documents) -> dict[str, list[str]]:
    """The value of each of SLICES for each document."""
    largest = {name for name, _ in Counter(sorted(documents.communities)).most_common(COMMUNITIES)}
    return {
        "lang": documents.langs,
        "community": [name if name in largest else "other" for name in documents.communities],
        "length_bucket": [next(name for least, name in LENGTHS if n >= least) for n in documents.n_bytes],
    }


def document_bits(model: LanguageModel, texts: list[str], batch_tokens: int) -> np.ndarray:
    """Bits that `model` needs for each text with its end, float64 [texts]."""
    scores = model.score(model.tokenizer.encode_all(texts), batch_tokens).mixed
    return np.array([-part.sum() for part in scores]) / np.log(2)


def bootstrap_ratios(bits: np.ndarray, n_bytes: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """[resamples] sum(bits) / sum(bytes), documents resampled with replacement."""
    rng = np.random.default_rng([seed, 0xB0])
    n = len(bits)
    out = np.empty(resamples)
    for index in range(resamples):
        times = np.bincount(rng.integers(0, n, n), minlength=n)
        out[index] = (times @ bits) / (times @ n_bytes)
    return out


def bits_per_byte(
    name: str, bits: np.ndarray, n_bytes: np.ndarray, resamples: int, seed: int
) -> dict[str, float]:
    """The figure `name` with `_low` and `_high`."""
    low, high = np.quantile(bootstrap_ratios(bits, n_bytes, resamples, seed), [0.025, 0.975])
    return {name: float(bits.sum() / n_bytes.sum()), f"{name}_low": float(low), f"{name}_high": float(high)}


def window_metrics(scores: pa.Table, config: EvaluationConfig, seed: int) -> dict[str, float]:
    """Figures of the test window from a table as `score.score_bundle` gives it; small slices have none."""
    name = "test/bits_per_byte"
    bits, n_bytes = scores["bits"].to_numpy(), scores["n_bytes"].to_numpy()
    out = bits_per_byte(name, bits, n_bytes, config.bootstrap, seed)
    months = [f"{moment:%Y-%m}" for moment in scores["occurred_at"].to_pylist()]
    slices = {kind: scores[kind].to_pylist() for kind in SLICES} | {PERIOD: months}
    for kind, values in slices.items():
        labels = np.array(values, dtype=object)
        for value in sorted(set(labels.tolist())):
            inside = labels == value
            if inside.sum() >= config.min_slice_documents:
                out[f"{name}/{kind}/{metric_name(value)}"] = float(bits[inside].sum() / n_bytes[inside].sum())
    return out


def metric_name(value: str) -> str:
    """A slice's value as a part of a metric's name: what MLflow refuses becomes `_`."""
    return re.sub(r"[^\w.\- ]", "_", value)


def choose(bits: dict[str, np.ndarray], n_bytes: np.ndarray, resamples: int, seed: int) -> str:
    """The one-standard-error rule (Breiman et al. 1984): the cheapest model within one error of the best.

    `bits` holds the bits of each validation document by model, cheapest model first; the error is that of the paired
    difference to the best in bits a byte, documents resampled.
    """
    best = min(bits, key=lambda name: float(bits[name].sum()))
    for name, values in bits.items():
        gap = values - bits[best]
        error = float(bootstrap_ratios(gap, n_bytes, resamples, seed).std())
        if gap.sum() / n_bytes.sum() <= error:
            return name
    raise AssertionError("the best model is within its own error")

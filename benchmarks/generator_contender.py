"""Trains one language model on encoded text and measures it on the rest: a process of its own.

`python generator_contender.py MODEL TEXT SECONDS OUT`; run by generator.py.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nanogpt import fit_nanogpt
from texts import Encoded

from training.generator.config import FitConfig, LstmConfig, TransformerConfig
from training.generator.cross_fit import CrossFitted
from training.generator.export import build_network
from training.generator.fit import fit_network
from training.generator.mixture import read
from training.generator.ngram import NgramModel, join_documents, token_bits
from training.generator.product import Prior, PriorWeight, score_product

SEED = 17
LOOKS_SHARE = 0.01
"""Of the training text, at its end: what networks are looked at on the way; they are not fitted on it."""
ORDERS = (3, 4, 5, 6, 7, 8)
FOLDS = 4
BATCH_TOKENS = 16_384
LOOKS = 4
LAST_LOOK = 0.97
"""Share of the time after which the last look comes."""


@dataclass(frozen=True)
class Fitted:
    """A trained model, as far as the table wants to know it."""

    score: Callable[[list[np.ndarray]], list[np.ndarray]]
    """Natural log-probabilities of every document's tokens and its end"""
    parameters: int
    tokens_per_second: float
    """Trained on"""


class Clock:
    """Seconds left of the budget."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """At least a little, so that something is fitted."""
        return max(0.5, self._end - time.monotonic())


def held_back(documents: list[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The documents without the last of the text, and that; a document may be cut."""
    wanted = max(1, int(LOOKS_SHARE * sum(map(len, documents))))
    kept, back = list(documents), list[np.ndarray]()
    while wanted > 0:
        ids = kept.pop()
        if len(ids) > wanted:
            kept.append(ids[:-wanted])
            ids = ids[-wanted:]
        back.insert(0, ids)
        wanted -= len(ids)
    return kept, back


def choose_order(fitting: list[np.ndarray], looks: list[np.ndarray], vocabulary: int) -> int:
    """The length of n-grams that predicts text best that was held back; longer ones are tried until they lose."""
    best, order = math.inf, ORDERS[0]
    for longer in ORDERS:
        try:
            token_bits(vocabulary, longer)
        except ValueError:
            break
        p, _ = count(fitting, vocabulary, longer).score(join_documents(looks))
        loss = -float(np.log(p).sum())
        if loss >= best:
            break
        best, order = loss, longer
    return order


def count(documents: list[np.ndarray], vocabulary: int, order: int) -> NgramModel:
    """Whole text: who wrote it does not matter here."""
    return NgramModel.fit(documents, ["a"] * len(documents), vocabulary, order, 1)


def fit_ngram(text: Encoded, clock: Clock) -> Fitted:
    """Kneser-Ney as in tidegate, its order chosen."""
    fitting, looks = held_back(text.train)
    model = count(text.train, text.vocabulary, choose_order(fitting, looks, text.vocabulary))

    def score(documents: list[np.ndarray]) -> list[np.ndarray]:
        p, _ = model.score(join_documents(documents))
        return np.split(np.log(p), np.cumsum([len(ids) + 1 for ids in documents])[:-1])

    return Fitted(score, sum(len(order.keys) for order in model.orders), 0.0)


def fit_own(
    name: str, config: LstmConfig | TransformerConfig, text: Encoded, clock: Clock, on_ngrams: bool
) -> Fitted:
    """One of tidegate's networks, alone or on top of its n-gram model."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    network = build_network(name, text.vocabulary, config.model_dump())
    assert network is not None
    fitting, looks = held_back(text.train)
    prior, served = None, None
    if on_ngrams:
        order = choose_order(fitting, looks, text.vocabulary)
        learning = CrossFitted(fitting, ["a"] * len(fitting), text.vocabulary, order, 1, FOLDS)
        prior = Prior(learning, count(fitting, text.vocabulary, order), PriorWeight(network.width, order - 1))
        served = count(text.train, text.vocabulary, order)
    config = config.model_copy(update={"max_seconds": LAST_LOOK * clock.left})
    report = fit_network(
        network,
        fitting,
        looks,
        sum(map(len, looks)),
        config,
        FitConfig(evaluations=LOOKS),
        BATCH_TOKENS,
        SEED,
        lambda line: print(f"{name}: {line}", flush=True),
        lambda look, bits: None,
        prior=prior,
        threads=len(os.sched_getaffinity(0)),
    )

    def score(documents: list[np.ndarray]) -> list[np.ndarray]:
        if prior is None or served is None:
            return read(network, documents, BATCH_TOKENS).log_network
        return score_product(network, prior.weight, served, documents, BATCH_TOKENS)

    return Fitted(score, sum(p.numel() for p in network.parameters()), report.tokens_per_second)


def fit_peer(text: Encoded, clock: Clock) -> Fitted:
    """nanoGPT's recipe."""
    torch.manual_seed(SEED)
    network, tokens_per_second = fit_nanogpt(text.train, text.vocabulary, clock.left)
    return Fitted(
        lambda documents: read(network, documents, BATCH_TOKENS).log_network,
        sum(p.numel() for p in network.parameters()),
        tokens_per_second,
    )


MODELS: dict[str, Callable[[Encoded, Clock], Fitted]] = {
    "ours": lambda text, clock: fit_own("transformer", TransformerConfig(), text, clock, True),
    "ours_lstm": lambda text, clock: fit_own("lstm", LstmConfig(), text, clock, True),
    "lstm": lambda text, clock: fit_own("lstm", LstmConfig(), text, clock, False),
    "ngram": fit_ngram,
    "nanogpt": fit_peer,
}


def main() -> None:
    """Fit, measure, write one JSON object."""
    model, path, seconds, out = sys.argv[1:]
    text = Encoded.load(Path(path))
    began = time.monotonic()
    fitted = MODELS[model](text, Clock(float(seconds)))
    spent = time.monotonic() - began
    scores = fitted.score(text.validation)
    if len(scores) == 1:
        # Nothing ends where a text was cut.
        scores = [scores[0][:-1]]
    nats = text.unknown_nats - float(sum(part.sum() for part in scores))
    row: dict[str, Any] = {
        "seconds": spent,
        "nats_per_char": nats / text.characters,
        "bits_per_byte": nats / math.log(2) / text.n_bytes,
        "parameters": fitted.parameters,
        "tokens_per_s": fitted.tokens_per_second,
    }
    Path(out).write_text(json.dumps(row))


if __name__ == "__main__":
    main()

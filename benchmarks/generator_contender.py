"""Trains one language model on encoded text and measures it on the rest: a process of its own.

`python generator_contender.py MODEL TEXT SECONDS OUT`; run by generator.py.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nanogpt import fit_nanogpt
from texts import Encoded

from training.generator.config import FitConfig, LstmConfig, TransformerConfig
from training.generator.cross_fit import CrossFitted
from training.generator.ensemble import ensemble
from training.generator.export import build_network
from training.generator.fit import fit_network
from training.generator.mixture import read
from training.generator.networks import Network
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
CONFIGS: dict[str, LstmConfig | TransformerConfig] = {
    "lstm": LstmConfig(),
    "transformer": TransformerConfig(),
}


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


def fit_alone(text: Encoded, clock: Clock) -> Fitted:
    """tidegate's LSTM without n-grams."""
    fitting, looks = held_back(text.train)
    network, tokens_per_second = fit_own("lstm", text.vocabulary, fitting, looks, None, clock.left)
    return Fitted(
        lambda documents: read(network, documents, BATCH_TOKENS).log_network,
        parameters_of(network),
        tokens_per_second,
    )


def fit_on_ngrams(names: Sequence[str], text: Encoded, clock: Clock) -> Fitted:
    """tidegate's networks on top of its n-gram model, one after the other in equal parts of the time, then averaged."""
    fitting, looks = held_back(text.train)
    order = choose_order(fitting, looks, text.vocabulary)
    learning = CrossFitted(fitting, ["a"] * len(fitting), text.vocabulary, order, 1, FOLDS)
    blind = count(fitting, text.vocabulary, order)
    served = count(text.train, text.vocabulary, order)
    members, speeds = [], []
    for left, name in zip(range(len(names), 0, -1), names, strict=True):
        prior = Prior(learning, blind, PriorWeight(CONFIGS[name].width, order - 1))
        network, speed = fit_own(name, text.vocabulary, fitting, looks, prior, clock.left / left)
        members.append((network, prior.weight))
        speeds.append(speed)
    network, weight = ensemble(members) if len(members) > 1 else members[0]
    return Fitted(
        lambda documents: score_product(network, weight, served, documents, BATCH_TOKENS),
        parameters_of(network),
        sum(speeds) / len(speeds),
    )


def fit_own(
    name: str,
    vocabulary: int,
    fitting: list[np.ndarray],
    looks: list[np.ndarray],
    prior: Prior | None,
    seconds: float,
) -> tuple[Network, float]:
    """A network of default sizes and its speed in training, tokens a second."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    config = CONFIGS[name].model_copy(update={"max_seconds": LAST_LOOK * seconds})
    network = build_network(name, vocabulary, config.model_dump())
    assert network is not None
    report = fit_network(
        network,
        fitting,
        looks,
        sum(map(len, looks)),
        config,
        FitConfig(evaluations=LOOKS),
        BATCH_TOKENS,
        SEED,
        lambda line: print(f"{name}: {line.replace('bits/byte', 'bits/token')}", flush=True),
        lambda look, bits: None,
        prior=prior,
        threads=len(os.sched_getaffinity(0)),
    )
    return network, report.tokens_per_second


def parameters_of(network: torch.nn.Module) -> int:
    """How many numbers are learned."""
    return sum(p.numel() for p in network.parameters())


def fit_peer(text: Encoded, clock: Clock) -> Fitted:
    """nanoGPT's recipe."""
    torch.manual_seed(SEED)
    network, tokens_per_second = fit_nanogpt(text.train, text.vocabulary, clock.left)
    return Fitted(
        lambda documents: read(network, documents, BATCH_TOKENS).log_network,
        parameters_of(network),
        tokens_per_second,
    )


MODELS: dict[str, Callable[[Encoded, Clock], Fitted]] = {
    "ours": partial(fit_on_ngrams, ("lstm", "transformer")),
    "ours_lstm": partial(fit_on_ngrams, ("lstm",)),
    "ours_transformer": partial(fit_on_ngrams, ("transformer",)),
    "lstm": fit_alone,
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

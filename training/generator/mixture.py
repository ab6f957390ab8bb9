"""A network beside an n-gram model: p = (1 - g) p_network + g p_ngram, with a gate g that depends on the context.

The n-gram model knows frequent phrases after seconds of counting; the network generalises over contexts it never saw.
The gate reads the network's hidden vector and how far the n-gram model had to back off. It is fitted on calibration
documents that neither of the two has seen: on training text both look better than they are.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.generator.networks import Network
from training.generator.ngram import NgramModel
from training.generator.product import PriorWeight, score_product
from training.generator.reading import read_batches
from training.generator.tokenizer import END_ID, Tokenizer

_GATE_WIDTH = 16
_GATE_STEPS = 400
_GATE_BATCH = 4096
_CHUNK = 1024
"""Positions whose logits are held at once."""


class Gate(nn.Module):
    """Logit of the n-gram model's share."""

    def __init__(self, hidden: int, masses: int) -> None:
        super().__init__()
        self.from_hidden = nn.Linear(hidden, _GATE_WIDTH)
        self.from_masses = nn.Linear(masses, _GATE_WIDTH, bias=False)
        self.out = nn.Linear(_GATE_WIDTH, 1)

    def forward(self, hidden: torch.Tensor, masses: torch.Tensor) -> torch.Tensor:
        """Float32 [positions] of `hidden` [positions, hidden] and the n-gram model's masses [positions, order - 1]."""
        return self.out(torch.tanh(self.from_hidden(hidden) + self.from_masses(masses))).squeeze(-1)


def mix(gate: torch.Tensor, log_network: torch.Tensor, log_ngram: torch.Tensor) -> torch.Tensor:
    """log((1 - g) p_network + g p_ngram), with g = sigmoid(gate)."""
    return torch.logaddexp(
        functional.logsigmoid(-gate) + log_network, functional.logsigmoid(gate) + log_ngram
    )


@dataclass(frozen=True)
class TokenScores:
    """Natural log-probabilities of every token of every document, its end token included."""

    mixed: list[np.ndarray]
    """float64 [tokens + 1], a document each"""
    network: list[np.ndarray] | None
    """The same of the network alone; None where there is none, or none that stands alone (see `product.py`)."""


class LanguageModel:
    """Tokenizer, n-gram model and, unless this is the n-gram candidate, a network with its gate.

    A `Gate` mixes the probabilities of the two; with a `PriorWeight` the network corrects those of the n-gram model.
    A network that was pretrained on other text stands alone: it has neither n-gram model nor gate.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        ngram: NgramModel | None,
        network: Network | None = None,
        gate: Gate | PriorWeight | None = None,
    ) -> None:
        if (gate is None) != (network is None or ngram is None) or (network is None and ngram is None):
            raise ValueError(
                "a gate belongs between an n-gram model and a network, and one of the two must be there"
            )
        self.tokenizer, self.ngram, self.network, self.gate = tokenizer, ngram, network, gate
        for part in (network, gate):
            if part is not None:
                part.eval()

    @property
    def order(self) -> int:
        """Tokens in the longest n-gram; 1 without an n-gram model."""
        return self.ngram.order if self.ngram is not None else 1

    def score(self, documents: list[np.ndarray], batch_tokens: int = 4096) -> TokenScores:
        """Score documents given as ids without end tokens; each is read on its own, from the end token on.

        Every token is scored exactly once. A network with a limited context sees at least half of it before each token
        of a long document.
        """
        network, gate = self.network, self.gate
        if self.ngram is None:
            log_network = read(_needed(network), documents, batch_tokens).log_network
            return TokenScores(log_network, log_network)
        if network is not None and isinstance(gate, PriorWeight):
            return TokenScores(score_product(network, gate, self.ngram, documents, batch_tokens), None)
        p, masses = self.ngram.score(_joined(documents))
        ends = np.cumsum([len(ids) + 1 for ids in documents])[:-1]
        log_ngram = np.split(np.log(p), ends)
        if network is None or not isinstance(gate, Gate):
            return TokenScores(log_ngram, None)
        reading = read(network, documents, batch_tokens, np.split(masses, ends), gate)
        mixed = [
            np.logaddexp(
                _log_sigmoid(-share) + log_network,
                _log_sigmoid(share) + counted,
            )
            for share, log_network, counted in zip(reading.gates, reading.log_network, log_ngram, strict=True)
        ]
        return TokenScores(mixed, reading.log_network)

    @torch.inference_mode()
    def next_token(self, hidden: torch.Tensor | None, recent: np.ndarray) -> np.ndarray:
        """Probabilities of the next token, float64 [rows, vocabulary]; special tokens but the end have none.

        `recent` holds the newest `order - 1` tokens of each row, `hidden` [rows, hidden] the network's newest vector;
        more rows of it than of `recent` are no part of the answer (see `Decoder`).
        """
        p = self._distribution(hidden, recent)
        p[:, END_ID] += p[:, self.tokenizer.other_ends].sum(axis=1)
        p[:, self.tokenizer.silent] = 0.0
        return p / p.sum(axis=1, keepdims=True)

    def _distribution(self, hidden: torch.Tensor | None, recent: np.ndarray) -> np.ndarray:
        if self.network is None:
            return _needed(self.ngram).distribution(recent)[0]
        if hidden is None:
            raise ValueError("the network's hidden vectors are missing")
        rows, beyond = len(recent), len(hidden) - len(recent)
        logits = self.network.logits(hidden)[:rows].double()
        if self.ngram is None or self.gate is None:
            return functional.softmax(logits, dim=-1).numpy()
        p, masses = self.ngram.distribution(recent)
        gate = self.gate(hidden, functional.pad(torch.from_numpy(masses), (0, 0, 0, beyond)))[:rows].double()
        if isinstance(self.gate, PriorWeight):
            return functional.softmax(logits + gate * torch.from_numpy(p).log(), dim=-1).numpy()
        share = torch.sigmoid(gate).numpy()[:, None]
        return (1 - share) * functional.softmax(logits, dim=-1).numpy() + share * p


_Part = TypeVar("_Part")


def _needed(part: _Part | None) -> _Part:
    if part is None:
        raise ValueError("a model has a network or an n-gram model")
    return part


def _joined(documents: list[np.ndarray]) -> np.ndarray:
    from training.generator.ngram import join_documents

    return join_documents(documents)


def _log_sigmoid(x: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0.0, -x)


@dataclass(frozen=True)
class Reading:
    """What a network makes of documents: a list entry each, an array entry for each token and the end token."""

    log_network: list[np.ndarray]
    """float64: natural log-probability of the token"""
    gates: list[np.ndarray]
    """float64: the gate's logit; empty arrays without a gate"""
    hidden: list[np.ndarray]
    """float32 [tokens + 1, hidden]: kept only on request"""


@torch.inference_mode()
def read(
    network: Network,
    documents: list[np.ndarray],
    batch_tokens: int,
    masses: list[np.ndarray] | None = None,
    gate: Gate | None = None,
    *,
    keep_hidden: bool = False,
) -> Reading:
    """Run `network` over documents (ids without end tokens), each from the end token on; see `LanguageModel.score`."""
    lengths = [len(ids) + 1 for ids in documents]
    result = Reading(
        [np.zeros(n) for n in lengths],
        [np.zeros(n if gate is not None else 0) for n in lengths],
        [
            np.zeros((n, network.width), np.float32) if keep_hidden else np.zeros((0, 0), np.float32)
            for n in lengths
        ],
    )
    for batch in read_batches(network, documents, batch_tokens):
        for w, part, targets in batch:
            result.log_network[w.document][w.scored : w.end] = _log_probabilities(network, part, targets)
            if gate is not None and masses is not None:
                mass = torch.from_numpy(masses[w.document][w.scored : w.end])
                result.gates[w.document][w.scored : w.end] = gate(part, mass).numpy()
            if keep_hidden:
                result.hidden[w.document][w.scored : w.end] = part.numpy()
    return result


def _log_probabilities(network: Network, hidden: torch.Tensor, targets: np.ndarray) -> np.ndarray:
    parts = []
    for begin in range(0, len(targets), _CHUNK):
        wanted = torch.from_numpy(targets[begin : begin + _CHUNK])
        logits = network.logits(hidden[begin : begin + _CHUNK])
        parts.append(-functional.cross_entropy(logits, wanted, reduction="none").double().numpy())
    return np.concatenate(parts)


def fit_gate(
    network: Network, ngram: NgramModel, documents: list[np.ndarray], batch_tokens: int, seed: int
) -> Gate:
    """Fit a gate on calibration documents that neither `network` nor `ngram` has seen."""
    reading = read(network, documents, batch_tokens, keep_hidden=True)
    p, masses = ngram.score(_joined(documents))
    hidden = torch.from_numpy(np.concatenate(reading.hidden))
    log_network = torch.from_numpy(np.concatenate(reading.log_network)).float()
    log_ngram, mass = torch.from_numpy(np.log(p)).float(), torch.from_numpy(masses)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        gate = Gate(network.width, masses.shape[1])
    optimiser = torch.optim.AdamW(gate.parameters(), lr=5e-3, weight_decay=0.01)
    for step in range(_GATE_STEPS):
        for group in optimiser.param_groups:
            group["lr"] = 5e-3 * 0.5 * (1 + math.cos(math.pi * step / _GATE_STEPS))
        at = torch.randint(len(hidden), (min(_GATE_BATCH, len(hidden)),), generator=generator)
        loss = -mix(gate(hidden[at], mass[at]), log_network[at], log_ngram[at]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return gate.eval()

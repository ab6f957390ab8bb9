"""A network on top of an n-gram model: log p(y) = z(y) + a log p_ngram(y) - log Z, with a weight a that depends on the
context (a product of experts, Hinton 2002).

The two are not fitted side by side: the network learns what the n-gram model lacks, beginning from what counting knows
after a second. While it learns, the n-gram model has not counted the part of the text that it is asked about
(`cross_fit.py`): it would be trusted too much.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.generator.cross_fit import CrossFitted
from training.generator.networks import Network
from training.generator.ngram import NgramModel
from training.generator.reading import read_batches
from training.generator.tokenizer import END_ID

_CHUNK = 1024
"""Positions whose probabilities are held at once."""


class PriorWeight(nn.Module):
    """The weight of the n-gram model's log-probabilities; 1 everywhere to begin with."""

    def __init__(self, hidden: int, masses: int) -> None:
        super().__init__()
        self.from_hidden = nn.Linear(hidden, 1)
        self.from_masses = nn.Linear(masses, 1, bias=False)
        for weight in (self.from_hidden.weight, self.from_masses.weight):
            nn.init.zeros_(weight)
        nn.init.ones_(self.from_hidden.bias)

    def forward(self, hidden: torch.Tensor, masses: torch.Tensor) -> torch.Tensor:
        """Float32 [positions, 1] of vectors [positions, hidden] and the n-gram's masses [positions, order - 1]."""
        return self.from_hidden(hidden) + self.from_masses(masses)

    def scores(
        self, logits: torch.Tensor, hidden: torch.Tensor, counted: tuple[np.ndarray, np.ndarray]
    ) -> torch.Tensor:
        """Logits of both, float32 [positions, vocabulary], from those of the network and what the n-gram model's
        `distribution` gave.
        """
        # Copies lie as torch aligns memory: where products round does not depend on where numpy put its arrays.
        p, masses = (torch.tensor(array, dtype=torch.float32) for array in counted)
        return logits + self(hidden, masses) * p.log()


@dataclass(frozen=True)
class Prior:
    """What a network stands on: to learn, to be measured, and the weight that is fitted with it."""

    learning: CrossFitted
    """Of the documents that the network is fitted on"""
    ngram: NgramModel
    """Counted from the same documents"""
    weight: PriorWeight


@torch.inference_mode()
def score_product(
    network: Network, weight: PriorWeight, ngram: NgramModel, documents: list[np.ndarray], batch_tokens: int
) -> list[np.ndarray]:
    """Natural log-probabilities of the tokens of each document and its end, float64 [tokens + 1]; see
    `LanguageModel.score`.
    """
    result = [np.zeros(len(ids) + 1) for ids in documents]
    for batch in read_batches(network, documents, batch_tokens):
        hidden = torch.cat([part for _, part, _ in batch])
        targets = torch.from_numpy(np.concatenate([wanted for _, _, wanted in batch]))
        recent = np.concatenate(
            [_recent(documents[w.document], ngram.order)[w.scored : w.end] for w, _, _ in batch]
        )
        scores = np.concatenate(
            [
                _log_probabilities(network, weight, ngram, hidden[at], targets[at], recent[at])
                for at in (slice(first, first + _CHUNK) for first in range(0, len(targets), _CHUNK))
            ]
        )
        ends = np.cumsum([len(wanted) for _, _, wanted in batch])[:-1]
        for (w, _, _), part in zip(batch, np.split(scores, ends), strict=True):
            result[w.document][w.scored : w.end] = part
    return result


def _recent(ids: np.ndarray, order: int) -> np.ndarray:
    """The newest `order - 1` tokens before each token and the end, filled up with the end token on the left."""
    padded = np.concatenate([np.full(order - 1, END_ID, np.int64), ids])
    return np.lib.stride_tricks.sliding_window_view(padded, order - 1)


def _log_probabilities(
    network: Network,
    weight: PriorWeight,
    ngram: NgramModel,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    recent: np.ndarray,
) -> np.ndarray:
    scores = weight.scores(network.logits(hidden), hidden, ngram.distribution(recent))
    return -functional.cross_entropy(scores, targets, reduction="none").double().numpy()

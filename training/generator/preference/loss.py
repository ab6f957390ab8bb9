"""Log-probabilities of continuations under the model as it is served, and the losses that feedback gives.

Direct preference optimisation (Rafailov et al. 2023, equation 7), with the chosen text's own likelihood beside it (Pang
et al. 2024, "Iterative Reasoning Preference Optimization") where it must not fall; ratings without an opposite by
APO-zero (D'Oosterlinck et al. 2024), which is KTO (Ethayarajh et al. 2024) with its point of reference at the champion.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from training.generator.mixture import Gate, LanguageModel, mix
from training.generator.ngram import NgramModel, join_documents
from training.generator.preference.data import Continuation
from training.generator.product import PriorWeight
from training.generator.tokenizer import END_ID


@dataclass(frozen=True)
class Counted:
    """A continuation with what the n-gram model, which does not change, says of its scored tokens."""

    text: Continuation
    log_ngram: torch.Tensor
    """float32 [scored]"""
    masses: torch.Tensor
    """float32 [scored, order - 1]"""
    recent: np.ndarray
    """int [scored, order - 1]: the newest tokens before each, as `NgramModel.distribution` takes them"""


def counts_of(model: LanguageModel) -> NgramModel:
    """The n-gram model that the network stands on. Raises ValueError for a public model, which has none."""
    if model.ngram is None:
        raise ValueError("a model without counts does not learn from feedback")
    return model.ngram


def counted(ngram: NgramModel, texts: list[Continuation]) -> list[Counted]:
    """Look all tokens up once."""
    p, masses = ngram.score(join_documents([text.ids for text in texts]))
    ends = np.cumsum([len(text.ids) + 1 for text in texts])
    found = []
    for text, end in zip(texts, ends.tolist(), strict=True):
        begin = end - len(text.ids) - 1 + text.start
        part = slice(begin, begin + text.n_scored)
        log_ngram, mass = torch.from_numpy(np.log(p[part])).float(), torch.from_numpy(masses[part])
        found.append(Counted(text, log_ngram, mass, _recent(text, ngram.order)))
    return found


def log_probabilities(model: LanguageModel, texts: list[Counted]) -> torch.Tensor:
    """Natural log-probability of every text's scored tokens together, float32 [texts], with gradients to network and
    gate.

    A text longer than the network's context is read from its end. Raises ValueError for a model without a network, or
    a response that does not fit into its context.
    """
    network = model.network
    if network is None:
        raise ValueError("a model without a network has no gradients")
    read = [_window(entry.text, network.context) for entry in texts]
    inputs = torch.full((len(texts), max(len(tokens) for tokens, _ in read)), END_ID, dtype=torch.int64)
    rows: list[int] = []
    places: list[int] = []
    for row, ((tokens, first), entry) in enumerate(zip(read, texts, strict=True)):
        inputs[row, : len(tokens)] = torch.from_numpy(tokens)
        rows += [row] * entry.text.n_scored
        places += range(first, first + entry.text.n_scored)
    hidden, _ = network(inputs)
    at = torch.tensor(rows)
    seen = hidden[at, torch.tensor(places)]
    targets = np.concatenate([_targets(entry.text) for entry in texts]).astype(np.int64)
    found = _found(model, network.logits(seen), seen, torch.from_numpy(targets), texts)
    return torch.zeros(len(texts)).index_add(0, at, found)


def _found(
    model: LanguageModel,
    logits: torch.Tensor,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    texts: list[Counted],
) -> torch.Tensor:
    """Log-probability of every target, float32 [targets], by the network with its share of the n-gram model."""
    gate = model.gate
    if isinstance(gate, PriorWeight):
        recent = np.concatenate([entry.recent for entry in texts])
        logits = gate.scores(logits, hidden, counts_of(model).distribution(recent))
    found = -functional.cross_entropy(logits, targets, reduction="none")
    if not isinstance(gate, Gate):
        return found
    share = gate(hidden, torch.cat([entry.masses for entry in texts]))
    return mix(share, found, torch.cat([entry.log_ngram for entry in texts]))


def _recent(text: Continuation, order: int) -> np.ndarray:
    padded = np.concatenate([np.full(order - 1, END_ID, np.int64), text.ids])
    before = np.lib.stride_tricks.sliding_window_view(padded, order - 1)
    return before[text.start : text.start + text.n_scored]


def _window(text: Continuation, context: int | None) -> tuple[np.ndarray, int]:
    """Tokens that the network reads, int64, and the place of the first that is answered by a scored token."""
    tokens = np.concatenate([[END_ID], text.ids]).astype(np.int64)[: text.start + text.n_scored]
    dropped = 0 if context is None else max(0, len(tokens) - context)
    if dropped > text.start:
        raise ValueError(f"a response of {text.n_scored} tokens does not fit into the context of {context}")
    return tokens[dropped:], text.start - dropped


def _targets(text: Continuation) -> np.ndarray:
    return np.append(text.ids, END_ID)[text.start : text.start + text.n_scored]


def dpo_loss(chosen: torch.Tensor, rejected: torch.Tensor, beta: float) -> torch.Tensor:
    """-log sigmoid(beta (chosen - rejected)) of each pair; both are log-ratios of the policy to the reference."""
    return -functional.logsigmoid(beta * (chosen - rejected))


def apo_zero_loss(ratios: torch.Tensor, liked: torch.Tensor, beta: float) -> torch.Tensor:
    """1 - sigmoid(beta r) of liked texts, sigmoid(beta r) of the others; `liked` is a bool tensor."""
    reward = beta * ratios
    return torch.where(liked, torch.sigmoid(-reward), torch.sigmoid(reward))

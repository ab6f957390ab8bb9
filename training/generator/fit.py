"""The training loop of both networks: AdamW, warm-up and cosine over a budget, early stopping on validation text.

The budget is `max_steps` or `max_seconds`, whichever ends first; the learning rate follows the larger of the two shares
spent. Where steps end it, the result depends on the seed alone, up to rounding; where time does, also on the
machine's speed.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.generator.config import FitConfig, LstmConfig, TransformerConfig
from training.generator.mixture import read
from training.generator.networks import Network
from training.generator.ngram import join_documents
from training.result import Progress

_SMOOTHED = 0.98


@dataclass
class FitReport:
    """How fitting went."""

    steps: int = 0
    epochs: float = 0.0
    seconds: float = 0.0
    ended_by: str = ""
    """`steps`, `seconds` or `early_stopping`"""
    best_step: int = 0
    tokens_per_second: float = 0.0
    curves: list[dict[str, float]] = field(default_factory=list)
    """`step`, `train/loss` (nats a token, smoothed), `learning_rate`; at looks `validation/bits_per_byte_network`"""


def packed_rows(
    documents: list[np.ndarray], row_tokens: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Documents in random order, end tokens between them, cut into rows: inputs and targets, int64 [rows, row_tokens].

    The last row begins earlier, so that it is full too; a corpus shorter than a row is repeated.
    """
    stream = join_documents([documents[i] for i in rng.permutation(len(documents))]).astype(np.int64)
    if len(stream) <= row_tokens:
        stream = np.resize(stream, row_tokens + 1)
    begins = np.arange(0, len(stream) - 1, row_tokens)
    begins = np.minimum(begins, len(stream) - 1 - row_tokens)
    at = begins[:, None] + np.arange(row_tokens)
    return stream[at], stream[at + 1]


def _epochs(
    documents: list[np.ndarray], config: LstmConfig | TransformerConfig, rng: np.random.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
    """Batches without end: inputs, targets, and the share of an epoch in each."""
    while True:
        inputs, targets = packed_rows(documents, config.row_tokens, rng)
        order = rng.permutation(len(inputs))
        for begin in range(0, len(order), config.batch_rows):
            rows = order[begin : begin + config.batch_rows]
            yield torch.from_numpy(inputs[rows]), torch.from_numpy(targets[rows]), len(rows) / len(order)


def rate_share(spent: float, config: FitConfig) -> float:
    """Learning rate as a share of its peak when `spent` (0 to 1) of the budget is gone: linear, then a half cosine."""
    if spent < config.warmup_share:
        return (spent + 1e-3) / (config.warmup_share + 1e-3)
    left = 1 - (spent - config.warmup_share) / (1 - config.warmup_share)
    cosine = 0.5 * (1 - math.cos(math.pi * min(max(left, 0.0), 1.0)))
    return config.final_rate_share + (1 - config.final_rate_share) * cosine


class _Looks:
    """Early stopping: remembers the best weights by bits a byte on the same validation documents."""

    def __init__(self, documents: list[np.ndarray], n_bytes: int, batch_tokens: int) -> None:
        self._documents, self._n_bytes, self._batch_tokens = documents, n_bytes, batch_tokens
        self.best, self.best_step, self.waited, self.taken = math.inf, 0, 0, 0
        self._weights: dict[str, torch.Tensor] = {}

    def look(self, network: Network, step: int) -> float:
        scores = read(network, self._documents, self._batch_tokens).log_network
        bits = -sum(float(part.sum()) for part in scores) / math.log(2) / self._n_bytes
        self.taken += 1
        if bits < self.best:
            self.best, self.best_step, self.waited = bits, step, 0
            self._weights = copy.deepcopy(network.state_dict())
        else:
            self.waited += 1
        return bits

    def restore(self, network: Network) -> None:
        network.load_state_dict(self._weights)


def fit_network(
    network: Network,
    documents: list[np.ndarray],
    validation: list[np.ndarray],
    validation_bytes: int,
    config: LstmConfig | TransformerConfig,
    fit: FitConfig,
    batch_tokens: int,
    seed: int,
    progress: Progress,
    report_look: Callable[[int, float], None],
) -> FitReport:
    """Fit `network` in place on documents (ids without end tokens) and leave it with its best weights.

    `validation_bytes` are the UTF-8 bytes of the validation documents; `report_look` is told the number and the bits a
    byte of each look at them, and may raise to end the fit. Raises ValueError when the loss is not a number.
    """
    report = FitReport()
    looks = _Looks(validation, validation_bytes, batch_tokens)
    optimiser = torch.optim.AdamW(
        network.parameter_groups(config.weight_decay),
        lr=config.learning_rate,
        betas=(0.9, fit.beta2),
        fused=True,
    )
    batches = _epochs(documents, config, np.random.default_rng([seed, 0xF1]))
    began, next_look, smoothed = time.monotonic(), 1 / fit.evaluations, math.nan
    network.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        while True:
            by_steps = report.steps / config.max_steps
            by_time = (time.monotonic() - began) / config.max_seconds
            spent = max(by_steps, by_time)
            if spent >= next_look or spent >= 1:
                bits = looks.look(network, report.steps)
                progress(
                    f"step {report.steps}, {min(spent, 1):.0%} of the budget: validation {bits:.3f} bits/byte without "
                    f"n-grams, training loss {smoothed:.3f}"
                )
                report.curves.append({"step": float(report.steps), "validation/bits_per_byte_network": bits})
                report_look(looks.taken, bits)
                next_look += 1 / fit.evaluations
            if spent >= 1 or looks.waited >= fit.patience:
                report.ended_by = (
                    "early_stopping" if spent < 1 else "steps" if by_steps >= by_time else "seconds"
                )
                break
            inputs, targets, share = next(batches)
            rate = config.learning_rate * rate_share(spent, fit)
            loss = _step(network, optimiser, inputs, targets, rate, fit.clip_norm)
            smoothed = loss if math.isnan(smoothed) else _SMOOTHED * smoothed + (1 - _SMOOTHED) * loss
            report.steps += 1
            report.epochs += share
            if report.steps % _every(report.steps) == 0:
                report.curves.append(
                    {"step": float(report.steps), "train/loss": smoothed, "learning_rate": rate}
                )
    report.seconds = time.monotonic() - began
    report.best_step = looks.best_step
    report.tokens_per_second = report.steps * config.row_tokens * config.batch_rows / report.seconds
    looks.restore(network)
    network.eval()
    return report


def _every(step: int) -> int:
    """Steps between two points of the curve: every one at first, so that short runs have a curve too."""
    return 1 if step <= 20 else 10 if step <= 200 else 50


def _step(
    network: Network,
    optimiser: torch.optim.Optimizer,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    rate: float,
    clip_norm: float,
) -> float:
    for group in optimiser.param_groups:
        group["lr"] = rate
    hidden, _ = network(inputs)
    loss = functional.cross_entropy(network.logits(hidden).flatten(0, 1), targets.flatten())
    value = float(loss.detach())
    if not math.isfinite(value):
        raise ValueError("the training loss is not a number: the learning rate is too high for this corpus")
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
    optimiser.step()
    return value

"""The training loop of all networks: warm-up and cosine over a budget, early stopping on validation text.

Muon (Jordan 2024) fits the matrices that a network names, AdamW the rest. The rows of a step are shared out over
threads: on networks this small a second thread inside every product gains little, one with rows of its own almost all.

The budget is `max_steps` or `max_seconds`, whichever ends first; the learning rate follows the larger of the two shares
spent. Where steps end it, the result depends on the seed alone, up to rounding; where time does, also on the
machine's speed.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from training.generator.config import FitConfig
from training.generator.mixture import read
from training.generator.networks import Network
from training.generator.ngram import join_documents
from training.generator.product import Prior, score_product
from training.generator.steps import NetworkConfig, Rows, Steps
from training.generator.tokenizer import END_ID
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
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Documents in random order, end tokens between them, cut into rows: inputs, targets, and where the targets stand
    in the joined documents (see `CrossFitted.distribution`); int64 [rows, row_tokens] each.

    The last row begins earlier, so that it is full too; a corpus shorter than a row is repeated.
    """
    joined = join_documents(documents).astype(np.int64)[1:]
    begins = np.cumsum([0] + [len(ids) + 1 for ids in documents])
    places = np.concatenate([np.arange(begins[i], begins[i + 1]) for i in rng.permutation(len(documents))])
    if len(places) < row_tokens:
        places = np.resize(places, row_tokens)
    inputs = np.concatenate([[END_ID], joined[places[:-1]]])
    starts = np.minimum(np.arange(0, len(places), row_tokens), len(places) - row_tokens)
    at = starts[:, None] + np.arange(row_tokens)
    return inputs[at], joined[places[at]], places[at]


def _epochs(
    documents: list[np.ndarray], config: NetworkConfig, rng: np.random.Generator
) -> Iterator[tuple[Rows, float]]:
    """Batches without end, and the share of an epoch in each."""
    while True:
        packed = packed_rows(documents, config.row_tokens, rng)
        order = rng.permutation(len(packed[0]))
        for begin in range(0, len(order), config.batch_rows):
            rows = order[begin : begin + config.batch_rows]
            inputs, targets, places = (array[rows] for array in packed)
            yield Rows(inputs, targets, places), len(rows) / len(order)


def rate_share(spent: float, config: FitConfig) -> float:
    """Learning rate as a share of its peak when `spent` (0 to 1) of the budget is gone: linear, then a half cosine."""
    if spent < config.warmup_share:
        return (spent + 1e-3) / (config.warmup_share + 1e-3)
    left = 1 - (spent - config.warmup_share) / (1 - config.warmup_share)
    cosine = 0.5 * (1 - math.cos(math.pi * min(max(left, 0.0), 1.0)))
    return config.final_rate_share + (1 - config.final_rate_share) * cosine


class _Looks:
    """Early stopping: remembers the best weights by bits a byte on the same validation documents."""

    def __init__(
        self, documents: list[np.ndarray], n_bytes: int, batch_tokens: int, prior: Prior | None
    ) -> None:
        self._documents, self._n_bytes, self._batch_tokens = documents, n_bytes, batch_tokens
        self._prior = prior
        self.best, self.best_step, self.waited, self.taken = math.inf, 0, 0, 0
        self._weights: list[torch.Tensor] = []

    def look(self, network: Network, step: int) -> float:
        if self._prior is None:
            scores = read(network, self._documents, self._batch_tokens).log_network
        else:
            weight, ngram = self._prior.weight, self._prior.ngram
            scores = score_product(network, weight, ngram, self._documents, self._batch_tokens)
        bits = -sum(float(part.sum()) for part in scores) / math.log(2) / self._n_bytes
        self.taken += 1
        if bits < self.best:
            self.best, self.best_step, self.waited = bits, step, 0
            self._weights = [parameter.detach().clone() for parameter in _fitted(network, self._prior)]
        else:
            self.waited += 1
        return bits

    @torch.no_grad()
    def restore(self, network: Network) -> None:
        for parameter, value in zip(_fitted(network, self._prior), self._weights, strict=True):
            parameter.copy_(value)


def _fitted(network: Network, prior: Prior | None) -> list[nn.Parameter]:
    parameters = [*network.parameters(), *(prior.weight.parameters() if prior is not None else ())]
    return [parameter for parameter in parameters if parameter.requires_grad]


def fit_network(
    network: Network,
    documents: list[np.ndarray],
    validation: list[np.ndarray],
    validation_bytes: int,
    config: NetworkConfig,
    fit: FitConfig,
    batch_tokens: int,
    seed: int,
    progress: Progress,
    report_look: Callable[[int, float], None],
    *,
    prior: Prior | None = None,
    threads: int = 1,
    look_first: bool = False,
) -> FitReport:
    """Fit `network` in place on documents (ids without end tokens) and leave it with its best weights.

    `validation_bytes` are the UTF-8 bytes of the validation documents; `report_look` is told the number and the bits a
    byte of each look at them, and may raise to end the fit. With a `prior` the network learns what its n-gram model
    lacks, and the weight between them is fitted too. Each step's rows are shared out over `threads`. With
    `look_first` there is a look before the first step, for weights that are good already. Raises ValueError when the
    loss is not a number.
    """
    report = FitReport()
    looks = _Looks(validation, validation_bytes, batch_tokens, prior)
    batches = _epochs(documents, config, np.random.default_rng([seed, 0xF1]))
    network.train()
    with torch.random.fork_rng(devices=[]), Steps(network, config, fit, prior, threads) as steps:
        torch.manual_seed(seed)
        # From here on: making an optimiser may import for seconds, and the rate follows the clock.
        began, next_look, smoothed = time.monotonic(), 0.0 if look_first else 1 / fit.evaluations, math.nan
        while True:
            by_steps = report.steps / config.max_steps
            by_time = (time.monotonic() - began) / config.max_seconds
            spent = max(by_steps, by_time)
            if spent >= next_look or spent >= 1:
                bits = looks.look(network, report.steps)
                alone = "" if prior is not None else " without n-grams"
                loss_so_far = f", training loss {smoothed:.3f}" if report.steps else ""
                progress(
                    f"step {report.steps}, {min(spent, 1):.0%} of the budget: validation {bits:.3f} bits/byte{alone}"
                    f"{loss_so_far}"
                )
                report.curves.append({"step": float(report.steps), "validation/bits_per_byte_network": bits})
                report_look(looks.taken, bits)
                next_look += 1 / fit.evaluations
            if spent >= 1 or looks.waited >= fit.patience:
                report.ended_by = (
                    "early_stopping" if spent < 1 else "steps" if by_steps >= by_time else "seconds"
                )
                break
            rows, share = next(batches)
            rate = rate_share(spent, fit)
            loss = steps.step(rows, rate)
            smoothed = loss if math.isnan(smoothed) else _SMOOTHED * smoothed + (1 - _SMOOTHED) * loss
            report.steps += 1
            report.epochs += share
            if report.steps % _every(report.steps) == 0:
                report.curves.append(
                    {
                        "step": float(report.steps),
                        "train/loss": smoothed,
                        "learning_rate": rate * config.learning_rate,
                    }
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

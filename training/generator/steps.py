"""One step of fitting: gradients of a batch, its rows shared out over threads, and what the optimisers make of them."""

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.generator.config import FitConfig, LstmConfig, PretrainedConfig, TransformerConfig
from training.generator.muon import Muon
from training.generator.networks import Network
from training.generator.product import Prior

NetworkConfig = LstmConfig | TransformerConfig | PretrainedConfig
_LEAST_WIDTH = 96
"""Narrower products gain nothing from half precision."""
_PAYS = 1.3
_SIDE, _TRIES = 256, 5


@dataclass(frozen=True)
class Rows:
    """A batch, int64 [rows, tokens] each; see `fit.packed_rows`."""

    inputs: np.ndarray
    targets: np.ndarray
    places: np.ndarray

    def shares(self, parts: int) -> list["Rows"]:
        """At most so many batches of about equal size."""
        arrays = (self.inputs, self.targets, self.places)
        cut = (np.array_split(array, min(parts, len(self.inputs))) for array in arrays)
        return [Rows(*part) for part in zip(*cut, strict=True)]


@cache
def half_precision_pays() -> bool:
    """Whether this processor multiplies bfloat16 matrices faster than float32: with instructions for it twice as fast,
    without them up to 200 times slower (both measured), so it is tried out once.
    """
    return _product_seconds(torch.float32) > _PAYS * _product_seconds(torch.bfloat16)


def _product_seconds(dtype: torch.dtype) -> float:
    matrix, seconds = torch.ones(_SIDE, _SIDE, dtype=dtype), []
    for _ in range(_TRIES):
        began = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - began)
    return min(seconds)


class Steps:
    """Optimisers and threads of one fit; a context."""

    def __init__(
        self,
        network: Network,
        config: NetworkConfig,
        fit: FitConfig,
        prior: Prior | None,
        threads: int,
    ) -> None:
        self._network, self._prior, self._threads, self._clip_norm = network, prior, threads, fit.clip_norm
        self._half = fit.half_precision and network.width >= _LEAST_WIDTH and half_precision_pays()
        self._optimisers = _optimisers(network, config, fit, prior, threads)
        groups = [group for optimiser in self._optimisers for group in optimiser.param_groups]
        self._peaks = [(group, group["lr"]) for group in groups]
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def step(self, rows: Rows, rate: float) -> float:
        """Learn from `rows` at a share of the peak rates; returns the loss, nats a token. Raises ValueError when it is
        not a number.
        """
        for group, peak in self._peaks:
            group["lr"] = peak * rate
        if self._pool is None:
            results = [self._gradients(rows, rows.targets.size)]
        else:
            results = list(
                self._pool.map(lambda part: self._alone(part, rows.targets.size), rows.shares(self._threads))
            )
        loss = sum(value for value, _ in results)
        if not math.isfinite(loss):
            raise ValueError(
                "the training loss is not a number: the learning rate is too high for this corpus"
            )
        for parameter, *parts in zip(self._parameters, *(parts for _, parts in results), strict=True):
            parameter.grad = parts[0]
            for part in parts[1:]:
                parameter.grad.add_(part)
        nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        if self._pool is None:
            for optimiser in self._optimisers:
                optimiser.step()
        else:
            list(self._pool.map(lambda optimiser: optimiser.step(), self._optimisers))
        return loss

    def _alone(self, rows: Rows, tokens: int) -> tuple[float, Sequence[torch.Tensor]]:
        torch.set_num_threads(1)
        return self._gradients(rows, tokens)

    def _gradients(self, rows: Rows, tokens: int) -> tuple[float, Sequence[torch.Tensor]]:
        """The part of the loss that falls to `rows` of a batch of so many `tokens`, and its gradients."""
        counted = None
        if self._prior is not None:
            counted = self._prior.learning.distribution(rows.places.ravel())
        # Each weight is used once; a cache of cast weights would be shared by all threads.
        with torch.autocast("cpu", torch.bfloat16, enabled=self._half, cache_enabled=False):
            hidden, _ = self._network(torch.from_numpy(rows.inputs))
            hidden = hidden.flatten(0, 1)
            scores = self._network.logits(hidden)
        scores, hidden = scores.float(), hidden.float()
        if self._prior is not None and counted is not None:
            scores = self._prior.weight.scores(scores, hidden, counted)
        targets = torch.from_numpy(rows.targets.ravel())
        loss = functional.cross_entropy(scores, targets, reduction="sum") / tokens
        return float(loss.detach()), torch.autograd.grad(loss, self._parameters)


def _optimisers(
    network: Network,
    config: NetworkConfig,
    fit: FitConfig,
    prior: Prior | None,
    threads: int,
) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the network's matrices, these dealt out to as many optimisers as there are threads."""
    matrices = sorted(network.matrices(), key=lambda matrix: -matrix.numel())
    known = {id(matrix) for matrix in matrices}
    groups = network.parameter_groups(config.weight_decay)
    for group in groups:
        group["params"] = [p for p in group["params"] if p.requires_grad and id(p) not in known]
    if prior is not None:
        groups.append({"params": list(prior.weight.parameters()), "weight_decay": 0.0})
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, fit.beta2), fused=True)
    ]
    if matrices and isinstance(config, TransformerConfig):
        dealt = [matrices[first::threads] for first in range(min(threads, len(matrices)))]
        optimisers += [Muon(part, config.muon_rate, weight_decay=config.muon_decay) for part in dealt]
    return optimisers

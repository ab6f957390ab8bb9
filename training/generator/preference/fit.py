"""The training loop: preferences, the chosen texts' likelihood, and the corpus, all under the model as it is served.

Tokenizer and n-gram model stay the champion's; network and gate move, without dropout, their start the reference. A
gate that were held would leave a network nothing to learn wherever it leaves it nothing to say.
Kept are the weights with the least loss on validation pairs among those that have forgotten no more than is allowed.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from training.generator.mixture import LanguageModel
from training.generator.ngram import NgramModel
from training.generator.preference.config import DpoConfig
from training.generator.preference.data import Continuation
from training.generator.preference.loss import (
    Counted,
    apo_zero_loss,
    counted,
    counts_of,
    dpo_loss,
    log_probabilities,
)
from training.result import Progress

_SCORED_AT_ONCE = 64


@dataclass(frozen=True)
class Texts:
    """Continuations with their log-probabilities under the reference."""

    counted: list[Counted]
    reference: torch.Tensor
    """float32 [texts]"""

    @property
    def tokens(self) -> torch.Tensor:
        """float32 [texts]: scored tokens."""
        return torch.tensor([entry.text.n_scored for entry in self.counted], dtype=torch.float32)

    def take(self, index: np.ndarray) -> "Texts":
        """The texts at `index`."""
        return Texts([self.counted[i] for i in index], self.reference[torch.from_numpy(index)])

    @classmethod
    def of(cls, reference: LanguageModel, texts: list[Continuation]) -> "Texts":
        """Scored by `reference`."""
        found = counted(counts_of(reference), texts)
        return cls(found, scored(reference, found))


@dataclass(frozen=True)
class Feedback:
    """What is learnt from, encoded."""

    chosen: Texts
    rejected: Texts
    unpaired: Texts
    liked: torch.Tensor
    """bool [unpaired]"""

    def pairs(self, index: np.ndarray) -> tuple[Texts, Texts]:
        """Chosen and rejected texts at `index`."""
        return self.chosen.take(index), self.rejected.take(index)


@dataclass
class FitReport:
    """How fitting went."""

    steps: int = 0
    best_step: int = 0
    """0: no weights were better than the champion's"""
    seconds: float = 0.0
    ended_by: str = ""
    """`steps`, `seconds` or `early_stopping`"""
    curves: list[dict[str, float]] = field(default_factory=list)
    """`step` with the losses of the step, or with `validation/*` of a look"""


@torch.no_grad()
def scored(model: LanguageModel, texts: list[Counted]) -> torch.Tensor:
    """`log_probabilities` of any number of texts, without gradients."""
    parts = [
        log_probabilities(model, texts[begin : begin + _SCORED_AT_ONCE])
        for begin in range(0, len(texts), _SCORED_AT_ONCE)
    ]
    return torch.cat(parts) if parts else torch.zeros(0)


def fit_preferences(
    model: LanguageModel,
    training: Feedback,
    validation: Feedback,
    documents: list[Continuation],
    bits_per_byte: Callable[[], float],
    config: DpoConfig,
    seed: int,
    progress: Progress,
) -> FitReport:
    """Move network and gate of `model` in place and leave them with their best weights.

    `documents` of the corpus keep it from forgetting; `bits_per_byte` tells what validation documents cost `model` as
    it is. Raises ValueError when a loss is not a number.
    """
    report, began = FitReport(), time.monotonic()
    moved = nn.ModuleList([part for part in (model.network, model.gate) if part is not None]).eval()
    looks = _Looks(model, moved, validation, bits_per_byte, config)
    looks.look(0, report, progress)
    steps = _steps(training, counts_of(model), documents, config, np.random.default_rng([seed, 0xD0]))
    total = math.ceil(config.max_epochs * len(training.chosen.counted) / config.batch_pairs)
    optimiser = torch.optim.AdamW(
        moved.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=0.0
    )
    next_look = 1 / config.evaluations
    while True:
        by_time = (time.monotonic() - began) / config.max_seconds
        spent = max(report.steps / total, by_time)
        if spent >= next_look or spent >= 1:
            looks.look(report.steps, report, progress)
            next_look += 1 / config.evaluations
        if spent >= 1 or looks.waited >= config.patience:
            report.ended_by = (
                "early_stopping" if spent < 1 else "steps" if report.steps >= total else "seconds"
            )
            break
        losses = _step(model, moved, optimiser, next(steps), config, _rate(spent, config))
        report.steps += 1
        report.curves.append({"step": float(report.steps)} | losses)
    report.seconds, report.best_step = time.monotonic() - began, looks.best_step
    moved.load_state_dict(looks.weights)
    return report


def _rate(spent: float, config: DpoConfig) -> float:
    if spent < config.warmup_share:
        return config.learning_rate * (spent + 1e-3) / (config.warmup_share + 1e-3)
    left = (1 - spent) / (1 - config.warmup_share)
    return config.learning_rate * 0.5 * (1 - math.cos(math.pi * min(max(left, 0.0), 1.0)))


@dataclass(frozen=True)
class _Batch:
    chosen: Texts
    rejected: Texts
    unpaired: Texts
    liked: torch.Tensor
    documents: list[Counted]


def _steps(
    training: Feedback,
    ngram: NgramModel,
    documents: list[Continuation],
    config: DpoConfig,
    rng: np.random.Generator,
) -> Iterator[_Batch]:
    """Batches without end; ratings without an opposite come in proportion to the pairs, twice as many at most."""
    n, alone = len(training.chosen.counted), len(training.unpaired.counted)
    share = (
        min(2 * config.batch_pairs, math.ceil(config.batch_pairs * alone / n))
        if config.unpaired_weight
        else 0
    )
    while True:
        order = rng.permutation(n)
        for begin in range(0, n, config.batch_pairs):
            some = rng.choice(alone, min(share, alone), replace=False) if share else np.zeros(0, np.int64)
            said = rng.choice(len(documents), min(config.batch_documents, len(documents)), replace=False)
            yield _Batch(
                *training.pairs(order[begin : begin + config.batch_pairs]),
                training.unpaired.take(some),
                training.liked[torch.from_numpy(some)],
                counted(ngram, [documents[i] for i in said]) if config.corpus_weight else [],
            )


def _ratios(log_p: torch.Tensor, texts: Texts, config: DpoConfig) -> torch.Tensor:
    ratio = log_p - texts.reference
    return ratio / texts.tokens if config.length_normalised else ratio


def _step(
    model: LanguageModel,
    moved: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: _Batch,
    config: DpoConfig,
    rate: float,
) -> dict[str, float]:
    for group in optimiser.param_groups:
        group["lr"] = rate
    n, alone = len(batch.chosen.counted), len(batch.unpaired.counted)
    texts = batch.chosen.counted + batch.rejected.counted + batch.unpaired.counted
    log_p = log_probabilities(model, texts)
    chosen = _ratios(log_p[:n], batch.chosen, config)
    rejected = _ratios(log_p[n : 2 * n], batch.rejected, config)
    loss = preference = dpo_loss(chosen, rejected, config.beta).mean()
    margin = config.beta * (chosen - rejected).detach()
    told = {
        "train/preference_loss": float(preference.detach()),
        "train/reward_margin": float(margin.mean()),
        "train/reward_accuracy": float((margin > 0).float().mean()),
    }
    if config.nll_weight:
        loss = loss - config.nll_weight * log_p[:n].sum() / batch.chosen.tokens.sum()
    if alone:
        unpaired = apo_zero_loss(_ratios(log_p[2 * n :], batch.unpaired, config), batch.liked, config.beta)
        loss = loss + config.unpaired_weight * unpaired.mean()
        told["train/unpaired_loss"] = float(unpaired.detach().mean())
    if batch.documents:
        size = sum(entry.text.n_scored for entry in batch.documents)
        nats = -log_probabilities(model, batch.documents).sum() / size
        loss = loss + config.corpus_weight * nats
        told["train/corpus_loss"] = float(nats.detach())
    if not math.isfinite(float(loss.detach())):
        raise ValueError("the loss is not a number: the learning rate is too high for this feedback")
    optimiser.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(moved.parameters(), config.clip_norm)
    optimiser.step()
    return told | {"train/loss": float(loss.detach()), "learning_rate": rate}


class _Looks:
    """Remembers the best weights by the loss on validation pairs, among those that have not forgotten too much."""

    def __init__(
        self,
        model: LanguageModel,
        moved: nn.Module,
        validation: Feedback,
        bits_per_byte: Callable[[], float],
        config: DpoConfig,
    ) -> None:
        self._model, self._moved, self._pairs = model, moved, validation
        self._bits_per_byte, self._config = bits_per_byte, config
        self._first = math.nan
        self.best, self.best_step, self.waited = math.inf, 0, 0
        self.weights: dict[str, torch.Tensor] = {}

    def look(self, step: int, report: FitReport, progress: Progress) -> None:
        """Measure the model after `step` steps; the first look, at step 0, is what others are held against."""
        chosen, rejected = (
            _ratios(scored(self._model, texts.counted), texts, self._config)
            for texts in (self._pairs.chosen, self._pairs.rejected)
        )
        margin = self._config.beta * (chosen - rejected)
        loss = float(dpo_loss(chosen, rejected, self._config.beta).mean())
        bits = self._bits_per_byte()
        if step == 0:
            self._first = bits
        kept = bits - self._first <= self._config.max_forgetting
        if loss < self.best and kept:
            self.best, self.best_step, self.waited = loss, step, 0
            self.weights = copy.deepcopy(self._moved.state_dict())
        else:
            self.waited += 1
        accuracy = float((margin > 0).float().mean())
        report.curves.append(
            {
                "step": float(step),
                "validation/preference_loss": loss,
                "validation/reward_margin": float(margin.mean()),
                "validation/reward_accuracy": accuracy,
                "validation/bits_per_byte": bits,
            }
        )
        progress(
            f"step {step}: validation pairs {loss:.4f}, {accuracy:.0%} right, documents {bits:.4f} bits/byte "
            f"({bits - self._first:+.4f}{'' if kept else ', too much forgotten'})"
        )

"""Training within a time budget: data-parallel over threads, Muon for the matrices, AdamW for the rest.

Each thread runs its half of a batch on a single core: small operations are not worth splitting, whole sequences are.
What is returned are the weights that rank held-out items best.
"""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from training.recommender.arrays import Ints
from training.recommender.sequential.batches import Windows, batches, windows
from training.recommender.sequential.choose import Chooser, Clock, Curves, HeldOut
from training.recommender.sequential.config import SequentialConfig
from training.recommender.sequential.histories import Histories
from training.recommender.sequential.model import SequentialRecommender
from training.recommender.sequential.network import SequentialNet
from training.recommender.sequential.softmax import NextItemLoss, Prior, Steps
from training.recommender.sequential.terms import Occurrences
from training.recommender.sequential.transitions import Transitions, places, spectral_vectors
from training.result import Progress
from training.threads import torch_threads

_WARM_UP = 50
"""Steps over which the learning rates rise."""
_LAST_RATE = 0.01
"""Share of the learning rates at the end."""
_LOOKING = 0.05
"""Share of the time that may go into validation."""


@dataclass(frozen=True)
class _Batch:
    """One step's windows and what their logits are over."""

    part: Histories
    block: Tensor
    rows: Ints
    columns: Ints | None
    log_pi: Tensor | None
    total: int


def fit_sequential(
    histories: Histories,
    config: SequentialConfig,
    seconds: float,
    progress: Progress,
    threads: int = 0,
) -> tuple[SequentialRecommender, Curves]:
    """Train for at most about `seconds`, counting included, on `threads` cores (0: all).

    Held-out items choose between states of the network and between weights of the score's terms: the last ones of a
    few users where items have many events; where they have few, those of everybody (`rehearsal`), which are in the
    counts only in the end. The curves hold `train/loss` and `sample/ndcg_at_10` by `step`, with `seconds`. The same
    seed gives the same weights on one thread, when the epochs end before the time does. Raises ValueError when no
    user has two items or `heads` does not divide a width.
    """
    clock = Clock(seconds)
    threads = threads or os.cpu_count() or 1
    occurrences = Occurrences.of(histories)
    config = config.for_counts(occurrences.counts)
    held_out = HeldOut.of(histories, config)
    if not (held_out.rest.lengths >= 2).any():
        raise ValueError("no user has two items: there is no next item to learn from")
    clock.max_tokens = int(np.maximum(held_out.rest.lengths - 1, 0).sum()) * config.max_epochs
    with torch_threads(1), torch.random.fork_rng(devices=[]), ThreadPoolExecutor(threads) as pool:
        torch.manual_seed(config.seed)
        transitions = Transitions.count(held_out.rest, config.transitions)
        progress(f"transitions of {len(histories.items)} items counted in {clock.elapsed:.1f} s")
        if config.rehearsal:
            # They are counted again in the end.
            clock.seconds -= min(clock.elapsed, seconds / 2)
        known = occurrences if config.rehearsal else Occurrences.of(held_out.rest)
        trainer = _Trainer(held_out.rest, known.counts, transitions, config, pool, threads)
        trainer.choose_width(clock)
        chooser = Chooser(trainer.net, transitions, held_out, config, clock)
        chooser.look(trainer.net, 0, float("nan"))
        trainer.run(clock, chooser, progress)
        best, curves = chooser.best, chooser.curves
        if config.rehearsal:
            # The table of the rehearsal goes before the next one comes: either may have a gigabyte.
            net, terms = best.net, best.terms
            del transitions, trainer, chooser, best
            transitions = Transitions.count(histories, config.transitions)
            best = SequentialRecommender(net, transitions, config.length, occurrences, terms)
        return best, curves


class _Trainer:
    def __init__(
        self,
        histories: Histories,
        counts: Ints,
        transitions: Transitions,
        config: SequentialConfig,
        pool: ThreadPoolExecutor,
        threads: int,
    ) -> None:
        self.histories, self.transitions, self.config = histories, transitions, config
        self.pool, self.threads = pool, threads
        self.rng = np.random.default_rng(config.seed)
        self.log_share = np.log(np.maximum(counts, 1e-9) / counts.sum())
        self.sampled = histories.n_items > config.full_items
        self.counts = counts
        widest = max(config.width, config.narrow)
        self.spectrum = None if self.sampled else spectral_vectors(transitions, widest)
        self._build(config.width)

    def _build(self, width: int) -> None:
        self.net = SequentialNet(self.counts, self.config, width)
        if self.spectrum is not None:
            # The leading vectors come first.
            self.net.start_from(self.spectrum[:, :width])
        self.parameters = list(self.net.parameters())
        self.optimizers = self._optimizers()
        self.rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]

    def choose_width(self, clock: Clock) -> None:
        """Time one step, the second, at the full width; fall back to the narrow one when the epochs would be few."""
        part, batch = next(self._epoch())
        for _ in range(2):
            began = time.monotonic()
            self._step(part, batch)
            spent = time.monotonic() - began
        tokens_left = (clock.seconds - clock.elapsed) / spent * int(batch.steps.sum())
        epochs = tokens_left * self.config.max_epochs / clock.max_tokens
        self._build(self.config.width if epochs >= self.config.epochs_wanted else self.config.narrow)

    def run(self, clock: Clock, chooser: Chooser, progress: Progress) -> None:
        """Steps until the time or the epochs are over."""
        step, losses = 0, list[float]()
        self.net.train()
        while clock.done < 1.0:
            for part, batch in self._epoch():
                # One look comes at the end.
                if clock.done >= 1.0 or clock.elapsed + chooser.cost >= clock.seconds:
                    clock.seconds = min(clock.seconds, clock.elapsed)
                    break
                self._set_rates(step, clock.done)
                losses.append(self._step(part, batch))
                step, clock.tokens = step + 1, clock.tokens + int(batch.steps.sum())
                if clock.looking + chooser.cost < _LOOKING * clock.elapsed and clock.done > 0.5:
                    self._look(chooser, step, losses, progress)
        self._look(chooser, step, losses, progress)

    def _epoch(self) -> Iterator[tuple[Histories, Windows]]:
        """Batches of every part of the histories, one part in memory at a time."""
        for part in self.histories.parts(rng=self.rng):
            cut = windows(part, self.config.length, self.rng)
            for batch in batches(cut, self.config.tokens, self.rng):
                yield part, batch

    def _look(self, chooser: Chooser, step: int, losses: Sequence[float], progress: Progress) -> None:
        if not losses:
            return
        loss = float(np.mean(losses[-100:]))
        value = chooser.look(self.net, step, loss)
        progress(f"step {step}: loss {loss:.3f}, validation NDCG@10 {value:.4f}, {chooser.terms}")

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        """Muon (Jordan 2024) for what maps vectors to vectors; tables, gains and biases stay with AdamW."""
        matrices = self.net.matrices
        known = {id(weight) for weight in matrices}
        rest = [weight for weight in self.parameters if id(weight) not in known]
        config = self.config
        return [
            torch.optim.Muon(matrices, lr=config.muon_rate, weight_decay=0.0),
            torch.optim.AdamW(
                [
                    {"params": [w for w in rest if w.dim() == 2], "weight_decay": config.weight_decay},
                    {"params": [w for w in rest if w.dim() != 2], "weight_decay": 0.0},
                ],
                lr=config.learning_rate,
                betas=(0.9, 0.98),
                fused=True,
            ),
        ]

    def _set_rates(self, step: int, done: float) -> None:
        fall = (1.0 - done) / (1.0 - self.config.constant_share)
        share = min(1.0, (step + 1) / _WARM_UP) * min(1.0, max(_LAST_RATE, fall))
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * share

    def _step(self, part: Histories, batch: Windows) -> float:
        rows, columns, log_pi = self._candidates(part, batch)
        own = part.select(np.unique(batch.user))
        with self.transitions.without(own, rows, columns) as block:
            shared = _Batch(part, block, rows, columns, log_pi, int(batch.steps.sum()))
            # The longest first, dealt out in turn: the threads have the same to do.
            order = np.argsort(-batch.steps, kind="stable")
            shares = [batch.pick(order[at :: self.threads]) for at in range(min(self.threads, len(batch)))]
            results = list(self.pool.map(lambda share: self._gradients(share, shared), shares))
        for weight, *grads in zip(self.parameters, *(grads for _, grads in results), strict=True):
            weight.grad = grads[0]
            for grad in grads[1:]:
                weight.grad.add_(grad)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return sum(loss for loss, _ in results)

    def _candidates(self, part: Histories, batch: Windows) -> tuple[Ints, Ints | None, Tensor | None]:
        """Rows of the transitions the batch needs; the candidates of its softmax (None: all) with their log chance."""
        if not self.sampled:
            return np.arange(part.n_items), None, None
        items = part.items
        inside = np.concatenate([items[a:b] for a, b in zip(batch.first, batch.last, strict=True)])
        drawn = items[self.rng.integers(0, len(items), self.config.negatives)]
        columns = np.unique(np.concatenate([inside, drawn]))
        draws = len(inside) + self.config.negatives
        chance = -np.expm1(draws * np.log1p(-np.exp(self.log_share[columns])))
        return np.unique(inside), columns, torch.from_numpy(np.log(chance).astype(np.float32))

    def _gradients(self, part: Windows, batch: _Batch) -> tuple[float, Sequence[Tensor]]:
        torch.set_num_threads(1)
        items, steps = _lay_out(part, batch)
        hidden, gate = self.net.encode(items)
        columns = None if batch.columns is None else torch.from_numpy(batch.columns)
        bias = self.net.bias if columns is None else self.net.bias[columns]
        prior = Prior(batch.block, self.config.transitions.decay, self.config.transitions.floor)
        loss = NextItemLoss.apply(
            hidden, self.net.vectors(columns), bias, gate, steps, prior, batch.log_pi, batch.total
        )
        return float(loss.detach()), torch.autograd.grad(loss, self.parameters)


def _lay_out(part: Windows, batch: _Batch) -> tuple[Tensor, Steps]:
    """Padded items of the windows, and the same as rows, columns and targets of the batch's block."""
    n_items, sizes = batch.part.n_items, part.steps
    items = np.full((len(part), int(sizes.max())), n_items, dtype=np.int64)
    target = np.zeros_like(items)
    for at, (first, last) in enumerate(zip(part.first, part.last, strict=True)):
        window = batch.part.items[first:last]
        items[at, : len(window) - 1], target[at, : len(window) - 1] = window[:-1], window[1:]
    known = np.where(items < n_items, items, 0)
    if batch.columns is None:
        row, seen = known, known
    else:
        row = places(batch.rows, known)
        seen, target = places(batch.columns, known), places(batch.columns, target)
    laid = (torch.from_numpy(array) for array in (row, seen, target, sizes.astype(np.int64)))
    return torch.from_numpy(items), Steps(*laid)

"""Cross-entropy of the next item with the transition scores in the logits, its gradients computed on the way.

    z_t = bias + vectors . h_t + g_t * log(s_t),   s_t - floor = decay * (s_(t-1) - floor) + P[item_t]
    loss = mean over t of log(sum_j exp z_t[j]) - z_t[next]

Items already seen are left out of the sum: they are never recommended. The logits of a step exist once, for one place
of all sequences at a time, and are gone when the next place is at hand: the memory is rows x candidates, whatever the
length. Autograd would keep a dozen of such arrays for every place.

On a sample of candidates each one stands for 1 / pi of its kind, pi being its chance to be in the sample (sampled
softmax with the log-Q correction: Bengio and Senecal 2008, Yi et al. 2019); the target stands for itself.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_ROWS = 64
"""Sequences at a time: their logits stay in the processor's cache."""
_NEVER = -1e9


@dataclass(frozen=True)
class Steps:
    """Sequences sorted by length, the longest first; what lies beyond a sequence's length is not looked at."""

    row: Tensor
    """[sequences, length] row of each item in the block of transition scores."""
    seen: Tensor
    """[sequences, length] place of each item among the candidates, or the number of candidates when it is none."""
    target: Tensor
    """[sequences, length] place of the next item among the candidates."""
    lengths: Tensor
    """[sequences]."""


@dataclass(frozen=True)
class Prior:
    """Transition scores: rows of the table by candidates, the decay of the recurrence, the floor."""

    block: Tensor
    decay: float
    floor: float


class NextItemLoss(torch.autograd.Function):
    """Sum over the steps, divided by `total`."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        vectors: Tensor,
        bias: Tensor,
        gate: Tensor,
        steps: Steps,
        prior: Prior,
        log_pi: Tensor | None,
        total: int,
    ) -> Tensor:
        """hidden [sequences, length, width], vectors [candidates, width], bias and log_pi [candidates],
        gate [sequences, length] -> scalar.
        """
        work = _Work(hidden, vectors, bias, gate, prior, log_pi)
        for first in range(0, len(hidden), _ROWS):
            rows = slice(first, first + _ROWS)
            work.run(rows, Steps(steps.row[rows], steps.seen[rows], steps.target[rows], steps.lengths[rows]))
        ctx.save_for_backward(
            work.d_hidden / total, work.d_vectors.t() / total, work.d_bias / total, work.d_gate / total
        )
        return torch.tensor(work.loss / total)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients are known already."""
        return (*(saved * grads[0] for saved in ctx.saved_tensors), None, None, None, None)


class _Work:
    """The inputs, and the gradients as they add up."""

    def __init__(
        self, hidden: Tensor, vectors: Tensor, bias: Tensor, gate: Tensor, prior: Prior, log_pi: Tensor | None
    ) -> None:
        self.hidden, self.vectors, self.gate, self.prior, self.log_pi = hidden, vectors, gate, prior, log_pi
        self.by_width = vectors.t().contiguous()
        self.start = bias if log_pi is None else bias - log_pi
        self.d_hidden, self.d_gate = torch.zeros_like(hidden), torch.zeros_like(gate)
        self.d_vectors, self.d_bias = torch.zeros_like(self.by_width), torch.zeros_like(bias)
        self.loss = 0.0

    def run(self, rows: slice, steps: Steps) -> None:
        count, candidates = len(steps.row), len(self.vectors)
        # One column more takes the items that are no candidates.
        start = torch.cat([self.start, self.start.new_zeros(1)]).repeat(count, 1)
        score = torch.zeros(count, candidates)
        taken, log_score, logits, chance = (torch.empty(count, candidates) for _ in range(4))
        every = torch.arange(count)
        for place in range(int(steps.lengths.max())):
            n = int((steps.lengths > place).sum())
            at, target = every[:n], steps.target[:n, place]
            start[at, steps.seen[:n, place]] = _NEVER
            torch.index_select(self.prior.block, 0, steps.row[:n, place], out=taken[:n])
            torch.add(taken[:n], score[:n], alpha=self.prior.decay, out=score[:n])
            torch.add(score[:n], self.prior.floor, out=log_score[:n]).log_()
            hidden = self.hidden[rows][:n, place]
            torch.addmm(start[:n, :candidates], hidden, self.by_width, out=logits[:n])
            logits[:n].addcmul_(log_score[:n], self.gate[rows][:n, place, None])
            if self.log_pi is not None:
                logits[at, target] += self.log_pi[target]
            torch.softmax(logits[:n], dim=1, out=chance[:n])
            self.loss -= float(chance[at, target].clamp(min=1e-30).log().sum())
            slope = chance[:n]
            slope[at, target] -= 1.0
            self.d_hidden[rows][:n, place] = slope @ self.vectors
            self.d_vectors.addmm_(hidden.t(), slope)
            self.d_bias += slope.sum(dim=0)
            self.d_gate[rows][:n, place] = torch.linalg.vecdot(slope, log_score[:n])

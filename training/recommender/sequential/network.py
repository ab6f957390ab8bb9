"""A causal transformer over item ids: pre-norm, learned relative positions, squared ReLU, one table of vectors.

Knows nothing of counts, losses or files: item ids in, what comes next as a vector and how far to trust the counts out.
A long catalogue's rare items share rows of the table by hashing, so its size and an optimiser's step have a bound;
bias and transition counts still tell them apart (Weinberger et al. 2009).
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.recommender.arrays import Ints
from training.recommender.sequential.config import SequentialConfig

_GOLDEN = 2_654_435_761
"""Multiplicative hashing (Knuth)."""


def table_rows(counts: Ints, own: int, shared: int) -> Tensor:
    """[n_items + 1] row of the table of each item, the last of all for padding: the frequent ones have their own."""
    n = len(counts)
    rows = torch.arange(n + 1)
    if n > own:
        rank = torch.empty(n, dtype=torch.int64)
        rank[torch.from_numpy(counts).argsort(descending=True, stable=True)] = torch.arange(n)
        hashed = own + (torch.arange(n) * _GOLDEN % 2**32) % shared
        rows[:n] = torch.where(rank < own, rank, hashed)
        rows[n] = own + shared
    return rows


class Block(nn.Module):
    """Attention and feed-forward; both start as the identity."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """[batch, length, width] to the same; `position` [1, heads, length, length] is added to the attention."""
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=position)
        mixed = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        x = x + functional.dropout(mixed, self.dropout, self.training)
        inner = functional.relu(self.up(self.norm2(x))).square()
        return x + functional.dropout(self.down(inner), self.dropout, self.training)


class SequentialNet(nn.Module):
    """score(next = j) = output(history) . vector(j) + bias(j) + gate(history) * log(transition score of j)."""

    def __init__(self, counts: Ints, config: SequentialConfig, width: int) -> None:
        super().__init__()
        n = len(counts)
        if width % config.heads:
            raise ValueError(f"{config.heads} heads do not divide a width of {width}")
        self.rows: Tensor
        self.n_items, self.width, self.dropout, self.config = n, width, config.dropout, config
        self.register_buffer(
            "rows", table_rows(counts, config.own_rows, config.shared_rows), persistent=False
        )
        seen = torch.log1p(torch.from_numpy(np.append(counts, 0)).float())
        self.known: Tensor
        self.register_buffer("known", seen / seen.mean().clamp(min=1.0))
        self.knowing = nn.Parameter(torch.zeros(width))
        self.table = nn.Embedding(int(self.rows.max()) + 1, width)
        self.blocks = nn.ModuleList(Block(width, config.heads, config.dropout) for _ in range(config.blocks))
        self.norm = nn.RMSNorm(width)
        self.position = nn.Parameter(torch.zeros(config.blocks, config.heads, config.length))
        self.output = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, 1)
        self.bias = nn.Parameter(torch.zeros(n))
        nn.init.normal_(self.table.weight, std=0.5 * width**-0.5)
        nn.init.zeros_(self.output.weight)
        # Training starts from the transition scores alone: no output, and a gate of softplus(0.54) = 1.
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, 0.54)

    @torch.no_grad()
    def start_from(self, vectors: Tensor) -> None:
        """Begin with these vectors [n_items, width], scaled to the size that random ones would have."""
        self.table.weight[: self.n_items] = vectors * (
            0.5 * self.width**-0.5 / vectors.square().mean().sqrt()
        )

    @property
    def matrices(self) -> list[nn.Parameter]:
        """The blocks' weight matrices: what Muon is for."""
        return [weight for block in self.blocks for weight in block.parameters() if weight.dim() == 2]

    def vectors(self, items: Tensor | None = None) -> Tensor:
        """[items, width] of those items, or of the whole catalogue."""
        return self.table(self.rows[: self.n_items] if items is None else self.rows[items])

    def dots(self, output: Tensor) -> Tensor:
        """[users, n_items] products of output [users, width] with the catalogue: one for all items that share a row."""
        return (output @ self.table.weight.t())[:, self.rows[: self.n_items]]

    def encode(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Histories [batch, length] from their first item on, padded with n_items: after every step the output
        [batch, length, width] and the gate [batch, length]. A step sees itself and what came before it.
        """
        length = items.shape[1]
        ago = torch.arange(length)[:, None] - torch.arange(length)[None, :]
        x = self.table(self.rows[items]) * self.width**0.5
        # How often an item was seen tells how far its vector and its counts can be trusted.
        x = x + self.known[items].unsqueeze(-1) * self.knowing
        x = functional.dropout(x, self.dropout, self.training)
        for block, position in zip(self.blocks, self.position, strict=True):
            seen = position[:, ago.clamp(min=0)].masked_fill(ago < 0, float("-inf"))
            x = block(x, seen.unsqueeze(0))
        x = self.norm(x)
        return self.output(x), functional.softplus(self.gate(x)).squeeze(-1)

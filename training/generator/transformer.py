"""A small decoder-only transformer for short trainings.

Pre-norm blocks without gains, rotary positions, normed queries and keys, squared ReLU (So et al. 2021). What writes to
the residual stream and to the logits begins at zero: a fresh network leaves the word to the n-gram model.
"""

from typing import cast

import torch
from torch import nn
from torch.nn import functional

from training.generator.config import TransformerConfig
from training.generator.networks import Network, State
from training.generator.states import KeyValueState

_ROTARY_BASE = 10_000.0


def _norm(x: torch.Tensor) -> torch.Tensor:
    # Not RMSNorm, which torch has no kernel for on CPUs: it takes a fifth of a step.
    return functional.layer_norm(x, (x.shape[-1],))


def _rotate(x: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Su et al. 2021; `x` [rows, heads, tokens, size], cosines and sines broadcast over [rows, 1, tokens, size / 2]."""
    (first, second), (cosines, sines) = x.chunk(2, dim=-1), angles
    return torch.cat([first * cosines - second * sines, second * cosines + first * sines], dim=-1)


class _Block(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.inward = nn.Linear(width, 3 * width, bias=False)
        self.outward = nn.Linear(width, width, bias=False)
        self.widen = nn.Linear(width, config.feed_forward, bias=False)
        self.narrow = nn.Linear(config.feed_forward, width, bias=False)
        for layer in (self.inward, self.widen):
            nn.init.normal_(layer.weight, std=0.8 * width**-0.5)
        for layer in (self.outward, self.narrow):
            nn.init.zeros_(layer.weight)

    def qkv(
        self, x: torch.Tensor, angles: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Queries, keys, values [rows, heads, tokens, size], always float32: attention gains nothing from less."""
        rows, tokens, width = x.shape
        parts = self.inward(_norm(x)).float().view(rows, tokens, 3, self.heads, width // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        return _rotate(_norm(queries), angles), _rotate(_norm(keys), angles), values

    def merge(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """The block's output from its input and what the heads found."""
        x = x + self._drop(self.outward(attended.transpose(1, 2).flatten(2)))
        return x + self._drop(self.narrow(functional.relu(self.widen(_norm(x))).square()))

    def _drop(self, x: torch.Tensor) -> torch.Tensor:
        return functional.dropout(x, self.dropout, self.training)


class TransformerNetwork(Network):
    """See above."""

    cosines: torch.Tensor
    sines: torch.Tensor

    def __init__(self, vocabulary: int, config: TransformerConfig) -> None:
        """Raises ValueError when the heads do not divide the width into even parts."""
        super().__init__()
        width = config.width
        if width % (2 * config.heads):
            raise ValueError(f"{config.heads} heads do not divide a width of {width} into even parts")
        self.vocabulary, self.width, self.context = vocabulary, width, config.row_tokens
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=0.5)
        self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
        self.head = nn.Linear(width, vocabulary)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        size = width // config.heads
        rates = _ROTARY_BASE ** (-torch.arange(size // 2) / (size // 2))
        angles = torch.outer(torch.arange(config.row_tokens), rates)
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)

    def matrices(self) -> list[nn.Parameter]:
        """See `Network`."""
        return [parameter for parameter in self.blocks.parameters() if parameter.dim() == 2]

    def _layers(self) -> list[_Block]:
        return cast(list[_Block], list(self.blocks))

    def forward(self, tokens: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        """See `Network`. In training mode there is no state: rows stand alone."""
        x = _norm(self.embedding(tokens))
        x, state = self._begin(x) if state is None else self._go_on(x, state)
        return _norm(x), state

    def _begin(self, x: torch.Tensor) -> tuple[torch.Tensor, KeyValueState | None]:
        count, kept = x.shape[1], []
        angles = self.cosines[:count], self.sines[:count]
        for block in self._layers():
            queries, keys, values = block.qkv(x, angles)
            kept.append((keys, values))
            x = block.merge(x, functional.scaled_dot_product_attention(queries, keys, values, is_causal=True))
        if self.training:
            return x, None
        lengths = torch.full((len(x),), count)
        return x, KeyValueState([keys for keys, _ in kept], [values for _, values in kept], lengths)

    def _go_on(self, x: torch.Tensor, memory: KeyValueState) -> tuple[torch.Tensor, KeyValueState]:
        positions, mask = memory.prepare(x.shape[1])
        angles = self.cosines[positions][:, None], self.sines[positions][:, None]
        for layer, block in enumerate(self._layers()):
            queries, keys, values = block.qkv(x, angles)
            keys, values = memory.update(keys, values, layer)
            x = block.merge(x, functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask))
        return x, memory.advanced()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Network`."""
        return self.head(hidden)

"""What a public transformer remembers: keys and values of every layer, rows of different length side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from transformers import DynamicCache

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class CacheState:
    """Never changed: a step makes a new one. Shorter rows are filled up on the left, so that all end at one column."""

    layers: list[Pair]
    """Keys and values of each layer, float32 [rows, heads, columns, width]"""
    lengths: torch.Tensor
    """int64 [rows]: tokens read, the newest columns of each row"""

    @property
    def columns(self) -> int:
        """Tokens of the longest row, and what the others are filled up to."""
        return int(self.layers[0][0].shape[2])

    def cache(self) -> "DynamicCache":
        """For transformers, which adds to it; this state stays as it is."""
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer

        cache = DynamicCache()
        for keys, values in self.layers:
            layer = DynamicLayer()
            layer.dtype, layer.device = keys.dtype, keys.device
            layer.keys, layer.values, layer.is_initialized = keys, values, True
            cache.layers.append(layer)
        return cache

    def mask(self, new: int) -> torch.Tensor | None:
        """int64 [rows, columns + new]: 1 where there is a token; None when that is everywhere."""
        if bool((self.lengths == self.columns).all()):
            return None
        first = self.columns - self.lengths
        return (torch.arange(self.columns + new) >= first[:, None]).long()

    def take(self, index: Sequence[int] | np.ndarray | torch.Tensor) -> Self:
        """These rows in this order, without columns that none of them needs."""
        rows = torch.as_tensor(np.asarray(index), dtype=torch.int64)
        lengths = self.lengths[rows]
        spare = self.columns - int(lengths.max()) if len(rows) else 0
        layers = [(keys[rows, :, spare:], values[rows, :, spare:]) for keys, values in self.layers]
        return type(self)(layers, lengths)

    def join(self, other: Self) -> Self:
        """These rows, then the others."""
        columns = max(self.columns, other.columns)
        layers = [
            (_stacked(mine[0], theirs[0], columns), _stacked(mine[1], theirs[1], columns))
            for mine, theirs in zip(self.layers, other.layers, strict=True)
        ]
        return type(self)(layers, torch.cat([self.lengths, other.lengths]))


def _stacked(mine: torch.Tensor, theirs: torch.Tensor, columns: int) -> torch.Tensor:
    return torch.cat([functional.pad(part, (0, 0, columns - part.shape[2], 0)) for part in (mine, theirs)])

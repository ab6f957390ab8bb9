"""What networks remember of the tokens read so far, row by row, so that rows may leave and join a running batch."""

from dataclasses import dataclass

import torch

_GROWTH = 32
"""Room for keys and values grows by so many positions. Sums over a multiple of it come out alike, bit for bit, whatever
room the longest row of a batch needs; odd lengths would be cut differently into vectors."""


@dataclass(frozen=True)
class RecurrentState:
    """Of an LSTM: output and cell, float32 [layers, rows, width] each."""

    hidden: torch.Tensor
    cell: torch.Tensor

    def take(self, index: torch.Tensor) -> "RecurrentState":
        """The rows `index` (int64, repeated ones too), copied."""
        return RecurrentState(self.hidden[:, index], self.cell[:, index])

    def join(self, other: "RecurrentState") -> "RecurrentState":
        """These rows, then the `other` ones."""
        return RecurrentState(
            torch.cat([self.hidden, other.hidden], dim=1), torch.cat([self.cell, other.cell], dim=1)
        )


class KeyValueState:
    """Of a transformer: keys and values of every layer, [rows, heads, room, size] each, and how many are filled.

    Each row begins at position 0 and has room to spare at its end, so rows may have read different numbers of tokens.
    Attention modules of transformers write through `update`, as into a cache of their own. What a forward pass writes
    lies beyond `lengths`: a state that was read on from is used up, unless that pass failed.
    """

    def __init__(self, keys: list[torch.Tensor], values: list[torch.Tensor], lengths: torch.Tensor) -> None:
        self.keys, self.values, self.lengths = keys, values, lengths
        self._positions = lengths[:, None]

    def prepare(self, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Make room for `tokens` more in every row; their positions, int64 [rows, tokens], and what each of them may
        attend to, bool [rows, 1, tokens, room].
        """
        self._positions = self.lengths[:, None] + torch.arange(tokens)
        needed = -(-(int(self.lengths.max()) + tokens) // _GROWTH) * _GROWTH
        if (lacking := needed - self.keys[0].shape[2]) > 0:
            self.keys = [_longer(tensor, lacking) for tensor in self.keys]
            self.values = [_longer(tensor, lacking) for tensor in self.values]
        mask = torch.arange(self.keys[0].shape[2]) <= self._positions[:, None, :, None]
        return self._positions, mask

    def update(
        self, keys: torch.Tensor, values: torch.Tensor, layer: int, *_: object, **__: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the keys and values [rows, heads, tokens, size] that `prepare` made room for; all of the layer's."""
        rows = torch.arange(len(keys))[:, None]
        self.keys[layer][rows, :, self._positions] = keys.transpose(1, 2)
        self.values[layer][rows, :, self._positions] = values.transpose(1, 2)
        return self.keys[layer], self.values[layer]

    def advanced(self) -> "KeyValueState":
        """The state after all layers have written what `prepare` announced."""
        return KeyValueState(self.keys, self.values, self._positions[:, -1] + 1)

    def take(self, index: torch.Tensor) -> "KeyValueState":
        """The rows `index` (int64, repeated ones too), copied, with no more room than they need."""
        lengths = self.lengths[index]
        room = -(-int(lengths.max()) // _GROWTH) * _GROWTH
        return KeyValueState(
            [tensor[:, :, :room][index] for tensor in self.keys],
            [tensor[:, :, :room][index] for tensor in self.values],
            lengths,
        )

    def join(self, other: "KeyValueState") -> "KeyValueState":
        """These rows, then the `other` ones."""
        room = max(self.keys[0].shape[2], other.keys[0].shape[2])

        def joined(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> list[torch.Tensor]:
            pairs = zip(ours, theirs, strict=True)
            return [torch.cat([_longer(t, room - t.shape[2]) for t in pair]) for pair in pairs]

        return KeyValueState(
            joined(self.keys, other.keys),
            joined(self.values, other.values),
            torch.cat([self.lengths, other.lengths]),
        )


def _longer(tensor: torch.Tensor, positions: int) -> torch.Tensor:
    return torch.nn.functional.pad(tensor, (0, 0, 0, positions)) if positions else tensor

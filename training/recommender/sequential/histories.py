"""Many users' sequences in two arrays. The items may be memory-mapped: nothing here copies them whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import Ints

Items = npt.NDArray[np.integer]

PART = 1 << 20
"""Events that are in memory at a time, about."""


@dataclass(frozen=True)
class Histories:
    """User k acted on `items[starts[k]:stops[k]]`, oldest first; items are 0..n_items-1, users lie in order."""

    starts: Ints
    stops: Ints
    items: Items
    n_items: int

    @classmethod
    def of(cls, sequences: Sequence[Items], n_items: int) -> Self:
        """From one array a user. Raises ValueError for an item outside 0..n_items-1."""
        items = np.concatenate([np.zeros(0, dtype=np.int64), *sequences]).astype(np.int32)
        if len(items) and not 0 <= items.min() <= items.max() < n_items:
            raise ValueError(f"items must lie in 0..{n_items - 1}")
        return cls.between(np.cumsum([0, *map(len, sequences)]), items, n_items)

    @classmethod
    def between(cls, bounds: Ints, items: Items, n_items: int) -> Self:
        """User k has what lies between `bounds[k]` and `bounds[k + 1]`."""
        return cls(bounds[:-1], bounds[1:], items, n_items)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, user: int) -> Items:
        return self.items[self.starts[user] : self.stops[user]]

    @property
    def lengths(self) -> Ints:
        """[users] how many items each user has."""
        return self.stops - self.starts

    def counts(self) -> Ints:
        """[n_items] how often each item occurs."""
        total = np.zeros(self.n_items, dtype=np.int64)
        for part in self.parts():
            total += np.bincount(part.items, minlength=self.n_items)
        return total

    def parts(self, events: int = PART, rng: np.random.Generator | None = None) -> Iterator["Histories"]:
        """Consecutive whole users with about `events` events at a time, copied into memory; shuffled by `rng`."""
        cuts = [0]
        while cuts[-1] < len(self):
            last = int(np.searchsorted(self.stops, self.starts[cuts[-1]] + events)) + 1
            cuts.append(min(last, len(self)))
        order = np.arange(len(cuts) - 1) if rng is None else rng.permutation(len(cuts) - 1)
        for at in order.tolist():
            yield self.select(np.arange(cuts[at], cuts[at + 1]))

    def select(self, users: Ints) -> "Histories":
        """Any users, copied, nothing between them."""
        sizes = self.stops[users] - self.starts[users]
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        at = np.repeat(self.starts[users] - bounds[:-1], sizes) + np.arange(bounds[-1])
        return Histories.between(bounds, self.items[at], self.n_items)

    def without_last(self, users: Ints) -> "Histories":
        """The same items, less the last of each of these users."""
        stops = np.array(self.stops)
        stops[users] -= 1
        return replace(self, stops=stops)

    def pairs(self, lag: int) -> tuple[Items, Items]:
        """Every item with the one `lag` places after it in the same user's sequence."""
        user = np.repeat(np.arange(len(self)), self.lengths)
        same = user[:-lag] == user[lag:] if len(user) > lag else np.zeros(0, dtype=np.bool_)
        return self.items[:-lag][same], self.items[lag:][same]

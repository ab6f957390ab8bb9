"""Many users' sequences in two arrays. The items may be memory-mapped: nothing here copies them whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import Ints

Items = npt.NDArray[np.integer]


@dataclass(frozen=True)
class Histories:
    """User k acted on `items[starts[k]:starts[k + 1]]`, oldest first; items are 0..n_items-1."""

    starts: Ints
    items: Items
    n_items: int

    @classmethod
    def of(cls, sequences: Sequence[Items], n_items: int) -> Self:
        """From one array a user. Raises ValueError for an item outside 0..n_items-1."""
        items = np.concatenate([np.zeros(0, dtype=np.int64), *sequences]).astype(np.int32)
        if len(items) and not 0 <= items.min() <= items.max() < n_items:
            raise ValueError(f"items must lie in 0..{n_items - 1}")
        return cls(np.cumsum([0, *map(len, sequences)]), items, n_items)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, user: int) -> Items:
        return self.items[self.starts[user] : self.starts[user + 1]]

    @property
    def lengths(self) -> Ints:
        """[users] how many items each user has."""
        return np.diff(self.starts)

    def counts(self) -> Ints:
        """[n_items] how often each item occurs."""
        total = np.zeros(self.n_items, dtype=np.int64)
        for part in self.parts():
            total += np.bincount(part.items, minlength=self.n_items)
        return total

    def parts(self, events: int = 1 << 20) -> Iterator["Histories"]:
        """Consecutive whole users with about `events` events at a time, copied into memory."""
        first = 0
        while first < len(self):
            last = int(np.searchsorted(self.starts, self.starts[first] + events, side="left"))
            last = min(max(last, first + 1), len(self))
            yield self.of_users(slice(first, last))
            first = last

    def of_users(self, users: slice) -> "Histories":
        """Consecutive users, copied."""
        starts = self.starts[users.start : users.stop + 1]
        return Histories(starts - starts[0], np.array(self.items[starts[0] : starts[-1]]), self.n_items)

    def select(self, users: Ints) -> "Histories":
        """Any users, copied."""
        sizes = self.lengths[users]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        at = np.repeat(self.starts[users] - starts[:-1], sizes) + np.arange(starts[-1])
        return Histories(starts, self.items[at], self.n_items)

    def without(self, places: Ints) -> "Histories":
        """Copied, less the items at these places of `items`."""
        user = np.searchsorted(self.starts, places, side="right") - 1
        gone = np.bincount(user, minlength=len(self))
        return Histories(self.starts - np.cumsum(np.r_[0, gone]), np.delete(self.items, places), self.n_items)

    def pairs(self, lag: int) -> tuple[Items, Items]:
        """Every item with the one `lag` places after it in the same user's sequence."""
        user = np.repeat(np.arange(len(self)), self.lengths)
        same = user[:-lag] == user[lag:] if len(user) > lag else np.zeros(0, dtype=np.bool_)
        return self.items[:-lag][same], self.items[lag:][same]

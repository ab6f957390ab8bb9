"""Cutting histories into windows and windows into steps of about equal work."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.recommender.arrays import Ints
from training.recommender.sequential.histories import Histories


@dataclass(frozen=True)
class Windows:
    """Window w holds the items `first[w]` to `last[w]`, exclusive, of the whole item array, of user `user[w]`."""

    user: Ints
    first: Ints
    last: Ints

    def __len__(self) -> int:
        return len(self.user)

    def pick(self, index: Ints) -> "Windows":
        """Some of them."""
        return Windows(self.user[index], self.first[index], self.last[index])

    @property
    def steps(self) -> Ints:
        """Predictions in each window."""
        return self.last - self.first - 1


def windows(histories: Histories, length: int, rng: np.random.Generator) -> Windows:
    """Every user's history in windows of at most `length` predictions, cut at other places each time.

    Each item but the first is predicted once. Users with fewer than two items have no window.
    """
    sizes = histories.lengths
    users = np.flatnonzero(sizes >= 2)
    predictions = sizes[users] - 1
    # The first window of a long history is cut short at random, so that places in it vary from epoch to epoch.
    head = np.where(predictions > length, rng.integers(1, length + 1, len(users)), predictions)
    more = -(-(predictions - head) // length)
    user = np.repeat(np.arange(len(users)), 1 + more)
    place = np.arange(len(user)) - np.repeat(np.cumsum(1 + more) - (1 + more), 1 + more)
    begin = np.where(place == 0, 0, head[user] + (place - 1) * length)
    end = np.minimum(head[user] + place * length, predictions[user])
    origin = histories.starts[users][user]
    return Windows(users[user], origin + begin, origin + end + 1)


def batches(all_windows: Windows, tokens: int, rng: np.random.Generator) -> Iterator[Windows]:
    """Windows of like length together (little padding), about `tokens` predictions a batch, in random order."""
    order = np.lexsort((rng.random(len(all_windows)), all_windows.steps))
    batch = (np.cumsum(all_windows.steps[order]) - 1) // tokens
    parts = np.split(order, np.flatnonzero(np.diff(batch)) + 1)
    for index in rng.permutation(len(parts)):
        if len(parts[index]):
            yield all_windows.pick(parts[index])

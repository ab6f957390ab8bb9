"""What is known of an item whoever asks: terms of the score whose weights held-out users choose."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from training.recommender.arrays import Ints
from training.recommender.sequential.histories import Histories

_FEW = 5.0
"""Occurrences below which an item's share of latest ones is held to be everybody's."""


@dataclass(frozen=True)
class Occurrences:
    """[n_items] how often each item occurs, and how often as the latest of its user's history."""

    counts: Ints
    latest: Ints

    @classmethod
    def of(cls, histories: Histories) -> Self:
        """Count them."""
        ends = histories.stops[histories.lengths > 0] - 1
        return cls(histories.counts(), np.bincount(histories.items[ends], minlength=histories.n_items))

    @property
    def popularity(self) -> Tensor:
        """[n_items] log(1 + count)."""
        return torch.log1p(torch.from_numpy(self.counts).float())

    @property
    def lateness(self) -> Tensor:
        """[n_items] log of the share of latest occurrences, relative to that of all items.

        An item of today has been the latest of nearly everybody who met it; one that is over lies deep in all
        histories. So the order of the items tells their age where no time is known.
        """
        counts, latest = (torch.from_numpy(one).double() for one in (self.counts, self.latest))
        share = latest.sum() / counts.sum()
        return ((latest + _FEW * share) / (counts + _FEW) / share).log().float()


@dataclass(frozen=True)
class Terms:
    """Weights: of what the network says, of log(1 + count) taken off, of lateness added."""

    net: float = 1.0
    popularity: float = 0.0
    lateness: float = 0.0

    def of_items(self, occurrences: Occurrences) -> Tensor:
        """[n_items] what is added to every history's score."""
        return self.lateness * occurrences.lateness - self.popularity * occurrences.popularity

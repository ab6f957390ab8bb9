"""Exploration: a small share of places shows posts from below the head, with a probability that is known exactly.

Each of k places tosses its own coin: with probability 1 - share it shows the post that selection put there, else a post
drawn uniformly from its own pool. The pools are dealt like cards from the candidates below the head (place j gets the
posts j, k + j, 2k + j, ...), so places draw independently, no post comes twice, and a post can come at one place only:
the propensity is at once the probability that the post is shown at this place and that it is in the answer.
Uniform draws keep inverse propensities at most depth / share (Horvitz and Thompson 1952; for logged slates: Swaminathan
et al. 2017, "Off-policy evaluation for slate recommendation").
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import Floats, Ints


@dataclass(frozen=True)
class Slate:
    """Posts (codes) in the order to show, the probability of each given the request, and which ones explore."""

    items: Ints
    propensity: Floats
    explored: npt.NDArray[np.bool_]


def explore(chosen: Ints, below: Ints, share: float, depth: int, seed: int) -> Slate:
    """Replace some of `chosen` by posts from `below` (candidates left over, best first); the same for the same seed.

    A place whose pool is empty explores nothing and its post has propensity 1.
    """
    k = len(chosen)
    sure = Slate(chosen, np.ones(k), np.zeros(k, dtype=bool))
    if share == 0 or k == 0:
        return sure
    below = below[: k * depth]
    size = (len(below) - np.arange(k) + k - 1) // k
    coin, draw = np.random.default_rng(seed).random((2, k))
    explored = (coin < share) & (size > 0)
    pick = np.floor(draw * size).astype(np.int64) * k + np.arange(k)
    items = chosen.copy()
    items[explored] = below[pick[explored]]
    shown = np.where(size > 0, 1.0 - share, 1.0)
    return Slate(items, np.where(explored, share / np.maximum(size, 1), shown), explored)

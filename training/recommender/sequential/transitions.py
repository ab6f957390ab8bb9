"""Skip-transition counts: how often an item follows another within a few places, decayed by the distance.

    T[i, j] = sum over pairs (i at place s, j at place s + l, 1 <= l <= window) of count_decay^(l - 1)
    P[i, j] = T[i, j] / (sum_j T[i, j] + shrinkage)
    score_t[j] = floor + sum over k >= 0 of decay^k * P[item_(t - k), j]

A recurrence over the sequence, score_t - floor = decay * (score_(t-1) - floor) + P[item_t], so a step costs the same
however far the history reaches. Sequential rules with decays as in Ludewig and Jannach 2018 (SR); the shrinkage keeps
items seen a few times from speaking with full confidence.

The table is dense for short catalogues. For long ones it is sparse, built part by part, and keeps the largest
entries of each row and of all (lossy counting: Manku and Motwani 2002), so its size does not grow with the number of
events.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from scipy import sparse
from torch import Tensor

from training.recommender.arrays import Ints
from training.recommender.sequential.config import DENSE_ITEMS, TransitionConfig
from training.recommender.sequential.histories import Histories, Items

_COUNTED = 1 << 18
"""Events counted at a time into a sparse table: each brings about `window` pairs."""

Entries = tuple[Ints, Ints, npt.NDArray[np.float32]]
"""Row, column and weight of pairs."""


class Transitions:
    """The normalised table P, dense or sparse by rows; `floor` keeps logarithms finite."""

    def __init__(self, table: Tensor | sparse.csr_array, weight: Tensor, config: TransitionConfig) -> None:
        self.table, self.config = table, config
        self.n_items = table.shape[0]
        self.weight = weight
        """[n_items] 1 / (row total + shrinkage)."""

    @classmethod
    def count(cls, histories: Histories, config: TransitionConfig) -> Self:
        """From the users' sequences."""
        n = histories.n_items
        if n <= DENSE_ITEMS:
            flat = torch.zeros(n * n)
            for part in histories.parts():
                row, column, value = _entries(part, config)
                flat.index_add_(0, torch.from_numpy(row * n + column), torch.from_numpy(value))
            dense = flat.view(n, n)
            weight = 1.0 / (dense.sum(dim=1) + config.shrinkage)
            return cls(dense.mul_(weight[:, None]), weight, config)
        table, totals = sparse.csr_array((n, n), dtype=np.float32), np.zeros(n)
        for part in histories.parts(_COUNTED):
            row, column, value = _entries(part, config)
            totals += np.bincount(row, value, minlength=n)
            new = sparse.csr_array((value, (row, column)), shape=(n, n))
            table = _largest_of_all(_largest_of_rows(table + new, config.keep), config.entries)
        weight = torch.from_numpy((1.0 / (totals + config.shrinkage)).astype(np.float32))
        table.data *= np.repeat(weight.numpy(), np.diff(table.indptr))
        return cls(table, weight, config)

    @contextmanager
    def without(self, users: Histories, rows: Ints, columns: Ints | None) -> Iterator[Tensor]:
        """[rows, columns] of the table as if `users` had not been counted; all columns when None.

        What a model learns from with these users' own counts in the table, it could not see in use: there the next
        item has not been counted yet. A dense table with all columns is changed in place and restored on leaving,
        so only one such block may be open.
        """
        row, column, value = _entries(users, self.config)
        own = torch.from_numpy(value) * self.weight[torch.from_numpy(row)]
        if columns is None:
            assert isinstance(self.table, Tensor)
            flat, at = self.table.view(-1), torch.from_numpy(row * self.n_items + column)
            flat.index_add_(0, at, own, alpha=-1.0)
            try:
                yield self.table
            finally:
                flat.index_add_(0, at, own)
            return
        row_at, column_at = places(rows, row), places(columns, column)
        inside = (row_at >= 0) & (column_at >= 0)
        block = self.block(rows, columns)
        at = torch.from_numpy(row_at[inside] * len(columns) + column_at[inside])
        block.view(-1).index_add_(0, at, own[torch.from_numpy(inside)], alpha=-1.0)
        # Pairs that the sparse table let go are subtracted from nothing.
        yield block.clamp_(min=0.0)

    def block(self, rows: Ints, columns: Ints) -> Tensor:
        """[rows, columns] of the table, dense; columns sorted."""
        if isinstance(self.table, Tensor):
            return self.table[torch.from_numpy(rows)][:, torch.from_numpy(columns)]
        taken = self.table[rows]
        row, column = np.repeat(np.arange(len(rows)), np.diff(taken.indptr)), places(columns, taken.indices)
        inside = column >= 0
        out = np.zeros((len(rows), len(columns)), dtype=np.float32)
        out[row[inside], column[inside]] = taken.data[inside]
        return torch.from_numpy(out)

    def score(self, histories: Sequence[Items]) -> Tensor:
        """[users, n_items] the recurrence at the end of each history."""
        out = torch.full((len(histories), self.n_items), self.config.floor)
        for row, history in enumerate(histories):
            last, weight = self._last(history)
            if isinstance(self.table, Tensor):
                out[row] += torch.from_numpy(weight) @ self.table[torch.from_numpy(last)]
            else:
                items, score = self._reached(last, weight)
                out[row, torch.from_numpy(items)] += torch.from_numpy(score)
        return out

    def reached(self, history: Items) -> tuple[Ints, npt.NDArray[np.float32]]:
        """Items that the history leads to, sorted, and their scores; all others have the floor."""
        items, score = self._reached(*self._last(history))
        return items, score + np.float32(self.config.floor)

    def _last(self, history: Items) -> tuple[Ints, npt.NDArray[np.float32]]:
        last = np.array(history[-self.config.reach :][::-1], dtype=np.int64)
        return last, np.float32(self.config.decay) ** np.arange(len(last), dtype=np.float32)

    def _reached(self, last: Ints, weight: npt.NDArray[np.float32]) -> tuple[Ints, npt.NDArray[np.float32]]:
        if isinstance(self.table, Tensor):
            dense = weight @ self.table[torch.from_numpy(last)].numpy()
            (items,) = np.nonzero(dense)
            return items, dense[items]
        taken = self.table[last]
        reached, at = np.unique(taken.indices, return_inverse=True)
        score = np.bincount(at, taken.data * np.repeat(weight, np.diff(taken.indptr)), minlength=len(reached))
        return reached.astype(np.int64), score.astype(np.float32)


def spectral_vectors(transitions: Transitions, width: int) -> Tensor:
    """[n_items, width] such that items in like places of sequences have like vectors, before any training.

    Leading singular vectors of the symmetric, shrunk positive pointwise mutual information of the transition counts
    (Levy and Goldberg 2014), each times the root of its singular value. For a dense table.
    """
    assert isinstance(transitions.table, Tensor)
    counts = transitions.table / transitions.weight[:, None]
    counts = counts + counts.t()
    share = counts.sum(dim=0)
    information = counts.div_(share[:, None] / share.sum().sqrt() + 1e-9)
    information.div_(share[None, :] / share.sum().sqrt() + 1e-9).clamp_(min=1.0).log_()
    trust = share / (share + transitions.config.shrinkage)
    information.mul_(trust[:, None]).mul_(trust[None, :])
    left, value, _ = torch.svd_lowrank(information, q=min(width, len(share)), niter=2)
    vectors = left * value.sqrt()
    return torch.cat([vectors, vectors.new_zeros(len(share), width - vectors.shape[1])], dim=1)


def places(chosen: Ints, wanted: Ints) -> Ints:
    """Where each number of `wanted` stands among `chosen`, which is sorted; -1 for those that do not."""
    at = np.minimum(np.searchsorted(chosen, wanted), len(chosen) - 1)
    return np.where(chosen[at] == wanted, at, -1)


def _entries(part: Histories, config: TransitionConfig) -> Entries:
    """Every pair of items within the window."""
    row: list[Items] = [np.zeros(0, dtype=np.int64)]
    column: list[Items] = [np.zeros(0, dtype=np.int64)]
    value = [np.zeros(0, dtype=np.float32)]
    for lag in range(1, config.window + 1):
        before, after = part.pairs(lag)
        row.append(before)
        column.append(after)
        value.append(np.full(len(before), config.count_decay ** (lag - 1), dtype=np.float32))
    return np.concatenate(row), np.concatenate(column), np.concatenate(value)


def _largest_of_rows(table: sparse.csr_array, keep: int) -> sparse.csr_array:
    """The `keep` largest entries of each row. Only the rows that have more are looked at."""
    sizes = np.diff(table.indptr)
    (long,) = np.nonzero(sizes > keep)
    if not len(long):
        return table
    first = np.cumsum(sizes[long]) - sizes[long]
    place = np.arange(sizes[long].sum())
    at = place + np.repeat(table.indptr[long] - first, sizes[long])
    order = np.lexsort((-table.data[at], np.repeat(long, sizes[long])))
    kept = np.ones(table.nnz, dtype=np.bool_)
    kept[at[order[place - np.repeat(first, sizes[long]) >= keep]]] = False
    return _chosen(table, kept)


def _largest_of_all(table: sparse.csr_array, entries: int) -> sparse.csr_array:
    """The `entries` largest of the whole table."""
    if table.nnz <= entries:
        return table
    kept = np.zeros(table.nnz, dtype=np.bool_)
    kept[np.argpartition(table.data, table.nnz - entries)[-entries:]] = True
    return _chosen(table, kept)


def _chosen(table: sparse.csr_array, kept: npt.NDArray[np.bool_]) -> sparse.csr_array:
    ends = np.where(table.indptr > 0, np.cumsum(kept)[table.indptr - 1], 0)
    return sparse.csr_array((table.data[kept], table.indices[kept], ends), shape=table.shape)

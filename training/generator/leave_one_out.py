"""The n-gram model as it would be without the token that is asked for: what a network may lean on while it learns.

On its own training text an n-gram model looks far better than it is, since it has counted every answer. Here each
position's own occurrence is taken off the counts first (cross-validation by leaving one out): off the longest n-gram,
and off a shorter one where the longer one thereby ceases to exist, as Kneser-Ney counts demand. Discounts stay.
"""

from dataclasses import dataclass

import numpy as np

from training.generator.ngram import NgramCounts, NgramModel, begins, newest


@dataclass(frozen=True)
class _Level:
    """n-grams of one length: arrays over all that were counted, over contexts, and over those that are kept."""

    own: np.ndarray
    """int32 [positions]: the n-gram that ends at each position"""
    counts: np.ndarray
    """float32 [n-grams]"""
    discounts: np.ndarray
    """float32 [4]: by count, 3 standing for more"""
    kept: np.ndarray
    """bool [n-grams]"""
    opening: np.ndarray
    """bool [n-grams]: of the beginning of a document, whose occurrences count at every length"""
    context: np.ndarray
    """int32 [n-grams]"""
    totals: np.ndarray
    """float32 [contexts]: sum of the counts"""
    used: np.ndarray
    """float32 [contexts]: sum of the discounted counts of those that are kept"""
    begins: np.ndarray
    """int64 [contexts + 1]: where the kept n-grams of each context begin"""
    tokens: np.ndarray
    """int32 [kept n-grams]: their newest token"""
    masses: np.ndarray
    """float32 [kept n-grams]: their discounted count"""

    def discounted(self, counts: np.ndarray) -> np.ndarray:
        return counts - self.discounts[np.minimum(counts, 3).astype(np.int64)]


class LeaveOneOut:
    """Distributions of the tokens that a model was counted from, each without its own occurrence."""

    def __init__(self, counts: NgramCounts, model: NgramModel) -> None:
        self._levels = [_level(counts, n, model) for n in range(2, len(counts.keys) + 1)]
        self._base = model.base.astype(np.float32)
        self._targets = newest(counts.keys[0], model.bits)[counts.own[0]]

    def distribution(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of all tokens at `positions`, float32 [positions, vocabulary], and the masses left to the
        shorter contexts, float32 [positions, order - 1]; see `NgramModel.distribution`.

        A position counts the tokens of the joined documents from the second on (see `ngram.join_documents`).
        """
        rows = len(positions)
        p = np.tile(self._base, (rows, 1))
        masses = np.ones((rows, len(self._levels)), np.float32)
        every = np.arange(rows)
        taken = self._taken(positions)
        for n, level in enumerate(self._levels):
            own = level.own[positions]
            context = level.context[own]
            before = np.where(level.kept[own], level.discounted(level.counts[own]), 0.0)
            after = np.where(level.kept[own], level.discounted(level.counts[own] - taken[n]), 0.0)
            total = level.totals[context] - taken[n]
            known = total > 0
            scale = np.where(known, 1.0 / np.maximum(total, 1.0), 0.0).astype(np.float32)
            mass = np.where(known, 1.0 - (level.used[context] - before + after) * scale, 1.0)
            masses[:, n] = np.maximum(mass, 1e-6)
            p *= masses[:, n, None]
            row, member = _members(level.begins, context)
            p[row, level.tokens[member]] += level.masses[member] * scale[row]
            p[every, self._targets[positions]] += ((after - before) * scale).astype(np.float32)
        return p, masses

    def _taken(self, positions: np.ndarray) -> list[np.ndarray]:
        """Whether each position's occurrence counts at each level, float32 0 or 1."""
        taken = [np.ones(len(positions), np.float32)]
        for level in reversed(self._levels[1:]):
            own = level.own[positions]
            taken.append(taken[-1] * (level.opening[own] | (level.counts[own] <= 1)))
        return taken[::-1]


def _members(begins: np.ndarray, context: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sizes = begins[context + 1] - begins[context]
    ends = np.cumsum(sizes)
    within = np.arange(int(ends[-1])) - np.repeat(ends - sizes, sizes)
    return np.repeat(np.arange(len(context)), sizes), within + np.repeat(begins[context], sizes)


def _level(counts: NgramCounts, n: int, model: NgramModel) -> _Level:
    keys, count, kept = counts.keys[n - 1], counts.counts[n - 1], counts.kept[n - 1]
    discounts = counts.discounts[n - 1]
    contexts, context = np.unique(keys >> np.uint64(model.bits), return_inverse=True)
    discounted = count - discounts[np.minimum(count, 3)]
    used = np.bincount(context[kept], weights=discounted[kept], minlength=len(contexts))
    sizes = np.bincount(context[kept], minlength=len(contexts))
    return _Level(
        own=counts.own[n - 1],
        counts=count.astype(np.float32),
        discounts=discounts.astype(np.float32),
        kept=kept,
        opening=begins(keys, n, model.bits),
        context=context.astype(np.int32),
        totals=np.bincount(context, weights=count).astype(np.float32),
        used=used.astype(np.float32),
        begins=np.concatenate([[0], np.cumsum(sizes)]),
        tokens=newest(keys[kept], model.bits).astype(np.int32),
        masses=discounted[kept].astype(np.float32),
    )

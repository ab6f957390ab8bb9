"""Growing arrays behind the feed state: code books, ring buffers and exponentially decayed counts.

All take batches in time order and give, up to rounding, the same result however the stream was cut into batches.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ABSENT = -1


class Codes:
    """Strings to consecutive integers in order of first appearance. With `none`, code 0 is None."""

    def __init__(self, none: bool = False) -> None:
        self.names: list[str | None] = [None] if none else []
        self._code: dict[str | None, int] = {None: 0} if none else {}

    def __len__(self) -> int:
        return len(self.names)

    def get(self, name: str | None) -> int:
        """The code of `name`, or -1."""
        return self._code.get(name, ABSENT)

    def add(self, names: Iterable[str | None]) -> Ints:
        """Codes of `names`, new ones appended."""
        wanted = list(names)
        code, known = self._code, self.names
        for name in wanted:
            if name not in code:
                code[name] = len(known)
                known.append(name)
        return np.fromiter(map(code.__getitem__, wanted), dtype=np.int64, count=len(wanted))

    def lookup(self, names: Iterable[str | None]) -> Ints:
        """Codes of `names`, -1 where unknown."""
        get = self._code.get
        return np.array([get(name, ABSENT) for name in names], dtype=np.int64)


def grown(array: npt.NDArray, rows: int, fill: float) -> npt.NDArray:
    """`array` with room for at least `rows` rows (doubling), new cells set to `fill`."""
    if rows <= len(array):
        return array
    out = np.full((max(rows, 2 * len(array), 64), *array.shape[1:]), fill, dtype=array.dtype)
    out[: len(array)] = array
    return out


class Rings:
    """One ring buffer a row: the last `width` entries pushed to it, each with several named values."""

    def __init__(self, width: int, columns: dict[str, tuple[type, float]]) -> None:
        self.width = width
        self.count = np.zeros(0, dtype=np.int64)
        self._fill = {name: fill for name, (_, fill) in columns.items()}
        self._data: dict[str, npt.NDArray] = {
            name: np.full((0, width), fill, dtype=kind) for name, (kind, fill) in columns.items()
        }

    def reserve(self, rows: int) -> None:
        """Make room for `rows` rows."""
        self.count = grown(self.count, rows, 0)
        self._data = {name: grown(data, rows, self._fill[name]) for name, data in self._data.items()}

    def push(self, rows: Ints, **values: npt.NDArray) -> None:
        """Append one entry to each of `rows` (a row may come several times, oldest first)."""
        if len(rows) == 0:
            return
        order = np.argsort(rows, kind="stable")
        sorted_rows = rows[order]
        starts = np.flatnonzero(np.r_[True, sorted_rows[1:] != sorted_rows[:-1]])
        sizes = np.diff(np.r_[starts, len(rows)])
        rank = np.arange(len(rows)) - np.repeat(starts, sizes)
        fits = rank >= np.repeat(sizes, sizes) - self.width
        kept, at = order[fits], (self.count[sorted_rows] + rank)[fits] % self.width
        for name, column in values.items():
            self._data[name][rows[kept], at] = column[kept]
        self.count[sorted_rows[starts]] += sizes

    def read(self, rows: Ints) -> dict[str, npt.NDArray]:
        """Each named value as [len(rows), width], oldest first and right-aligned; absent cells hold the fill value.

        Row -1 reads as empty.
        """
        if len(self.count) == 0:
            return {n: np.full((len(rows), self.width), f, d.dtype) for n, f, d in self._columns()}
        known = rows >= 0
        slots = np.where(known, self.count[rows], 0)[:, None] - self.width + np.arange(self.width)
        at = slots % self.width
        return {
            name: np.where(slots >= 0, data[rows[:, None], at], np.asarray(fill, dtype=data.dtype))
            for name, fill, data in self._columns()
        }

    def raw(self, name: str) -> npt.NDArray:
        """The buffer itself [rows, width], in no order: for sums over all entries."""
        return self._data[name]

    def _columns(self) -> Sequence[tuple[str, float, npt.NDArray]]:
        return [(name, self._fill[name], data) for name, data in self._data.items()]


class DecayedCounts:
    """Counts that halve every `half_life`, for several half-lives at once, kept lazily as (value, as of when).

    value(now) = sum over events of weight * 2^(-(now - t) / half_life). Reading in logarithms keeps the order of items
    whose last event lies thousands of half-lives back, where the plain value underflows.
    """

    def __init__(self, half_lives_h: Sequence[float]) -> None:
        self.half_lives_h = tuple(half_lives_h)
        self._rate = np.log(2.0) / (3600.0 * np.asarray(half_lives_h, dtype=np.float64))
        self._value = np.zeros((0, len(self._rate)))
        self._last = np.zeros(0)

    def reserve(self, rows: int) -> None:
        """Make room for `rows` rows."""
        self._value = grown(self._value, rows, 0.0)
        self._last = grown(self._last, rows, -np.inf)

    def add(self, rows: Ints, t: Floats, weight: Floats) -> None:
        """Count `weight` at time `t` for each of `rows`; late events count as much as if in time."""
        if len(rows) == 0:
            return
        touched, inverse = np.unique(rows, return_inverse=True)
        reference = self._last[touched].copy()
        np.maximum.at(reference, inverse, t)
        idle = np.where(np.isfinite(self._last[touched]), reference - self._last[touched], 0.0)
        value = self._value[touched] * np.exp(-idle[:, None] * self._rate)
        np.add.at(value, inverse, weight[:, None] * np.exp(-(reference[inverse] - t)[:, None] * self._rate))
        self._value[touched] = value
        self._last[touched] = reference

    def log(self, rows: int, now: float) -> Floats:
        """Natural logarithm of the counts at `now`, [rows, half-lives]; -inf where nothing was counted."""
        idle = np.where(np.isfinite(self._last[:rows]), now - self._last[:rows], 0.0)
        with np.errstate(divide="ignore"):
            return np.log(self._value[:rows]) - idle[:, None] * self._rate

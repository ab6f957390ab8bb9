"""The leave-one-out protocol of the sequential recommendation papers, and the files its benchmark passes around.

The last item of every user with at least three is the test item; all that comes before is the user's history, and is
there to learn from. A model that wants items to validate on takes them from there (the papers hold the last but one of
everybody out, and never train on it). A test item is ranked among the whole catalogue, less the user's history.
Needs numpy alone: peers run it in an environment of their own.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHORTEST = 3


@dataclass(frozen=True)
class Corpus:
    """User k had `items[starts[k]:starts[k + 1]]`, oldest first; the last of them is the test item."""

    starts: np.ndarray
    items: np.ndarray
    n_items: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, user: int) -> np.ndarray:
        return self.items[self.starts[user] : self.starts[user + 1]]

    @property
    def histories(self) -> list[np.ndarray]:
        """What is known of every user, to learn from and to rank the test item by."""
        return [self[user][:-1] for user in range(len(self))]

    @property
    def test(self) -> np.ndarray:
        """[users]."""
        return self.items[self.starts[1:] - 1]

    def save(self, path: Path) -> None:
        """Write a compressed numpy archive."""
        np.savez_compressed(path, starts=self.starts, items=self.items, n_items=self.n_items)

    @classmethod
    def load(cls, path: Path) -> "Corpus":
        """The inverse of `save`."""
        with np.load(path) as archive:
            return cls(archive["starts"], archive["items"], int(archive["n_items"]))


def read(path: Path) -> Corpus:
    """Read `user item` pairs in time order, or a `user item item ...` line a user; plain or gzipped.

    A file whose lines all hold two names is one of pairs. Users with fewer than three items are left out, items
    keep their place among all items of the file. Raises OSError, ValueError with the line that is neither.
    """
    lines = [line for line in _lines(path) if line]
    if not lines:
        raise ValueError(f"{path} is empty")
    short = next((number for number, line in enumerate(lines, 1) if len(line) < 2), None)
    if short:
        raise ValueError(f"{path}, line {short}: a user without an item")
    users: dict[str, list[str]] = {}
    for user, *items in lines:
        users.setdefault(user, []).extend(items)
    code: dict[str, int] = {}
    sequences = [[code.setdefault(item, len(code)) for item in items] for items in users.values()]
    kept = [items for items in sequences if len(items) >= SHORTEST]
    if not kept:
        raise ValueError(f"{path}: no user has {SHORTEST} items")
    starts = np.cumsum([0, *map(len, kept)])
    return Corpus(starts, np.array([item for items in kept for item in items], dtype=np.int64), len(code))


def _lines(path: Path) -> Iterator[list[str]]:
    with path.open("rb") as file:
        unpack = gzip.open if file.read(2) == b"\x1f\x8b" else open
    with unpack(path, "rt", encoding="utf-8") as text:
        try:
            for line in text:
                yield line.split()
        except (UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
            raise ValueError(f"{path} is not a text file of users and items ({error})") from error


def metrics(rank: np.ndarray) -> dict[str, float]:
    """hr@10, ndcg@10, hr@50 of places counted from 0; one relevant item a user."""
    gain = np.where(rank < 10, 1.0 / np.log2(rank + 2.0), 0.0)
    return {
        "hr@10": float((rank < 10).mean()),
        "ndcg@10": float(gain.mean()),
        "hr@50": float((rank < 50).mean()),
    }

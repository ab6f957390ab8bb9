"""What every model is: one way to score, one way to say why, one way onto disk and back.

A model scores a whole catalogue, `score(view, users) -> [users, n_items]`, or the columns asked for. All that it
knows beyond the view is in its `Parts`: settings, arrays and vocabularies, no code and no pickle.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import ABSENT, Codes, Ints
from training.recommender.view import FeedView, UserBatch

Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Parts:
    """A model taken apart: JSON settings, named arrays, named lists of strings."""

    config: dict[str, Any]
    arrays: dict[str, npt.NDArray] = field(default_factory=dict)
    vocabularies: dict[str, list[str]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write `config.json`, `weights.safetensors` and `vocabulary.json` into `folder`."""
        from safetensors.numpy import save_file

        (folder / "config.json").write_text(json.dumps(self.config, indent=2, sort_keys=True) + "\n")
        save_file(
            {k: np.ascontiguousarray(v) for k, v in self.arrays.items()}, folder / "weights.safetensors"
        )
        (folder / "vocabulary.json").write_text(json.dumps(self.vocabularies, ensure_ascii=False))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The inverse of `write`. Raises OSError or ValueError for what is not there or not readable."""
        from safetensors.numpy import load_file

        return cls(
            json.loads((folder / "config.json").read_text()),
            load_file(folder / "weights.safetensors"),
            json.loads((folder / "vocabulary.json").read_text()),
        )

    def nested(self, name: str) -> "Parts":
        """This model as a part of another one: every key prefixed with `name/`."""
        return Parts(
            {name: self.config},
            {f"{name}/{key}": value for key, value in self.arrays.items()},
            {f"{name}/{key}": value for key, value in self.vocabularies.items()},
        )

    def inner(self, name: str) -> "Parts":
        """The part that was nested under `name`. Raises KeyError."""
        prefix = f"{name}/"
        return Parts(
            self.config[name],
            {k.removeprefix(prefix): v for k, v in self.arrays.items() if k.startswith(prefix)},
            {k.removeprefix(prefix): v for k, v in self.vocabularies.items() if k.startswith(prefix)},
        )


class Events(NamedTuple):
    """Events of the histories of a batch: [events] the user's row, [events] the slot of the history."""

    row: Ints
    slot: Ints

    @classmethod
    def latest(cls, users: UserBatch, each: int) -> Self:
        """The last `each` of every user."""
        row, slot = np.nonzero(users.item >= 0)
        left = np.bincount(row, minlength=len(users)).cumsum()[row] - np.arange(len(row))
        return cls(row[left <= each], slot[left <= each])


class Blame(NamedTuple):
    """[events, posts]: how far each post falls for the event's user when that event is removed."""

    whole: Scores
    content: Scores
    """The part of it that is likeness of content: who wrote the post, about what, in which words."""


class Recommender(Protocol):
    """A trained model."""

    @property
    def name(self) -> str:
        """Its name among the candidates, a key of `registry.READERS`."""

    def score(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]: higher is better; posts are all of the view, or those of `columns`."""

    def blame(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Blame:
        """What each event of the histories does for each of the posts `columns`."""

    def parts(self) -> Parts:
        """Everything needed to build this model again."""

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`. Raises KeyError for a missing piece."""


class Signal(Protocol):
    """A quantity between a user's history and a post, zero or about zero where they have nothing in common."""

    key: ClassVar[str]
    """Its name, a key of `signals.SIGNALS`; a model that is popularity lifted by it has the same."""
    kind: ClassVar[str]
    """What it goes by: `collaborative` (who acted on what), `sequential` (in which order), `content`."""
    trained: ClassVar[bool]
    """Whether it has learnt who acted on what before the cut, so that only later events can tell what it is worth."""
    scale: ClassVar[float | None]
    """Where its size spans magnitudes: the blend adds up log(1 + value / scale). None: the value as it is."""

    def value(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]."""

    def without(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Scores:
        """[events, columns]: the value for the event's user had that event, and it alone, not happened."""

    def parts(self) -> Parts:
        """Everything needed to build this signal again."""


def picked(values: npt.NDArray, columns: Ints | None) -> npt.NDArray:
    """The columns (last axis) asked for, or all."""
    return values if columns is None else values[..., columns]


def removed(users: UserBatch, events: Events) -> UserBatch:
    """For each event its user, with that event taken out of the history."""
    out = users.take(events.row)
    out.item[np.arange(len(events.row)), events.slot] = ABSENT
    return out


class Vocabulary:
    """Names known when a model was trained, and where each post of a state stands among them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._index = {name: index for index, name in enumerate(self.names)}
        self._aligned: WeakKeyDictionary[Codes, Ints] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self.names)

    def align(self, view: FeedView) -> Ints:
        """[n_items] index into the vocabulary, -1 for a post it does not have."""
        return self.places(view.state.items, view.n_items)

    def places(self, codes: Codes, size: int) -> Ints:
        """[size] index into the vocabulary of each of the first `size` codes, -1 for one it does not have.

        Kept from call to call: a name keeps its code.
        """
        known = self._aligned.get(codes, np.zeros(0, dtype=np.int64))
        if len(known) < size:
            names = codes.names[len(known) : size]
            new = np.array([self._index.get(str(name), ABSENT) for name in names], dtype=np.int64)
            known = np.concatenate([known, new])
            self._aligned[codes] = known
        return known[:size]

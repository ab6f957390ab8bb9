"""Chances to act, and what came of them: the rows that action probabilities are learned from.

Where impressions are logged a chance is an impression, with its position, and a probability is P(action | shown). Where
they are not (public microblogs, forums) nobody knows what was shown: a chance is then the first time that a user reacts
to a post, and a probability is P(action | the user reacts).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.recommender.arrays import Ints
from training.recommender.data import ANONYMOUS, Bools, Floats, flags, in_time_order, seconds

ACTIONS = ("like", "comment", "share", "save", "follow_author", "long_view", "hide", "report")
"""What is predicted; `long_view` is a view that lasts (dwell), as the mart has it."""
NEGATIVE = ("hide", "report")
NO_POSITION = -1
SHOWN, REACTED = "shown", "reacted"
"""What a probability is conditional on."""

_SHOWN_SHARE = 0.5
"""Impressions count as logged when so many of the reactions follow one."""


@dataclass(frozen=True)
class Exposures:
    """One entry a chance, in time order. `row`: its event in the log of the replay.

    `position` is 0-based, NO_POSITION where not logged; `done` [chances, ACTIONS] says what the user did then.
    """

    row: Ints
    position: Ints
    done: Bools
    given: str

    def __len__(self) -> int:
        return len(self.row)

    def pick(self, which: npt.NDArray) -> "Exposures":
        """The chances picked by an index array or mask."""
        return Exposures(self.row[which], self.position[which], self.done[which], self.given)

    @property
    def positive(self) -> Bools:
        """[chances] whether anything was done that speaks for the post."""
        return np.asarray(self.done[:, [name not in NEGATIVE for name in ACTIONS]].any(axis=1))


def read_exposures(interactions: pa.Table, window_s: float) -> Exposures:
    """Chances in the `interactions` mart; an action belongs to the user's latest chance with the post, at most
    `window_s` seconds earlier. Own posts, `anonymous`, and what comes after a first reaction are left out.
    """
    log = _Log.read(interactions)
    so_far: Ints = np.cumsum(log.reaction) - log.reaction
    fresh: Bools = so_far == so_far[log.start]
    chance, given = ~log.reaction & fresh, SHOWN
    found = log.attributed(chance, window_s)
    if np.count_nonzero(found >= 0) < _SHOWN_SHARE * np.count_nonzero(log.reaction):
        chance, given = log.reaction & fresh, REACTED
        found = log.attributed(chance, window_s)
    place = np.flatnonzero(chance)
    place = place[np.argsort(log.row[place])]
    return Exposures(log.row[place], log.position[place], log.done(found)[place], given)


def done_after(interactions: pa.Table, rows: Ints, window_s: float) -> Bools:
    """[rows, ACTIONS] what the user of each event in `rows` (one for a user and post) did with the post then and in
    the next `window_s` seconds.
    """
    log = _Log.read(interactions)
    chance = np.isin(log.row, rows)
    done = log.done(log.attributed(chance, window_s))[chance]
    order = np.argsort(log.row[chance])
    return np.asarray(done[order][np.searchsorted(log.row[chance][order], rows)])


@dataclass(frozen=True)
class _Log:
    """Impressions and reactions of known users to others' posts, sorted by user and post, then time; [events] each.

    `start` is the place of the pair's first event. Impressions stand before what is done in the same instant.
    """

    row: Ints
    t: Floats
    action: Ints
    position: Ints
    start: Ints

    @classmethod
    def read(cls, interactions: pa.Table) -> "_Log":
        table = in_time_order(interactions)
        action = _actions(table)
        wanted = (action >= 0) | flags(table["is_impression"])
        wanted &= ~flags(table["is_own_item"]) & flags(pc.not_equal(table["user_id"], ANONYMOUS))
        row = np.flatnonzero(wanted)
        pair, t = _pairs(table, row), seconds(table["occurred_at"])
        order = np.lexsort((action[row] >= 0, t[row], pair))
        row, pair = row[order], pair[order]
        start = np.maximum.accumulate(np.where(np.diff(pair, prepend=-1) != 0, np.arange(len(row)), 0))
        return cls(row, t[row], action[row], _positions(table)[row], start)

    @property
    def reaction(self) -> Bools:
        return np.asarray(self.action >= 0)

    def attributed(self, chance: Bools, window_s: float) -> Ints:
        """For each reaction, the place of the latest chance of its pair at or before it; -1 where none is in time."""
        latest = np.maximum.accumulate(np.where(chance, np.arange(len(self.t)), -1))
        known = (latest >= self.start) & self.reaction
        known &= self.t - self.t[np.maximum(latest, 0)] <= window_s
        return np.where(known, latest, -1)

    def done(self, found: Ints) -> Bools:
        """[events, ACTIONS] what was attributed to each."""
        out = np.zeros((len(self.row), len(ACTIONS)), dtype=bool)
        out[found[found >= 0], self.action[found >= 0]] = True
        return out


def _positions(table: pa.Table) -> Ints:
    if "position" not in table.column_names:
        return np.full(table.num_rows, NO_POSITION)
    return np.asarray(pc.fill_null(table["position"], NO_POSITION).to_numpy(), dtype=np.int64)


def _actions(table: pa.Table) -> npt.NDArray[np.int64]:
    """Number of each event's action in ACTIONS, -1 for one that is not predicted."""
    lasting = pc.and_(pc.equal(table["action"], "view"), pc.fill_null(table["is_positive"], False))
    names = pc.if_else(lasting, "long_view", table["action"])
    return np.asarray(pc.fill_null(pc.index_in(names, pa.array(ACTIONS)), -1).to_numpy(), dtype=np.int64)


def _pairs(table: pa.Table, row: Ints) -> Ints:
    """A number for each (user, item)."""
    codes = [
        table[name].take(row).combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
        for name in ("user_id", "item_id")
    ]
    return codes[0].astype(np.int64) * (len(row) + 1) + codes[1]

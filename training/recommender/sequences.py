"""What each user acted on, in order: the training data of the sequential models."""

from dataclasses import dataclass

import numpy as np

from training.recommender.arrays import Codes, Ints
from training.recommender.data import ANONYMOUS, EventLog, Floats


@dataclass(frozen=True)
class Sequences:
    """First positive actions before a cut, user by user: user k owns the entries `starts[k]:starts[k + 1]`.

    `item` indexes `names` (posts in order of first appearance), `row` the event log, `people` holds the
    users' ids, `t` is in seconds.
    """

    starts: Ints
    item: Ints
    t: Floats
    row: Ints
    names: list[str]
    people: list[str]

    @property
    def users(self) -> int:
        """Number of users."""
        return len(self.starts) - 1

    @property
    def position(self) -> Ints:
        """Place of each entry within its user's sequence, from 0."""
        return np.arange(len(self.item)) - np.repeat(self.starts[:-1], np.diff(self.starts))


def sequences_before(events: EventLog, cut: float) -> Sequences:
    """Sequences of everybody but `anonymous`, of events strictly before `cut`."""
    rows = np.flatnonzero(events.positive & (events.user != ANONYMOUS) & (events.t < cut))
    users, items = Codes(), Codes()
    user, item = users.add(events.user[rows]), items.add(events.item[rows])
    pairs = user * max(len(items), 1) + item
    _, first = np.unique(pairs, return_index=True)
    first.sort()
    order = first[np.argsort(user[first], kind="stable")]
    counts = np.bincount(user[order], minlength=len(users))
    return Sequences(
        starts=np.r_[0, np.cumsum(counts)],
        item=item[order],
        t=events.t[rows[order]],
        row=rows[order],
        names=[str(name) for name in items.names],
        people=[str(name) for name in users.names],
    )

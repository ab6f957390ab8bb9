"""The temporal split: one cut in time for everybody, by shares of the first interactions."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from training.errors import NotEnoughDataError
from training.recommender.arrays import Ints
from training.recommender.config import SplitConfig
from training.recommender.replay import Replay

BURN_IN = 0.2
"""Share of the first interactions that only warm the state up before anything is fitted on them."""
LARGEST_SHARE = 0.2


@dataclass(frozen=True)
class Split:
    """Instants in seconds since 1970: warm-up before `warm`, training before `cut`, validation before `test`, `end`.

    All but `end` are whole seconds; `end` lies after the last event.
    """

    warm: float
    cut: float
    test: float
    end: float

    @property
    def window(self) -> tuple[datetime, datetime]:
        """The test window, UTC, half-open."""
        return datetime.fromtimestamp(self.test, UTC), datetime.fromtimestamp(self.end, UTC)


def split_in_time(replay: Replay, config: SplitConfig) -> Split:
    """Cut so that the last shares of the held-out events are the test and the validation window.

    Raises NotEnoughDataError, naming what is missing, when there are too few events, users or distinct times.
    """
    rows = replay.heldout
    users = len(set(replay.events.user[rows].tolist()))
    if len(rows) < config.min_events:
        raise NotEnoughDataError(
            f"the recommender needs at least {config.min_events} first interactions of users with others' posts, "
            f"found {len(rows)}"
        )
    if users < config.min_users:
        raise NotEnoughDataError(
            f"the recommender needs at least {config.min_users} users with a positive interaction, found {users}"
        )
    share = min(max(config.heldout_share, config.min_window_events / len(rows)), LARGEST_SHARE)
    share = max(share, config.heldout_share)
    t = replay.events.t[rows]
    last = len(rows) - 1
    warm, cut, test = (float(np.floor(t[int(last * q)])) for q in (BURN_IN, 1 - 2 * share, 1 - share))
    split = Split(warm, cut, test, float(np.floor(t[-1])) + 1.0)
    edges = (warm, cut, test, split.end)
    if any(len(replay.rows_in(*window)) == 0 for window in pairwise(edges)):
        raise NotEnoughDataError(
            "the recommender cannot cut its interactions in time: they happen at too few distinct times"
        )
    return split


def sample(rows: Ints, size: int, seed: int) -> Ints:
    """At most `size` of `rows`, drawn without replacement, in order."""
    if len(rows) <= size:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, size, replace=False))

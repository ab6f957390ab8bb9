"""When things happen: hours of the day by a user's place and habits, days of the week, and how a shift moves them."""

import numpy as np

from orchestration.sources.simulated.chance import Floats, Ints
from orchestration.sources.simulated.population import World

SHIFTED_HOURS = 7.0
"""By so many hours people's days move when the world has shifted all the way."""

# Local hours around which people read: breakfast, lunch, evening; with their shares and spreads.
_PEAKS = np.array([8.0, 12.5, 20.5])
_SPREADS = np.array([1.2, 0.9, 1.9])
_SHARES = np.cumsum([0.2, 0.25, 0.55])
# Monday to Sunday, mean 1: evenings before free days are busier.
_WEEK = np.array([0.96, 0.93, 0.94, 0.97, 1.03, 1.11, 1.06])


def week_factor(world: World, day: int) -> float:
    """How busy a day of the week is, mean 1."""
    return float(_WEEK[world.scenario.date_of(day).weekday()])


def times_of_day(world: World, users: Ints, day: int, rng: np.random.Generator) -> Floats:
    """A time (day of the world, with fraction) on this UTC day for each of `users`, by their own clock."""
    count = len(users)
    peak = np.searchsorted(_SHARES, rng.random(count) * _SHARES[-1])
    peak = np.minimum(peak, len(_PEAKS) - 1)
    local = _PEAKS[peak] + _SPREADS[peak] * rng.standard_normal(count) + world.users.chronotype[users]
    utc = local + SHIFTED_HOURS * world.level(day) - world.users.hours_from_utc[users]
    return np.asarray(day + np.mod(utc, 24.0) / 24.0, dtype=np.float64)

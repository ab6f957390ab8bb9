"""How often the check cries wolf, and whether it sees the wolf: synthetic feeds with users, days and weekends."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from orchestration.quality.drift import compare_windows
from orchestration.quality.drift_model import AT, UNIT, DriftReport, DriftSettings, FeatureSpec
from orchestration.quality.drift_windows import choose_windows

START = datetime(2026, 1, 1, tzinfo=UTC)
SPECS = (
    FeatureSpec("feed", "action", "categorical"),
    FeatureSpec("feed", "hour", "categorical"),
    FeatureSpec("feed", "lang", "categorical"),
    FeatureSpec("feed", "dwell", "numeric", log=True),
    FeatureSpec("feed", "position", "numeric"),
    FeatureSpec("feed", "length", "numeric", log=True),
)
SEEDS = range(20)


def feed(
    seed: int, users: int, rate: float, moved: frozenset[str] = frozenset(), days: int = 28
) -> pd.DataFrame:
    """Heavy and light users with habits of their own, shocks that hit a whole day, playful weekends.

    Columns in `moved` change in the last week.
    """
    rng = np.random.default_rng(seed)
    activity = rng.gamma(0.5, 2 * rate, users)
    taste = rng.dirichlet([4, 2, 1, 0.5], users)
    pace = rng.normal(2, 0.7, users)
    chinese = rng.random(users) < 0.4
    frames = []
    for day in range(days):
        weekend, late = (START + timedelta(days=day)).weekday() >= 5, day >= days - 7
        who = np.repeat(np.arange(users), rng.poisson(activity * (1.6 if weekend else 1.0)))
        odds = taste * np.exp(rng.normal(0, 0.15, 4)) * ([1, 1, 3, 3] if late and "action" in moved else 1)
        odds /= odds.sum(axis=1, keepdims=True)
        size = who.size
        hours = rng.normal(20 if weekend else 13, 4, size) + (5 if late and "hour" in moved else 0)
        switched = rng.random(size) < (0.6 if late and "lang" in moved else 0.03)
        dwell = pace[who] + rng.normal(0.1 * weekend, 1, size) + rng.normal(0, 0.05)
        frames.append(
            pd.DataFrame(
                {
                    AT: pd.Timestamp(START) + pd.to_timedelta(day * 24 + hours % 24, unit="h"),
                    UNIT: who.astype(str),
                    "action": (odds[who].cumsum(axis=1) < rng.random((size, 1)))
                    .sum(axis=1)
                    .clip(0, 3)
                    .astype(str),
                    "hour": (hours % 24).astype(int).astype(str),
                    "lang": np.where(chinese[who] | switched, "zh", "en"),
                    "dwell": np.exp(dwell + (0.6 if late and "dwell" in moved else 0)),
                    "position": rng.geometric(0.12 if late and "position" in moved else 0.2, size).astype(
                        float
                    ),
                    "length": np.exp(rng.normal(4.6 if late and "length" in moved else 4, 0.8, size)),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def check(frame: pd.DataFrame, days: int = 28) -> DriftReport:
    windows = choose_windows(START, START + timedelta(days=days - 7), START + timedelta(days=days))
    return compare_windows({"feed": frame}, windows, SPECS, DriftSettings(resamples=100), name="feed")


@pytest.mark.parametrize(("users", "rate"), [(60, 1.0), (400, 1.0)], ids=["small", "large"])
def test_twenty_worlds_that_do_not_move_raise_no_alarm(users, rate):
    """Alpha is 1 % a comparison, so one alarm in twenty seeds is already unlikely (18 %), two are a fault (2 %)."""
    alarms = {seed: [c.name for c in check(feed(seed, users, rate)).drifted] for seed in SEEDS}
    assert sum(bool(found) for found in alarms.values()) <= 1, alarms


@pytest.mark.parametrize("column", [spec.column for spec in SPECS])
def test_the_column_that_moved_is_found_and_no_other(column):
    for seed in range(3):
        found = [c.name for c in check(feed(seed, 400, 1.0, frozenset({column}))).drifted]
        assert found == [f"feed.{column}"], seed

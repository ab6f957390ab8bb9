"""Windows of whole weeks: the weekly rhythm is no drift."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from orchestration.quality.drift import compare_windows
from orchestration.quality.drift_model import AT, DAY, UNIT, DriftSettings, FeatureSpec
from orchestration.quality.drift_windows import WEEK, choose_windows, filled_tables, split, utc

START = datetime(2026, 1, 1, tzinfo=UTC)
SPECS = (FeatureSpec("t", "kind", "categorical"), FeatureSpec("t", "hour", "categorical"))


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def test_long_history_gives_whole_weeks_on_both_sides():
    windows = choose_windows(day(0), day(40), day(50))
    assert windows.current == (day(43), day(50))
    assert windows.reference == (day(12), day(40))
    assert windows.rhythm_controlled


def test_a_reference_ends_on_a_border_of_days_counted_back_from_the_end():
    windows = choose_windows(day(0), day(20.25), day(30))
    assert windows.reference[1] == day(20)
    assert (windows.reference[1] - windows.reference[0]) % WEEK == timedelta(0)


def test_a_current_window_shorter_than_a_week_is_compared_with_the_same_part_of_the_week():
    windows = choose_windows(day(0), day(28), day(30.5))
    assert windows.phase == timedelta(days=2.5)
    stamps = pd.date_range(START, day(30.5), freq="h", inclusive="left")
    reference, current = split(pd.DataFrame({AT: stamps}), windows)

    def hours(frame):
        return set(frame[AT].dt.dayofweek * 24 + frame[AT].dt.hour)

    assert hours(reference) == hours(current)
    assert len(reference) == 4 * len(current)


def test_less_than_a_week_of_history_is_said_by_name():
    windows = choose_windows(day(0), day(3), day(4))
    assert not windows.rhythm_controlled
    assert "3.0 days" in windows.note
    reference, current = split(pd.DataFrame({AT: [day(0), day(3.5)]}), windows)
    assert (len(reference), len(current), DAY in reference) == (1, 1, False)


@pytest.mark.parametrize(("trained_until", "end"), [(0, 5), (5, 5), (6, 5)])
def test_windows_without_two_sides_are_refused(trained_until, end):
    with pytest.raises(ValueError, match="no two windows"):
        choose_windows(day(0), day(trained_until), day(end))


def test_days_are_counted_so_that_equal_remainders_are_equal_weekdays():
    windows = choose_windows(day(0), day(20.4), day(30.4))
    stamps = pd.date_range(START, day(30.4), freq="7h", inclusive="left")
    reference, current = split(pd.DataFrame({AT: stamps}), windows)
    end = pd.Timestamp(windows.current[1])
    for frame in (reference, current):
        phase = ((end - frame[AT] - pd.Timedelta(1, "us")) % pd.Timedelta(WEEK)) // pd.Timedelta(days=1)
        assert (phase == frame[DAY] % 7).all()


def rhythm(days: int, seed: int = 0) -> pd.DataFrame:
    """Weekends are late and playful, working days early and serious; nothing else ever changes."""
    rng = np.random.default_rng(seed)
    frames = []
    for number in range(days):
        weekend = day(number).weekday() >= 5
        size = rng.poisson(300 if weekend else 150)
        hours = rng.normal(21 if weekend else 12, 2, size).clip(0, 23.9)
        frames.append(
            pd.DataFrame(
                {
                    AT: [day(number) + timedelta(hours=float(hour)) for hour in hours],
                    UNIT: rng.integers(0, 120, size).astype(str),
                    "kind": rng.choice(["play", "work"], size, p=(0.9, 0.1) if weekend else (0.2, 0.8)),
                    "hour": hours.astype(int).astype(str),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize("cut", [28, 33, 34.3])
def test_the_weekly_rhythm_is_not_drift(cut):
    """Also when the latest window is one working day, or starts at an odd hour."""
    windows = choose_windows(day(0), day(cut), day(35))
    report = compare_windows({"t": rhythm(35)}, windows, SPECS, DriftSettings(min_rows=50), name="rhythm")
    assert [column.verdict for column in report.columns] == ["stable", "stable"], report.columns


def test_a_move_in_the_last_week_is_found_under_the_same_rhythm():
    frame = rhythm(35)
    late = (frame[AT] >= day(28)) & (np.arange(len(frame)) % 2 == 0)
    frame.loc[late, "kind"] = "play"
    windows = choose_windows(day(0), day(28), day(35))
    report = compare_windows({"t": frame}, windows, SPECS, DriftSettings(), name="moved")
    assert [column.name for column in report.drifted] == ["t.kind"]


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        utc("2026-01-01")
    assert utc("2026-01-01T08:00:00+08:00") == START


def test_windows_that_hold_too_little_are_doubled_until_they_hold_enough():
    """A network that has fallen silent: two events in its last two years."""
    first, trained, end = (datetime(year, 1, 1, tzinfo=UTC) for year in (2012, 2013, 2016))
    busy = pd.date_range("2012-01-01", "2013-06-30", freq="1h", tz="UTC")
    at = busy.append(pd.DatetimeIndex(["2015-12-30", "2015-12-31"], tz="UTC"))
    frames = {"feed": pd.DataFrame({AT: at, UNIT: [f"u{i % 50}" for i in range(len(at))]})}
    settings = DriftSettings()
    short = choose_windows(first, trained, end)
    assert short.current == (end - WEEK, end)
    grown = choose_windows(first, trained, end, filled=filled_tables(frames, settings))
    assert grown.current == (end - 156 * WEEK, end)
    assert grown.reference == short.reference
    assert filled_tables(frames, settings)(*grown.current) == 1


def test_windows_that_hold_enough_stay_as_they_are():
    first, trained, end = day(0), day(59), day(90)
    at = pd.date_range(first, end, freq="10min", tz="UTC", inclusive="left")
    frames = {"feed": pd.DataFrame({AT: at, UNIT: [f"u{i % 50}" for i in range(len(at))]})}
    filled = filled_tables(frames, DriftSettings())
    assert choose_windows(first, trained, end, filled=filled) == choose_windows(first, trained, end)


def test_windows_that_no_length_would_fill_stay_as_they_are():
    first, trained, end = day(0), day(59), day(90)
    frames = {"feed": pd.DataFrame({AT: [pd.Timestamp(first)], UNIT: ["u"]})}
    found = choose_windows(first, trained, end, filled=filled_tables(frames, DriftSettings()))
    assert found == choose_windows(first, trained, end)

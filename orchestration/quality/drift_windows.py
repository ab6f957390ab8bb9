"""Which two stretches of time are compared: whole weeks counted back from the end, else equal phases of the
week.

A Friday against a Monday differs on every column and is no drift. So both windows hold every hour of the week
equally often where the history allows it, and a report says so where it does not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestration.quality.drift_model import AT, DAY, UNIT, DriftSettings

if TYPE_CHECKING:
    import pandas as pd

Filled = Callable[[datetime, datetime], int]
"""How many tables hold enough in [start, end)."""
WEEK = timedelta(days=7)
DAY_LENGTH = timedelta(days=1)


@dataclass(frozen=True)
class Windows:
    """Two half-open UTC intervals, the reference first. `phase` is set where only a part of the week is
    compared.
    """

    reference: tuple[datetime, datetime]
    current: tuple[datetime, datetime]
    phase: timedelta | None = None
    """Length of the current window when it is shorter than a week: the reference keeps the same hours of
    the week.
    """
    note: str = ""

    @property
    def rhythm_controlled(self) -> bool:
        """Whether both windows weigh every hour of the week alike."""
        return not self.note


def choose_windows(
    first: datetime,
    trained_until: datetime,
    end: datetime,
    *,
    reference_weeks: int = 4,
    current_weeks: int = 1,
    filled: Filled | None = None,
) -> Windows:
    """Windows to ask whether the data moved since a model was trained.

    The reference is the last whole weeks (at most `reference_weeks`) of [first, trained_until), the current
    window the last whole weeks (at most `current_weeks`) of [trained_until, end), or all of it when it is
    shorter than one. `end` is exclusive. With `filled` (see `filled_tables`), a window that holds too little is
    doubled until it holds enough or all that its side has: the last week of a network that falls silent is
    empty. Raises ValueError when either side is empty.
    """
    if not first < trained_until < end:
        raise ValueError(
            f"no two windows in {first.isoformat()} .. {trained_until.isoformat()} .. {end.isoformat()}"
        )
    whole = min(current_weeks, (end - trained_until) // WEEK)
    if whole and filled is not None:
        most = (end - trained_until) // WEEK
        whole = _grown(whole, most, lambda weeks: filled(end - weeks * WEEK, end))
    start = end - whole * WEEK if whole else trained_until
    border = trained_until
    if whole and (snapped := end - -((trained_until - end) // DAY_LENGTH) * DAY_LENGTH) - first >= WEEK:
        # Days are counted back from `end`; a reference that ends on such a day's border holds whole days alone.
        border = snapped
    weeks = min(reference_weeks, (border - first) // WEEK)
    if weeks < 1:
        note = (
            f"Less than a week of history ({(trained_until - first) / DAY_LENGTH:.1f} days) lies before training "
            "ended, so the weekly rhythm is not controlled for."
        )
        return Windows((first, trained_until), (start, end), note=note)
    if filled is not None:
        weeks = _grown(weeks, (border - first) // WEEK, lambda weeks: filled(border - weeks * WEEK, border))
    reference = (border - weeks * WEEK, border)
    return Windows(reference, (start, end), phase=None if whole else end - start)


def _grown(weeks: int, most: int, filled: Callable[[int], int]) -> int:
    """`weeks`, doubled until as many tables are filled as in `most` weeks."""
    wanted = filled(most)
    while weeks < most and filled(weeks) < wanted:
        weeks = min(2 * weeks, most)
    return weeks


def filled_tables(frames: "Mapping[str, pd.DataFrame]", settings: DriftSettings) -> Filled:
    """How many of `frames` (with `_at` and `_unit`) have the rows and the units to be judged in [start, end)."""
    import pandas as pd

    times = {name: pd.to_datetime(frame[AT], utc=True) for name, frame in frames.items()}

    def count(start: datetime, end: datetime) -> int:
        found = 0
        for name, at in times.items():
            inside = (at >= pd.Timestamp(start)) & (at < pd.Timestamp(end))
            units = frames[name].loc[inside, UNIT].nunique()
            found += int(inside.sum()) >= settings.min_rows and units >= settings.min_units
        return found

    return count


def split(frame: "pd.DataFrame", windows: Windows) -> tuple["pd.DataFrame", "pd.DataFrame"]:
    """The rows of `frame` (with `_at`) in each window, with `_day` counted back from the end of the current
    one.

    Where the current window is a part of a week, the reference keeps only rows in the same hours of the week.
    Days are numbered only where the rhythm is controlled; without that no two days are exchangeable.
    """
    import pandas as pd

    at = pd.to_datetime(frame[AT], utc=True)
    end = pd.Timestamp(windows.current[1])
    back = end - at

    def inside(interval: tuple[datetime, datetime]) -> "pd.Series":
        return (at >= pd.Timestamp(interval[0])) & (at < pd.Timestamp(interval[1]))

    keep = inside(windows.reference)
    if windows.phase is not None:
        # `back` is in (0, ...]: an event exactly one phase back is the first instant of the window.
        keep &= (back - pd.Timedelta(1, "us")) % pd.Timedelta(WEEK) < pd.Timedelta(windows.phase)
    if windows.rhythm_controlled:
        frame = frame.assign(**{DAY: (back - pd.Timedelta(1, "us")) // pd.Timedelta(DAY_LENGTH)})
    return frame[keep], frame[inside(windows.current)]


def utc(value: object) -> datetime:
    """An aware datetime in UTC from a pandas, Arrow or Python instant. Raises ValueError for one without a
    zone.
    """
    import pandas as pd

    stamp = pd.Timestamp(value)
    if stamp.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    instant: datetime = stamp.tz_convert("UTC").to_pydatetime(warn=False)
    return instant.astimezone(UTC)

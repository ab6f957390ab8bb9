"""What a drift check is told and what it answers: specs, settings, findings; plain data that survives JSON.

A column's verdict is one of three: `stable`, `drifted`, `not_judged`. The finding beside it names why in one
word, and the detail says it in a sentence with numbers. A column that cannot be judged is never silently
stable.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["numeric", "categorical"]
Verdict = Literal["stable", "drifted", "not_judged"]
Finding = Literal[
    "stable",
    "moved",
    "nulls_moved",
    "too_few",
    "empty",
    "all_null",
    "all_null_in_reference",
    "all_null_in_current",
    "missing",
    "missing_in_reference",
    "missing_in_current",
    "constant",
    "constant_moved",
    "constant_in_reference",
    "constant_in_current",
]

UNIT = "_unit"
"""Column of a frame that says who a row belongs to (user, author); rows of one unit are not independent."""
AT = "_at"
"""Column of a frame with the row's UTC time."""
DAY = "_day"
"""Column of a frame: whole days before the end of the current window; `_day % 7` is the weekday."""


@dataclass(frozen=True)
class FeatureSpec:
    """One column that is compared. `log` compares log(1 + x), for counts and durations with a long tail."""

    table: str
    column: str
    kind: Kind
    log: bool = False
    describes: str = ""

    @property
    def name(self) -> str:
        """`table.column`, the name in reports and policies."""
        return f"{self.table}.{self.column}"


class DriftSettings(BaseModel):
    """Methods, thresholds and sample sizes of a drift check; part of a policy file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    numeric_method: Literal["wasserstein", "psi"] = Field("wasserstein", description="Evidently's name.")
    categorical_method: Literal["jensenshannon", "psi"] = Field(
        "jensenshannon", description="Evidently's name."
    )
    wasserstein_threshold: float = Field(
        0.15, gt=0, description="Least distance that matters, in reference sd."
    )
    jensenshannon_threshold: float = Field(
        0.1, gt=0, description="Least Jensen-Shannon distance that matters."
    )
    psi_threshold: float = Field(0.1, gt=0, description="Least population stability index that matters.")
    null_share_threshold: float = Field(
        0.05, gt=0, le=1, description="Least change of the share of nulls that matters."
    )
    min_rows: int = Field(200, ge=2, description="Rows with a value that each side needs, else `too_few`.")
    min_units: int = Field(30, ge=2, description="Users or authors that each side needs, else `too_few`.")
    max_rows: int = Field(20_000, ge=100, description="Rows drawn from a larger window, seeded.")
    max_categories: int = Field(
        30, ge=2, description="Most frequent categories kept apart; the rest become one."
    )
    resamples: int = Field(200, ge=50, description="Block resamples that calibrate each threshold.")
    alpha: float = Field(0.01, gt=0, lt=1, description="Chance of any false alarm in one comparison.")
    seed: int = 0

    def floor(self, method: str) -> float:
        """The least distance worth a word for `method`, whatever the sample size."""
        return float(getattr(self, f"{method}_threshold"))


@dataclass(frozen=True)
class ColumnDrift:
    """The answer for one column. Distances are None where nothing could be computed."""

    name: str
    kind: Kind
    method: str
    verdict: Verdict
    finding: Finding
    detail: str
    value: float | None = None
    threshold: float | None = None
    """The larger of the policy's floor and what block resampling allows by chance."""
    floor: float | None = None
    chance_units: float | None = None
    """Distance that reshuffling users between the windows exceeds with probability alpha / columns."""
    chance_days: float | None = None
    """The same for reshuffling days of equal weekday; None where the windows are not whole weeks."""
    rows_reference: int = 0
    rows_current: int = 0
    units_reference: int = 0
    units_current: int = 0
    nulls_reference: float | None = None
    nulls_current: float | None = None


@dataclass(frozen=True)
class DriftReport:
    """The answer for a pair of windows: one entry a column, notes that hold for all of them, Evidently's
    own page.
    """

    name: str
    columns: tuple[ColumnDrift, ...]
    computed_at: datetime
    reference_window: tuple[datetime, datetime] | None = None
    current_window: tuple[datetime, datetime] | None = None
    notes: tuple[str, ...] = ()
    html: str = field(default="", repr=False, compare=False)
    """Self-contained page (scripts inside, no network); empty when not asked for or when no column was
    judged.
    """

    @property
    def drifted(self) -> tuple[ColumnDrift, ...]:
        """Columns that moved, the strongest first."""
        moved = [column for column in self.columns if column.verdict == "drifted"]
        return tuple(sorted(moved, key=lambda column: -severity(column)))

    @property
    def judged(self) -> tuple[ColumnDrift, ...]:
        """Columns with a verdict."""
        return tuple(column for column in self.columns if column.verdict != "not_judged")

    @property
    def not_judged(self) -> tuple[ColumnDrift, ...]:
        """Columns without one."""
        return tuple(column for column in self.columns if column.verdict == "not_judged")

    def line(self) -> str:
        """One line for a log or a table."""
        moved = ", ".join(column.name for column in self.drifted) or "none"
        skipped = f", {len(self.not_judged)} not judged" if self.not_judged else ""
        return f"{self.name}: {len(self.drifted)} of {len(self.judged)} columns drifted ({moved}){skipped}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the page."""
        value = asdict(self)
        value.pop("html")
        value["computed_at"] = self.computed_at.isoformat()
        for side in ("reference_window", "current_window"):
            window = getattr(self, side)
            value[side] = [instant.isoformat() for instant in window] if window else None
        value["columns"] = list(value["columns"])
        value["notes"] = list(self.notes)
        return value


class JudgedColumn(Protocol):
    """What a figure needs of a column: a `ColumnDrift`, or the gate's record of one."""

    @property
    def name(self) -> str | None:
        """`table.column`."""
        ...

    @property
    def method(self) -> str | None:
        """Evidently's method."""
        ...

    @property
    def verdict(self) -> str | None:
        """`stable`, `drifted` or `not_judged`."""
        ...

    @property
    def finding(self) -> str | None:
        """Why, in one word."""
        ...

    @property
    def value(self) -> float | None:
        """Distance."""
        ...

    @property
    def threshold(self) -> float | None:
        """Where drift begins."""
        ...


def severity(column: JudgedColumn) -> float:
    """Distance over threshold: 1 is the border. A finding without a distance counts as 1 when it is drift, else 0."""
    drifted = 1.0 if column.verdict == "drifted" else 0.0
    if column.value is not None and column.threshold:
        return max(column.value / column.threshold, drifted)
    return drifted

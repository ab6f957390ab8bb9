"""Rules on rows, each told twice: as a mask over an Arrow table, and as an expectation of Great Expectations.

The two tellings must agree row by row; `orchestration.quality.expectations` compares them wherever it runs both. All
rules but `NotNull` pass nulls.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Column: TypeAlias = Any
CONTROL = r"[\x00-\x1f\x7f]"
"""Control characters: damage in an identifier, and PostgreSQL cannot keep NUL in a catalog's statistics."""


def rows_where(mask: Any) -> np.ndarray:
    """Numbers of the rows that a mask without nulls marks (Arrow's own `indices_nonzero` crashes on no chunks)."""
    return np.flatnonzero(np.asarray(mask))


def _filled(mask: Any) -> Column:
    return pc.fill_null(mask, False)


@dataclass(frozen=True)
class Rule:
    """A rule on `column`: `reason` says what is wrong with a row that breaks it, `mostly` which share must pass."""

    column: str
    reason: str = ""
    critical: bool = True
    mostly: float = 1.0

    @property
    def frame_column(self) -> str:
        """Name of the column in the frame that Great Expectations looks at."""
        return self.column

    @property
    def name(self) -> str:
        """Snake-case name of the expectation."""
        raise NotImplementedError

    def arguments(self) -> dict[str, Any]:
        """Arguments of the expectation besides the column."""
        return {}

    def broken(self, table: pa.Table) -> Column:
        """True where a row breaks the rule, without nulls."""
        raise NotImplementedError

    def frame_values(self, table: pa.Table) -> Column:
        """What Great Expectations looks at."""
        return table[self.column]

    def why(self) -> str:
        """The reason as told to a person."""
        return self.reason or f"{self.column} breaks {self.name}"


@dataclass(frozen=True)
class NotNull(Rule):
    """The value is there; NaN counts as missing, as it does in a data frame."""

    @property
    def name(self) -> str:
        """Name of the expectation."""
        return "expect_column_values_to_not_be_null"

    def broken(self, table: pa.Table) -> Column:
        """True where the value is null."""
        return pc.is_null(table[self.column], nan_is_null=True)

    def why(self) -> str:
        """The reason as told to a person."""
        return self.reason or f"{self.column} is missing"


@dataclass(frozen=True)
class Between(Rule):
    """`low <= value <= high`, either end open when None. NaN passes: see `Finite` in the suites."""

    low: float | datetime | None = None
    high: float | datetime | None = None

    @property
    def name(self) -> str:
        """Name of the expectation."""
        return "expect_column_values_to_be_between"

    def arguments(self) -> dict[str, Any]:
        """The two ends."""
        return {"min_value": self.low, "max_value": self.high}

    def broken(self, table: pa.Table) -> Column:
        """True where the value lies outside."""
        column = table[self.column]
        mask = pc.and_(pc.is_null(column), pa.scalar(False))
        if self.low is not None:
            mask = pc.or_(mask, _filled(pc.less(column, pa.scalar(self.low).cast(column.type))))
        if self.high is not None:
            mask = pc.or_(mask, _filled(pc.greater(column, pa.scalar(self.high).cast(column.type))))
        return mask


@dataclass(frozen=True)
class Length(Rule):
    """Characters (code points) of a text."""

    low: int = 0
    high: int = 2**31

    @property
    def name(self) -> str:
        """Name of the expectation."""
        return "expect_column_value_lengths_to_be_between"

    def arguments(self) -> dict[str, Any]:
        """The two ends."""
        return {"min_value": self.low, "max_value": self.high}

    def broken(self, table: pa.Table) -> Column:
        """True where the text is too short or too long."""
        length = pc.utf8_length(table[self.column])
        return _filled(pc.or_(pc.less(length, self.low), pc.greater(length, self.high)))


@dataclass(frozen=True)
class Without(Rule):
    """The text holds nothing that matches `regex` (a form that RE2 and Python read alike)."""

    regex: str = ""

    @property
    def name(self) -> str:
        """Name of the expectation."""
        return "expect_column_values_to_not_match_regex"

    def arguments(self) -> dict[str, Any]:
        """The pattern; Great Expectations looks for it anywhere."""
        return {"regex": self.regex}

    def broken(self, table: pa.Table) -> Column:
        """True where the pattern is found."""
        return _filled(pc.match_substring_regex(table[self.column], self.regex))


@dataclass(frozen=True)
class Matches(Rule):
    """The whole text matches `regex` (a form that RE2 and Python read alike)."""

    regex: str = ""

    @property
    def name(self) -> str:
        """Name of the expectation."""
        return "expect_column_values_to_match_regex"

    def arguments(self) -> dict[str, Any]:
        """The pattern, anchored at both ends."""
        return {"regex": rf"\A(?:{self.regex})\Z"}

    def broken(self, table: pa.Table) -> Column:
        """True where the pattern does not cover the text."""
        return _filled(pc.invert(pc.match_substring_regex(table[self.column], rf"\A(?:{self.regex})\z")))


@dataclass(frozen=True)
class Identifier(Rule):
    """Between `low` and `high` characters, none of them a control character."""

    low: int = 1
    high: int = 512

    @property
    def name(self) -> str:
        """Name of the expectation."""
        return "expect_column_values_to_match_regex"

    def arguments(self) -> dict[str, Any]:
        """Both conditions as one pattern."""
        return {"regex": rf"\A[^\x00-\x1f\x7f]{{{self.low},{self.high}}}\Z"}

    def broken(self, table: pa.Table) -> Column:
        """True where the length or a character is wrong."""
        column = table[self.column]
        length = pc.utf8_length(column)
        wrong = pc.or_(pc.less(length, self.low), pc.greater(length, self.high))
        return _filled(pc.or_(wrong, pc.match_substring_regex(column, CONTROL)))

    def why(self) -> str:
        """The reason as told to a person."""
        empty = "empty, " if self.low else ""
        return f"{self.column} is {empty}longer than {self.high} characters or holds a control character"


@dataclass(frozen=True)
class InSet(Rule):
    """The value is one of `values`."""

    values: Sequence[Any] = ()

    @property
    def name(self) -> str:
        """Name of the expectation."""
        return "expect_column_values_to_be_in_set"

    def arguments(self) -> dict[str, Any]:
        """The set."""
        return {"value_set": list(self.values)}

    def broken(self, table: pa.Table) -> Column:
        """True where the value is another one."""
        column = table[self.column]
        known = pc.is_in(column, value_set=pa.array(list(self.values), column.type))
        return pc.and_(pc.is_valid(column), pc.invert(known))


@dataclass(frozen=True)
class JsonText(Rule):
    """The text is JSON."""

    @property
    def name(self) -> str:
        """Name of the expectation."""
        return "expect_column_values_to_be_json_parseable"

    def broken(self, table: pa.Table) -> Column:
        """True where Python's parser refuses the text."""
        column = table[self.column]
        return pa.chunked_array([[not _is_json(text) for text in column.to_pylist()]], pa.bool_())


def _is_json(text: str | None) -> bool:
    if text is None:
        return True
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


@dataclass(frozen=True)
class Holds(Rule):
    """A condition over several columns, named `label`: `condition(table)` is true, or null where it says nothing."""

    label: str = ""
    condition: Callable[[pa.Table], Any] = lambda table: table

    @property
    def frame_column(self) -> str:
        """The condition's own column."""
        return self.label

    @property
    def name(self) -> str:
        """Name of the expectation: the condition is a column of truth values, which must be in {true}."""
        return "expect_column_values_to_be_in_set"

    def arguments(self) -> dict[str, Any]:
        """Only truth is in the set."""
        return {"value_set": [True]}

    def broken(self, table: pa.Table) -> Column:
        """True where the condition is false."""
        return _filled(pc.invert(self.condition(table)))

    def frame_values(self, table: pa.Table) -> Column:
        """The condition's truth values."""
        return self.condition(table)

    def why(self) -> str:
        """The reason as told to a person."""
        return self.reason or f"not so: {self.label}"

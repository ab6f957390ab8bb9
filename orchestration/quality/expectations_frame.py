"""Great Expectations on data frames of bounded size: which rows it finds unexpected, rule by rule."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.quality.expectations_rules import Rule, rows_where

EVIDENCE_ROWS = 16_384
_EVIDENCE_BYTES = 64 << 20
_FLAGGED_ROWS = EVIDENCE_ROWS // 2
# Great Expectations keeps the current context in a module-level variable.
_ONE_AT_A_TIME = Lock()


class Evidence:
    """Rows kept from a stream of batches: those that broke a rule, up to half, and an even spread of the others.

    Bounded in rows and in bytes whatever is added: when full, every second of the others is dropped and from then on
    only every second (fourth, ...) is taken.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = list(columns)
        self._flagged: list[pa.Table] = []
        self._others: list[pa.Table] = []
        self._stride = 1
        self._passed = 0

    def add(self, batch: pa.Table, bad: pa.ChunkedArray, count: int) -> None:
        """Take from a batch; `bad` marks the `count` rows that broke a rule."""
        batch = batch.select(self._columns)
        room = _FLAGGED_ROWS - _rows(self._flagged)
        if count and room > 0 and _bytes(self._flagged) < _EVIDENCE_BYTES:
            self._flagged.append(batch.take(pa.array(rows_where(bad)[:room])))
        others = rows_where(pc.invert(bad))
        first = -self._passed % self._stride
        self._passed += len(others)
        self._others.append(batch.take(pa.array(others[first :: self._stride])))
        while self._is_full():
            joined = pa.concat_tables(self._others)
            self._others = [joined.take(pa.array(range(0, joined.num_rows, 2), pa.int64()))]
            self._stride *= 2

    def _is_full(self) -> bool:
        others = _rows(self._others)
        return others + _rows(self._flagged) > EVIDENCE_ROWS or (
            others > 1 and _bytes(self._others) > _EVIDENCE_BYTES
        )

    def table(self) -> tuple[pa.Table, np.ndarray]:
        """The rows kept, and for each whether it broke a rule."""
        parts = [*self._flagged, *self._others]
        if not parts:
            return pa.table({}), np.zeros(0, bool)
        flagged = _rows(self._flagged)
        table = pa.concat_tables(parts).combine_chunks()
        return table, np.arange(table.num_rows) < flagged


def _rows(parts: list[pa.Table]) -> int:
    return sum(part.num_rows for part in parts)


def _bytes(parts: list[pa.Table]) -> int:
    return sum(part.nbytes for part in parts)


@dataclass(frozen=True)
class Seen:
    """What Great Expectations found for one rule: the numbers of unexpected rows, or why it could not tell."""

    rows: list[int] = field(default_factory=list)
    failure: str = ""


def judge(evidence: pa.Table, rules: Sequence[Rule]) -> list[Seen]:
    """Validate `evidence` (at most `EVIDENCE_ROWS` rows) against `rules`; one answer a rule, in their order."""
    if not evidence.num_rows or not rules:
        return [Seen() for _ in rules]
    if evidence.num_rows > EVIDENCE_ROWS:
        raise ValueError(f"{evidence.num_rows} rows are too many for one data frame")
    frame = pa.table({rule.frame_column: rule.frame_values(evidence) for rule in rules}).to_pandas()
    with _ONE_AT_A_TIME:
        outcome = _validate(frame, rules)
    answers: dict[int, Seen] = {}
    for result in outcome.results:
        number = int(result.expectation_config.meta["rule"])
        answers[number] = _seen(result)
    return [
        answers.get(number, Seen(failure="Great Expectations gave no answer")) for number in range(len(rules))
    ]


def _validate(frame: Any, rules: Sequence[Rule]) -> Any:
    import great_expectations as gx
    from great_expectations import expectations

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    suite = gx.ExpectationSuite(name="rows")
    for number, rule in enumerate(rules):
        kind = getattr(expectations, "".join(word.capitalize() for word in rule.name.split("_")))
        suite.add_expectation(kind(column=rule.frame_column, meta={"rule": number}, **rule.arguments()))
    asset = context.data_sources.add_pandas("frames").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    return batch.validate(suite, result_format={"result_format": "COMPLETE"})


def _seen(result: Any) -> Seen:
    known = result.exception_info or {}
    nested = [known, *(value for value in known.values() if isinstance(value, dict))]
    for info in nested:
        if info.get("raised_exception"):
            return Seen(failure=str(info.get("exception_message", "unknown error")).splitlines()[0])
    rows = result.result.get("unexpected_index_list")
    if rows is None:
        return Seen(failure="Great Expectations gave no list of rows")
    return Seen(rows=sorted(int(row) for row in rows))

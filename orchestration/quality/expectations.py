"""Contracts on data: rows of a landing batch against their stream's suite, training tables against theirs.

Great Expectations looks at data frames of bounded size, never through its SQL engine. It costs about 40 ms an
expectation and 65,536 rows, so for every row the same rules run as Arrow masks, and Great Expectations judges the
evidence: the rows that broke a rule and an even spread of the others. Where the two disagree, the check has failed.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.quality.expectations_frame import EVIDENCE_ROWS, Evidence, Seen, judge
from orchestration.quality.expectations_rules import Rule, rows_where
from orchestration.quality.expectations_suites import border_rules, training_rules
from orchestration.sources.schema import ERROR_COLUMN, ROW_COLUMN, STREAMS

REJECTED_SCHEMA = pa.schema([("row_number", pa.int64()), ("reason", pa.string()), ("row", pa.string())])
_REASON_KINDS = 1000


class ContractError(RuntimeError):
    """Great Expectations and the masks disagree, or an expectation could not be evaluated: a fault of the program."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one expectation. `observed` counts the rows that break it."""

    suite: str
    expectation: str
    column: str
    success: bool
    critical: bool
    observed: float
    detail: str


@dataclass(frozen=True)
class BatchVerdict:
    """What the border lets in: rows in the stream's schema, rows it keeps out with the reason, and the evidence."""

    accepted: pa.Table
    rejected: pa.Table
    results: list[CheckResult]


@dataclass
class Border:
    """The border of one stream for one source file: `split` every batch, then `results` once."""

    stream: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    rows: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Rows by kind of reason; reasons that differ only in a quoted value are of one kind."""
    examples: dict[str, str] = field(default_factory=dict)
    """The first reason of each kind, as it was told."""

    def __post_init__(self) -> None:
        self._rules = border_rules(self.stream, self.now)
        self._broken = [0] * len(self._rules)
        columns = list(STREAMS[self.stream].names)
        self._evidence = Evidence(columns)

    @property
    def suite(self) -> str:
        """Name under which the results are kept."""
        return f"border.{self.stream}"

    def split(self, batch: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Part a reader's batch into accepted rows (schema of the stream) and rejected ones (`REJECTED_SCHEMA`).

        Raises ValueError when the batch has not the columns and types of the stream.
        """
        schema = STREAMS[self.stream]
        data = batch.select(schema.names)
        if data.schema.types != schema.types:
            raise ValueError(f"a batch of {self.stream} has the schema {data.schema}")
        masks = [rule.broken(data) for rule in self._rules]
        unread = pc.is_valid(batch[ERROR_COLUMN])
        bad = unread
        for number, mask in enumerate(masks):
            self._broken[number] += pc.sum(mask).as_py() or 0
            bad = pc.or_(bad, mask)
        self.rows += data.num_rows
        count = pc.sum(bad).as_py() or 0
        self._evidence.add(data, bad, count)
        if not count:
            return data.cast(schema), REJECTED_SCHEMA.empty_table()
        self.rejected += count
        where = pa.array(rows_where(bad))
        reasons = self._reasons(batch[ERROR_COLUMN].take(where), [mask.take(where) for mask in masks])
        rejected = pa.table(
            [batch[ROW_COLUMN].take(where), pa.array(reasons, pa.string()), _as_json(data.take(where))],
            schema=REJECTED_SCHEMA,
        )
        return data.filter(pc.invert(bad)).cast(schema), rejected

    def _reasons(self, errors: pa.ChunkedArray, masks: list[pa.ChunkedArray]) -> list[str]:
        told: list[list[str]] = [[] if error is None else [error] for error in errors.to_pylist()]
        unread = [bool(reasons) for reasons in told]
        for rule, mask in zip(self._rules, masks, strict=True):
            for row in rows_where(mask).tolist():
                # A cell that could not be read is null; that it is missing would be a second, wrong reason.
                if not unread[row]:
                    told[row].append(rule.why())
        for reasons, is_quote in zip(told, unread, strict=True):
            for reason in reasons:
                kind = _kind(reason) if is_quote else reason
                if kind in self.reasons or len(self.reasons) < _REASON_KINDS:
                    self.reasons[kind] += 1
                    self.examples.setdefault(kind, reason)
        return ["; ".join(reasons) for reasons in told]

    def commonest(self, count: int = 3) -> str:
        """The commonest reasons, each with an example's values and its number of rows, for one line of text."""
        return "; ".join(
            f"{self.examples[kind]} ({rows:,} rows)" for kind, rows in self.reasons.most_common(count)
        )

    def results(self) -> list[CheckResult]:
        """Let Great Expectations judge the evidence; one result a rule, and one for the accepted rows.

        A rule that rows break is not critical, those rows are in quarantine. That what was accepted meets the whole
        suite is critical. Raises ContractError when Great Expectations and the masks disagree.
        """
        evidence, bad = self._evidence.table()
        found = judge(evidence, self._rules)
        accepted = set(np.flatnonzero(~bad).tolist())
        results = []
        leaked = 0
        for rule, count, seen in zip(self._rules, self._broken, found, strict=True):
            fault = _fault(rule, evidence, seen)
            if fault:
                raise ContractError(f"{self.suite}: {rule.name} on {rule.frame_column}: {fault}")
            leaked += len(accepted & set(seen.rows))
            text = f"{count:,} of {self.rows:,} rows in quarantine: {rule.why()}" if count else ""
            results.append(_result(self.suite, rule, not count, False, count, text))
        checked = f"{len(accepted):,} of {self.rows - self.rejected:,} accepted rows checked"
        results.append(
            CheckResult(
                self.suite, "accepted_rows_meet_the_suite", "*", not leaked, True, float(leaked), checked
            )
        )
        return results


def _result(suite: str, rule: Rule, success: bool, critical: bool, count: float, detail: str) -> CheckResult:
    return CheckResult(suite, rule.name, rule.frame_column, success, critical, float(count), detail)


def _kind(reason: str) -> str:
    """A reader's reason without the values it quotes, so that equal mistakes are counted together."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|\d+", "...", reason)[:200]


def _as_json(rows: pa.Table) -> pa.Array:
    plain = pa.table(
        {
            # As text in Arrow: a damaged time may lie outside of what Python can hold.
            name: pc.cast(rows[name], pa.string()) if pa.types.is_timestamp(rows[name].type) else rows[name]
            for name in rows.column_names
        }
    )
    texts = [json.dumps(_finite(row), ensure_ascii=False, allow_nan=False) for row in plain.to_pylist()]
    return pa.array(texts, pa.string())


def _finite(row: dict[str, object]) -> dict[str, object]:
    """JSON has no infinities: told as text."""
    return {
        name: str(value) if isinstance(value, float) and not isfinite(value) else value
        for name, value in row.items()
    }


def _fault(rule: Rule, evidence: pa.Table, seen: Seen) -> str:
    """Why the answer of Great Expectations cannot stand; empty when it agrees with the mask."""
    if seen.failure:
        return f"could not be evaluated: {seen.failure}"
    expected = rows_where(rule.broken(evidence)).tolist() if evidence.num_rows else []
    if seen.rows != expected:
        return f"Great Expectations finds {len(seen.rows)} rows, the mask {len(expected)}"
    return ""


def check_batch(stream: str, batch: pa.Table, now: datetime | None = None) -> BatchVerdict:
    """Hold one reader's batch (columns of `stream`, `_row`, `_error`) against the stream's suite.

    Raises KeyError for an unknown stream, ValueError for a wrong schema, ContractError for a fault of the checks.
    """
    border = Border(stream, now) if now else Border(stream)
    accepted, rejected = border.split(batch)
    return BatchVerdict(accepted, rejected, border.results())


def check_training_table(name: str, table: pa.Table, now: datetime | None = None) -> list[CheckResult]:
    """Hold a training table (`interactions`, `posts`, `users`, `user_sequences`, `corpus_documents`) against its suite.

    Every rule runs over every row; Great Expectations judges the evidence. A missing column, an empty table and an
    expectation that cannot be evaluated are failed critical results, not errors. Raises KeyError for an unknown table.
    """
    suite = f"training.{name}"
    rules = training_rules(name, now or datetime.now(UTC))
    size = "expect_table_row_count_to_be_between"
    results = [
        CheckResult(
            suite, size, "*", table.num_rows > 0, True, float(table.num_rows), f"{table.num_rows:,} rows"
        )
    ]
    usable, masks, bad = [], [], pa.chunked_array([pa.repeat(pa.scalar(False), table.num_rows)])
    for rule in rules:
        try:
            mask = rule.broken(table)
        except (KeyError, pa.ArrowException) as error:
            detail = f"could not be evaluated: {str(error).splitlines()[0]}"
            results.append(_result(suite, rule, False, rule.critical, float("nan"), detail))
            continue
        usable.append(rule)
        masks.append(mask)
        bad = pc.or_(bad, mask)
    evidence = Evidence(table.column_names)
    for start in range(0, table.num_rows, EVIDENCE_ROWS):
        part = bad.slice(start, EVIDENCE_ROWS)
        evidence.add(table.slice(start, EVIDENCE_ROWS), part, pc.sum(part).as_py() or 0)
    sample, _ = evidence.table()
    for rule, mask, seen in zip(usable, masks, judge(sample, usable), strict=True):
        fault = _fault(rule, sample, seen)
        if fault:
            results.append(_result(suite, rule, False, rule.critical, float("nan"), fault))
            continue
        count = pc.sum(mask).as_py() or 0
        success = count <= (1 - rule.mostly) * table.num_rows
        text = f"{count:,} of {table.num_rows:,} rows: {rule.why()}" if count else ""
        results.append(_result(suite, rule, success, rule.critical, count, text))
    return results

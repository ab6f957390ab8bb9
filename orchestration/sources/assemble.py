"""Puts a reader's columns together: canonical types, derived values where absent, reasons of errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.sources.coerce import Errors, coerce, from_python
from orchestration.sources.identity import derive_event_id
from orchestration.sources.schema import ERROR_COLUMN, ROW_COLUMN, STREAMS, batch_schema
from training.languages import detect_languages


def _fill(stream: str, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Derive `event_id` and detect `lang` where they are null."""
    if stream == "events" and batch.column("event_id").null_count:
        return _set(batch, "event_id", derive_event_id(batch))
    if stream == "posts" and batch.column("lang").null_count:
        wanting = pc.if_else(
            pc.is_null(batch.column("lang")), batch.column("text"), pa.scalar(None, pa.string())
        )
        return _set(batch, "lang", detect_languages(wanting))
    return batch


def _set(batch: pa.RecordBatch, name: str, derived: pa.Array) -> pa.RecordBatch:
    index = batch.schema.get_field_index(name)
    return batch.set_column(index, batch.schema.field(index), pc.coalesce(batch.column(index), derived))


def assemble(
    stream: str, columns: Mapping[str, pa.Array | Sequence[Any]], rows: pa.Array, errors: Errors | None = None
) -> pa.RecordBatch:
    """Return a batch of `stream` from whatever columns a file had, as Arrow arrays or lists of Python values.

    Columns that the stream does not know are left out, those that are absent become null. `rows` (int64) are the
    records' numbers in the file; `errors` are the reasons, by index in the batch, of records that could not be read at
    all. A row's reasons are joined with `; `.
    """
    found: dict[int, list[str]] = {index: [reason] for index, reason in (errors or {}).items()}
    arrays = []
    for field in STREAMS[stream]:
        column = columns.get(field.name)
        if column is None:
            arrays.append(pa.nulls(len(rows), field.type))
            continue
        typed, wrong = (
            coerce(column, field) if isinstance(column, pa.Array) else from_python(list(column), field)
        )
        arrays.append(typed)
        for index, reason in wrong.items():
            found.setdefault(index, []).append(reason)
    reasons: list[str | None] = [None] * len(rows)
    for index, parts in found.items():
        reasons[index] = "; ".join(parts)
    batch = pa.RecordBatch.from_arrays(
        [*arrays, rows.cast(pa.int64()), pa.array(reasons, pa.string())],
        schema=batch_schema(stream),
    )
    assert batch.schema.names[-2:] == [ROW_COLUMN, ERROR_COLUMN]
    return _fill(stream, batch)

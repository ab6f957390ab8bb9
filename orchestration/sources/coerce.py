"""Foreign columns to canonical types, a column at a time, with a reason for every cell that could not be read.

The fast path is one Arrow cast; only a column that the cast refuses is looked at cell by cell.
"""

import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.sources.schema import TIMESTAMP

Errors = dict[int, str]
"""Index of a row in its batch to why a cell of it could not be read."""

_ARROW_ERRORS = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)
# A number is an epoch in the largest unit that keeps it before the year 5138.
_EPOCH_UNITS = ((10**11, 10**6), (10**14, 10**3), (10**17, 1))
_NUMBER = r"^\s*[+-]?\d+(\.\d+)?\s*$"
_ZONE = r"(Z|z|[+-]\d{2}(:?\d{2})?)\s*$"
_HAS_TIME = r"\d[T ]\d{2}"


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _cell_by_cell(
    values: list[Any], parse: Callable[[Any], Any], field: pa.Field, wanted: str
) -> tuple[pa.Array, Errors]:
    errors: Errors = {}
    parsed = []
    for index, value in enumerate(values):
        cell = None
        if value is not None:
            try:
                cell = parse(value)
            except (ValueError, TypeError, OverflowError):
                errors[index] = f"{field.name}: {_quote(value)} is not {wanted}"
        parsed.append(cell)
    return pa.array(parsed, field.type), errors


def _parse_string(value: Any) -> str:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError
        return str(int(value))
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str | int):
        return str(value)
    raise TypeError


def _parse_float(value: Any) -> float | None:
    if isinstance(value, bool):
        raise ValueError
    number = float(value)
    if math.isinf(number):
        raise ValueError
    return None if math.isnan(number) else number


def _parse_int(value: Any) -> int | None:
    number = _parse_float(value)
    if number is None:
        return None
    if not number.is_integer():
        raise ValueError
    whole = int(value) if isinstance(value, int) else int(number)
    if not -(2**63) <= whole < 2**63:
        raise ValueError
    return whole


def _epoch_microseconds(number: float) -> int:
    for limit, factor in _EPOCH_UNITS:
        if abs(number) < limit:
            return round(number * factor)
    return round(number / 1000)


def _parse_timestamp(value: Any) -> int | datetime:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError
        return _epoch_microseconds(value)
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime(value.year, value.month, value.day)
    else:
        text = value.strip()
        try:
            return _epoch_microseconds(float(text))
        except ValueError:
            moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _parse_topics(value: Any) -> list[str]:
    if isinstance(value, str):
        text = value.strip()
        value = json.loads(text) if text.startswith("[") else text.split("|")
    if not isinstance(value, list | tuple):
        raise TypeError
    topics = [_parse_string(topic).strip() for topic in value if topic is not None]
    return list(dict.fromkeys(topic for topic in topics if topic))


def _parse_json(value: Any) -> str:
    if isinstance(value, str):
        json.loads(value)
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def _string(array: pa.Array, field: pa.Field) -> tuple[pa.Array, Errors]:
    kind = array.type
    errors: Errors = {}
    if pa.types.is_dictionary(kind):
        return _string(array.dictionary_decode(), field)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind):
        text = array.cast(pa.string())
    else:
        text, errors = _cell_by_cell(array.to_pylist(), _parse_string, field, "text or a whole number")
    if field.name == "text":
        return text, errors
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text), errors


def _number(array: pa.Array, field: pa.Field) -> tuple[pa.Array, Errors]:
    whole = pa.types.is_integer(field.type)
    if pa.types.is_string(array.type):
        array = pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
    if not pa.types.is_boolean(array.type):
        try:
            typed = array.cast(field.type)
        except _ARROW_ERRORS:
            typed = None
        if typed is not None and (whole or not pc.any(pc.invert(pc.is_finite(typed))).as_py()):
            return typed, {}
    parse, wanted = (_parse_int, "a whole number") if whole else (_parse_float, "a finite number")
    return _cell_by_cell(array.to_pylist(), parse, field, wanted)


def _cast_strings_to_timestamps(array: pa.Array) -> pa.Array | None:
    """ISO 8601 strings of one shape, all with a zone or all without (then UTC); None where Arrow refuses them."""
    has_zone = pc.and_(pc.match_substring_regex(array, _HAS_TIME), pc.match_substring_regex(array, _ZONE))
    try:
        if pc.all(has_zone).as_py() is not False:
            return array.cast(TIMESTAMP)
        if pc.any(has_zone).as_py():
            return None
        return array.cast(pa.timestamp("us")).cast(TIMESTAMP)
    except _ARROW_ERRORS:
        return None


def _timestamp(array: pa.Array, field: pa.Field) -> tuple[pa.Array, Errors]:
    kind = array.type
    wanted = "a time (ISO 8601, or seconds or milliseconds since 1970)"
    if pa.types.is_dictionary(kind):
        return _timestamp(array.dictionary_decode(), field)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        # Sub-microsecond digits are cut; a time without a zone is UTC.
        return array.cast(pa.timestamp("us", tz=getattr(kind, "tz", None)), safe=False).cast(TIMESTAMP), {}
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        array = array.cast(pa.string())
        array = pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
        if not pc.any(pc.match_substring_regex(array, _NUMBER)).as_py():
            typed = _cast_strings_to_timestamps(array)
            if typed is not None:
                return typed, {}
    return _cell_by_cell(array.to_pylist(), _parse_timestamp, field, wanted)


def coerce(array: pa.Array, field: pa.Field) -> tuple[pa.Array, Errors]:
    """Return `array` in the type of the canonical column `field`, null where a cell could not be read, and why.

    Empty strings are nulls except in `text`; NaN is null; infinities, fractions of a whole number and truth values for
    numbers or ids are errors.
    """
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), field.type), {}
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_list(field.type):
        values = [None if value == "" else value for value in array.to_pylist()]
        return _cell_by_cell(values, _parse_topics, field, "a list of topics")
    if field.name == "attributes":
        values = [None if value == "" else value for value in array.to_pylist()]
        return _cell_by_cell(values, _parse_json, field, "JSON")
    if pa.types.is_timestamp(field.type):
        return _timestamp(array, field)
    if pa.types.is_string(field.type):
        return _string(array, field)
    return _number(array, field)


def from_python(values: list[Any], field: pa.Field) -> tuple[pa.Array, Errors]:
    """The same for cells that JSON gave, which may be of several types in one column."""
    if field.name != "text":
        values = [None if value == "" else value for value in values]
    if field.name == "attributes":
        return _cell_by_cell(values, _parse_json, field, "JSON")
    if pa.types.is_list(field.type):
        return _cell_by_cell(values, _parse_topics, field, "a list of topics")
    try:
        array = pa.array(values)
    except (*_ARROW_ERRORS, OverflowError):
        parsers: dict[str, tuple[Callable[[Any], Any], str]] = {
            "string": (_parse_string, "text or a whole number"),
            "double": (_parse_float, "a finite number"),
            "int64": (_parse_int, "a whole number"),
        }
        parse, wanted = parsers.get(str(field.type), (_parse_timestamp, "a time"))
        return _cell_by_cell(values, parse, field, wanted)
    return coerce(array, field)

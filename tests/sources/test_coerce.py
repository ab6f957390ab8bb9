from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from orchestration.sources.coerce import coerce, from_python
from orchestration.sources.schema import STREAMS

MOMENT = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
TIMES = [
    "2026-01-05T08:30:00Z",
    "2026-01-05T08:30:00",
    "2026-01-05 08:30:00",
    "2026-01-05T08:30",
    "2026-01-05T16:30:00+08:00",
    "2026-01-05T16:30:00+0800",
    "2026-01-05T08:30:00.000Z",
    "2026-01-05T08:30:00.000000000Z",
    1767601800,
    1767601800000,
    1767601800.0,
    "1767601800",
    "1767601800000",
    " 2026-01-05T08:30:00Z ",
]
BAD_TIMES = ["yesterday", "2026-13-01", "", "05/01/2026", True, "2026-01-05T25:00:00Z"]


def field(stream: str, name: str) -> pa.Field:
    return STREAMS[stream].field(name)


@pytest.mark.parametrize("value", TIMES)
def test_a_time_may_be_iso_8601_with_or_without_zone_or_an_epoch(value):
    typed, errors = from_python([value], field("events", "occurred_at"))
    assert typed.to_pylist() == [MOMENT]
    assert errors == {}


def test_times_of_all_kinds_may_stand_in_one_column():
    typed, errors = from_python([*TIMES, None], field("events", "occurred_at"))
    assert typed.to_pylist() == [MOMENT] * len(TIMES) + [None]
    assert errors == {}


@pytest.mark.parametrize("value", BAD_TIMES)
def test_what_is_no_time_is_said_and_spoils_no_other_row(value):
    typed, errors = from_python([TIMES[0], value, TIMES[1]], field("events", "occurred_at"))
    assert typed.to_pylist() == [MOMENT, None, MOMENT]
    assert set(errors) == (set() if value == "" else {1})
    assert all("occurred_at" in reason for reason in errors.values())


@pytest.mark.parametrize(
    "array",
    [
        pa.array([datetime(2026, 1, 5, 8, 30)], pa.timestamp("s")),
        pa.array([datetime(2026, 1, 5, 8, 30)], pa.timestamp("ns")),
        pa.array([datetime(2026, 1, 5, 8, 30, tzinfo=UTC)], pa.timestamp("ms", "Asia/Shanghai")),
        pa.array([1767601800], pa.int32()),
        pa.array(["2026-01-05T08:30:00Z"]).dictionary_encode(),
        pa.array(["2026-01-05T08:30:00Z"], pa.large_string()),
    ],
)
def test_arrow_times_of_any_unit_and_zone_become_utc(array):
    typed, errors = coerce(array, field("events", "occurred_at"))
    assert typed.to_pylist() == [MOMENT]
    assert errors == {}


def test_a_date_is_its_midnight():
    typed, _ = coerce(pa.array([date(2026, 1, 5)]), field("events", "occurred_at"))
    assert typed.to_pylist() == [datetime(2026, 1, 5, tzinfo=UTC)]


def test_numbers_may_be_ids_and_fractions_may_not():
    typed, errors = from_python([1, "1", 2.0, 2.5, True, None, ""], field("events", "user_id"))
    assert typed.to_pylist() == ["1", "1", "2", None, None, None, None]
    assert set(errors) == {3, 4}


def test_an_empty_text_is_a_text_and_an_empty_id_is_none():
    assert coerce(pa.array([""]), field("posts", "text"))[0].to_pylist() == [""]
    assert coerce(pa.array([""]), field("posts", "post_id"))[0].to_pylist() == [None]


@pytest.mark.parametrize(("values", "wanted", "bad"), [
    ([1, 2.5, None], [1.0, 2.5, None], set()),
    (["1", "2.5", "", "x"], [1.0, 2.5, None, None], {3}),
    ([float("nan"), float("inf"), 1.0], [None, None, 1.0], {1}),
    ([True, 1.0], [None, 1.0], {0}),
])  # fmt: skip
def test_doubles(values, wanted, bad):
    typed, errors = from_python(values, field("events", "value"))
    assert typed.to_pylist() == wanted
    assert set(errors) == bad


@pytest.mark.parametrize(("values", "wanted", "bad"), [
    ([1, 2, None], [1, 2, None], set()),
    ([1.0, 2.5, None], [1, None, None], {1}),
    (["3", "3.0", "3.5", "x", ""], [3, 3, None, None, None], {2, 3}),
    ([2**70, 1], [None, 1], {0}),
])  # fmt: skip
def test_whole_numbers(values, wanted, bad):
    typed, errors = from_python(values, field("events", "position"))
    assert typed.to_pylist() == wanted
    assert set(errors) == bad


@pytest.mark.parametrize(("value", "wanted"), [
    (["a", "b"], ["a", "b"]),
    ('["a", "b"]', ["a", "b"]),
    ("a|b", ["a", "b"]),
    (" a | b |", ["a", "b"]),
    ("a", ["a"]),
    (["a", "a", "", None], ["a"]),
    ([1, 2], ["1", "2"]),
    ("", None),
    (None, None),
])  # fmt: skip
def test_topics_may_be_a_list_or_a_string(value, wanted):
    typed, errors = from_python([value], field("posts", "topics"))
    assert typed.to_pylist() == [wanted]
    assert errors == {}


@pytest.mark.parametrize("value", ["[broken", {"a": 1}, 3, [["nested"]]])
def test_what_is_no_list_of_topics_is_said(value):
    typed, errors = from_python([value], field("posts", "topics"))
    assert typed.to_pylist() == [None]
    assert set(errors) == {0}


def test_attributes_are_json_given_as_text_or_as_an_object():
    typed, errors = from_python(['{"a": 1}', {"b": "é"}, "{broken", None], field("users", "attributes"))
    assert typed.to_pylist() == ['{"a": 1}', '{"b": "é"}', None, None]
    assert set(errors) == {2}


def test_decimals_are_numbers():
    assert coerce(pa.array([Decimal("1.50")]), field("events", "value"))[0].to_pylist() == [1.5]

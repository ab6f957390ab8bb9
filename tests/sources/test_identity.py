import pyarrow as pa
import pytest

from orchestration.sources.assemble import assemble
from orchestration.sources.identity import derive_event_id
from orchestration.sources.schema import STREAMS

EVENT = {
    "occurred_at": "2026-01-05T08:00:00Z",
    "user_id": "u1",
    "post_id": "p1",
    "action": "like",
    "value": 1.5,
}
CHANGES = {
    "occurred_at": "2026-01-05T08:00:00.000001Z",
    "user_id": "u2",
    "post_id": "p2",
    "action": "view",
    "value": 1.25,
    "session_id": "s",
    "surface": "s",
    "position": 0,
    "request_id": "s",
    "model_version": "s",
    "propensity": 0.5,
}


def ids(*events: dict) -> list[str]:
    columns = {name: [event.get(name) for event in events] for name in STREAMS["events"].names}
    return assemble("events", columns, pa.array(range(1, len(events) + 1))).column("event_id").to_pylist()


def test_the_id_of_a_row_does_not_change_from_release_to_release():
    assert ids(EVENT) == ["41eacfa6bc324d1081c5fbff8230e66a"]


@pytest.mark.parametrize("column", CHANGES)
def test_every_column_counts(column):
    first, second = ids(EVENT, EVENT | {column: CHANGES[column]})
    assert first != second


def test_equal_rows_have_equal_ids_wherever_they_stand():
    assert ids(EVENT, EVENT | {"user_id": "u2"}, EVENT)[0] == ids(EVENT | {"user_id": "u3"}, EVENT)[1]


def test_the_same_word_in_another_column_is_another_row():
    first, second = ids(EVENT | {"surface": "x"}, EVENT | {"session_id": "x"})
    assert first != second


def test_a_given_id_is_kept():
    assert ids(EVENT | {"event_id": "mine"}, EVENT)[0] == "mine"


def test_a_row_of_nulls_has_an_id_and_keeps_its_place():
    nothing = dict.fromkeys(EVENT)
    assert len(set(ids(EVENT, nothing, EVENT | {"user_id": "u2"}))) == 3


def test_zero_and_minus_zero_are_one_value():
    first, second = ids(EVENT | {"value": 0.0}, EVENT | {"value": -0.0})
    assert first == second


def test_a_slice_of_a_batch_gives_the_ids_of_its_rows():
    columns = {
        name: [event.get(name) for event in (EVENT, CHANGES, EVENT)] for name in STREAMS["events"].names
    }
    batch = assemble("events", columns, pa.array([1, 2, 3]))
    assert derive_event_id(batch.slice(1)).to_pylist() == derive_event_id(batch).to_pylist()[1:]

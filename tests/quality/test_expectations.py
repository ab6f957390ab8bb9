import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from orchestration.quality import expectations
from orchestration.quality.expectations import (
    Border,
    CheckResult,
    ContractError,
    check_batch,
    check_training_table,
)
from orchestration.quality.expectations_frame import EVIDENCE_ROWS, Evidence, Seen, judge
from orchestration.quality.expectations_rules import NotNull, rows_where
from orchestration.quality.expectations_suites import border_rules, training_rules
from orchestration.sources.schema import ACTIONS, ERROR_COLUMN, ROW_COLUMN, STREAMS, batch_schema

NOW = datetime(2026, 6, 1, tzinfo=UTC)
THEN = datetime(2026, 5, 1, tzinfo=UTC)

GOOD: dict[str, dict[str, Any]] = {
    "events": {"event_id": "e", "occurred_at": THEN, "user_id": "u", "post_id": "p", "action": "like"},
    "posts": {"post_id": "p", "created_at": THEN, "text": "你好 hello", "lang": "zh-CN", "topics": ["a"]},
    "users": {"user_id": "u", "joined_at": THEN, "attributes": '{"age": 3}', "language": "en"},
    "follows": {"follower_id": "u", "followee_id": "v"},
    "feedback": {"request_id": "r", "occurred_at": THEN, "rating": 1, "prompt": "", "response": "x"},
    "generations": {"request_id": "r", "choice": 0, "occurred_at": THEN, "prompt": "今天", "response": "x"},
}
LONG = "x" * 513
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("events", {"occurred_at": None}, "occurred_at is missing"),
    ("events", {"user_id": None}, "user_id is missing"),
    ("events", {"event_id": None}, "event_id is missing"),
    ("events", {"action": "dance"}, "action is none of impression"),
    ("events", {"user_id": ""}, "user_id is empty"),
    ("events", {"post_id": LONG}, "post_id is empty, longer than 512 characters"),
    ("events", {"post_id": "a\nb"}, "holds a control character"),
    ("events", {"session_id": "a\x00b"}, "session_id is longer than 512"),
    (
        "events",
        {"occurred_at": NOW + timedelta(days=2)},
        "occurred_at lies before 1990-01-01 or in the future",
    ),
    ("events", {"occurred_at": datetime(1970, 1, 1, tzinfo=UTC)}, "occurred_at lies before"),
    ("events", {"value": -0.5}, "value is negative"),
    ("events", {"value": float("nan")}, "value is not a finite number"),
    ("events", {"value": float("inf")}, "value is not a finite number"),
    ("events", {"position": -1}, "position is negative"),
    ("events", {"propensity": 0.0}, "propensity is not above 0 and at most 1"),
    ("events", {"propensity": 1.5}, "propensity is not above 0 and at most 1"),
    ("posts", {"created_at": None}, "created_at is missing"),
    ("posts", {"deleted_at": NOW + timedelta(days=2)}, "deleted_at lies before 1990-01-01 or in the future"),
    ("posts", {"reply_to": "p"}, "reply_to names the post itself"),
    ("posts", {"text": "a\x00b"}, "text holds a NUL character"),
    ("posts", {"text": "长" * 1_000_001}, "text is longer than 1000000 characters"),
    ("posts", {"lang": "chinese language"}, "lang is no language tag"),
    ("posts", {"topics": ["a", None]}, "topics holds an empty or damaged name"),
    ("posts", {"topics": ["a", " "]}, "topics holds an empty or damaged name"),
    ("posts", {"url": "http://a\x07"}, "url holds a control character"),
    ("users", {"user_id": None}, "user_id is missing"),
    ("users", {"attributes": "{"}, "attributes is not JSON"),
    ("users", {"language": "?"}, "language is no language tag"),
    ("follows", {"followee_id": None}, "followee_id is missing"),
    ("follows", {"followee_id": "u"}, "a user follows themselves"),
    ("feedback", {"rating": 5}, "rating is none of -1, 0, 1"),
    ("feedback", {"request_id": None}, "request_id is missing"),
    ("feedback", {"choice": -1}, "choice is negative"),
    ("generations", {"choice": None}, "choice is missing"),
    ("generations", {"finish_reason": "tired"}, "finish_reason is none of stop, length"),
]
FINE: list[tuple[str, dict[str, Any]]] = [
    ("events", {"value": 0.0, "position": 0, "surface": "", "propensity": 1.0}),
    ("events", {"user_id": "用户 1", "occurred_at": NOW + timedelta(hours=23)}),
    ("posts", {"topics": [], "text": "", "reply_to": "q", "lang": None}),
    ("posts", {"text": "line\nline\ttab 😀", "lang": "yue"}),
    ("users", {"attributes": None, "joined_at": None}),
    ("feedback", {"rating": None, "user_id": None}),
]


def _batch(stream: str, rows: list[dict[str, Any]]) -> pa.Table:
    numbered = [
        {ROW_COLUMN: number, ERROR_COLUMN: None} | GOOD[stream] | row for number, row in enumerate(rows, 1)
    ]
    return pa.Table.from_pylist(numbered, schema=batch_schema(stream))


@pytest.mark.parametrize("stream", list(STREAMS))
def test_each_kind_of_bad_row_is_refused_with_its_reason_and_every_other_row_is_kept(stream: str) -> None:
    bad = [(change, reason) for name, change, reason in BAD if name == stream]
    fine = [{}, *(change for name, change in FINE if name == stream)]
    batch = _batch(stream, [*(change for change, _ in bad), *fine])
    verdict = check_batch(stream, batch, NOW)
    assert verdict.accepted.schema.equals(STREAMS[stream])
    assert verdict.accepted.num_rows == len(fine)
    refused = verdict.rejected.to_pylist()
    assert [row["row_number"] for row in refused] == list(range(1, len(bad) + 1))
    for row, (_, reason) in zip(refused, bad, strict=True):
        assert reason in row["reason"]
        json.loads(row["row"], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    (whole,) = [result for result in verdict.results if result.critical]
    assert whole.success and whole.expectation == "accepted_rows_meet_the_suite"
    assert {result.suite for result in verdict.results} == {f"border.{stream}"}


def test_a_cell_that_could_not_be_read_is_the_only_reason_told_for_its_row() -> None:
    batch = _batch(
        "events", [{"occurred_at": None, ERROR_COLUMN: "occurred_at: 'soon' is not a time"}, *[{}] * 3]
    )
    (row,) = check_batch("events", batch, NOW).rejected.to_pylist()
    assert row["reason"] == "occurred_at: 'soon' is not a time"


def test_a_row_breaking_several_rules_says_all_of_them() -> None:
    (row,) = check_batch(
        "events", _batch("events", [{"action": "x", "value": -1.0}, {}]), NOW
    ).rejected.to_pylist()
    assert row["reason"].endswith("report; value is negative")


def test_a_time_beyond_what_python_can_hold_is_refused_and_kept_as_text() -> None:
    batch = _batch("events", [{}, {}])
    far = pa.array([253_402_300_800_000_000 * 4, 1_700_000_000_000_000], pa.timestamp("us", tz="UTC"))
    batch = batch.set_column(0, "occurred_at", far)
    verdict = check_batch("events", batch, NOW)
    assert verdict.accepted.num_rows == 1
    assert "lies before 1990-01-01 or in the future" in verdict.rejected["reason"][0].as_py()


def test_the_commonest_reasons_are_counted_whatever_values_they_quote() -> None:
    border = Border("events", NOW)
    rows = [{ERROR_COLUMN: f"value: 'x{number}' is not a number"} for number in range(5)]
    border.split(_batch("events", [*rows, {"action": "dance"}, {}]))
    assert border.commonest(1) == "value: 'x0' is not a number (5 rows)"


def test_an_empty_batch_and_an_all_null_column_are_no_failure() -> None:
    assert check_batch("posts", _batch("posts", []), NOW).accepted.num_rows == 0
    verdict = check_batch("posts", _batch("posts", [{"text": None, "topics": None, "lang": None}] * 3), NOW)
    assert verdict.accepted.num_rows == 3


def test_a_batch_of_another_schema_is_a_fault_of_the_reader() -> None:
    batch = _batch("events", [{}])
    with pytest.raises(ValueError, match="a batch of events has the schema"):
        Border("events").split(batch.set_column(0, "occurred_at", pa.array(["2026-01-01"])))
    with pytest.raises(KeyError):
        Border("likes")


_VALUES = {
    pa.string(): st.one_of(
        st.none(),
        st.sampled_from(["", "a", "u\n", "like", "en", "{}", "x" * 600, "\x00", "人"]),
        st.text(max_size=8),
    ),
    pa.float64(): st.one_of(st.none(), st.floats()),
    pa.int64(): st.one_of(st.none(), st.integers(-3, 3)),
    pa.timestamp("us", tz="UTC"): st.one_of(
        st.none(), st.datetimes(datetime(1980, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
    ),
    pa.list_(pa.string()): st.one_of(
        st.none(), st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=3)
    ),
}


@pytest.mark.parametrize("stream", list(STREAMS))
@examples(max_examples=4, deadline=None)
@given(data=st.data())
def test_great_expectations_and_the_masks_agree_on_any_rows(stream: str, data: st.DataObject) -> None:
    row = st.fixed_dictionaries({field.name: _VALUES[field.type] for field in STREAMS[stream]})
    table = pa.Table.from_pylist(data.draw(st.lists(row, min_size=1, max_size=30)), schema=STREAMS[stream])
    rules = border_rules(stream, NOW)
    for rule, seen in zip(rules, judge(table, rules), strict=True):
        assert seen == Seen(rows_where(rule.broken(table)).tolist()), (
            rule.name,
            rule.frame_column,
        )


def test_a_disagreement_is_an_error_and_not_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NotNull, "broken", lambda self, table: pc.is_null(table["value"]))
    with pytest.raises(ContractError, match="finds 0 rows, the mask 2"):
        check_batch("events", _batch("events", [{}, {}]), NOW)


def test_an_expectation_that_cannot_be_evaluated_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expectations, "judge", lambda table, rules: [Seen(failure="boom") for _ in rules])
    with pytest.raises(ContractError, match="could not be evaluated: boom"):
        check_batch("events", _batch("events", [{}]), NOW)


def test_evidence_is_bounded_holds_bad_rows_and_spreads_over_the_rest() -> None:
    evidence = Evidence(["n"])
    total = 0
    for start in range(0, 500_000, 10_000):
        table = pa.table({"n": np.arange(start, start + 10_000)})
        bad = pa.chunked_array([pc.equal(table["n"].chunk(0), start + 7)])
        evidence.add(table, bad, 1)
        total += 10_000
    kept, flagged = evidence.table()
    assert kept.num_rows <= EVIDENCE_ROWS
    assert kept.filter(pa.array(flagged))["n"].to_pylist() == list(range(7, 500_000, 10_000))
    others = kept.filter(pa.array(~flagged))["n"].to_numpy()
    assert len(others) > EVIDENCE_ROWS // 4
    steps = np.diff(others)
    assert steps.max() <= steps.min() + 1


def test_evidence_is_bounded_in_bytes_too() -> None:
    evidence = Evidence(["text"])
    for _ in range(30):
        table = pa.table({"text": ["x" * 50_000] * 100})
        evidence.add(table, pa.chunked_array([pa.repeat(pa.scalar(False), 100)]), 0)
    kept, _ = evidence.table()
    assert 0 < kept.nbytes <= 64 << 20


def _failed(results: list[CheckResult]) -> set[str]:
    return {result.column for result in results if not result.success}


def _interactions(**change: Any) -> pa.Table:
    row = {
        "event_id": "e",
        "occurred_at": THEN,
        "occurred_on": THEN.date(),
        "user_id": "u",
        "post_id": "p",
        "item_id": "p",
        "action": "like",
        "weight": 1.0,
        "is_positive": True,
        "is_negative": False,
        "is_impression": False,
        "is_own_item": False,
        "position": None,
        "propensity": None,
    }
    schema = pa.schema(
        [
            ("event_id", pa.string()),
            ("occurred_at", pa.timestamp("us", tz="UTC")),
            ("occurred_on", pa.date32()),
        ]
        + [(name, pa.string()) for name in ("user_id", "post_id", "item_id", "action")]
        + [("weight", pa.float64())]
        + [(name, pa.bool_()) for name in ("is_positive", "is_negative", "is_impression", "is_own_item")]
        + [("position", pa.int64()), ("propensity", pa.float64())]
    )
    return pa.Table.from_pylist([row, row | change], schema=schema)


def _posts(**change: Any) -> pa.Table:
    counts = (
        "n_chars",
        "n_hashtags",
        "impressions",
        "views",
        "likes",
        "comments",
        "shares",
        "saves",
        "hides",
    )
    row = {
        "post_id": "p",
        "item_id": "p",
        "is_root": True,
        "created_at": THEN,
        "engagement": 1.0,
        "lang": "en",
    }
    return pa.Table.from_pylist([row | dict.fromkeys((*counts, "reports"), 1) | change])


def _users(**change: Any) -> pa.Table:
    row = {"user_id": "u", "activity": "new", "n_events": 2, "n_positive": 1, "active_days": 1}
    times = {"first_seen_at": THEN, "last_seen_at": THEN}
    return pa.Table.from_pylist([row | times | {f"share_{action}": 0.1 for action in ACTIONS} | change])


def _sequences(**change: Any) -> pa.Table:
    row = {
        "user_id": "u",
        "item_ids": ["a", "b"],
        "actions": ["like", "like"],
        "occurred_at": [THEN, NOW],
        "weights": [1.0, 1.0],
    }
    return pa.Table.from_pylist([row, row | change, row])


def _documents(**change: Any) -> pa.Table:
    text = change.get("text", "写给 @user.cn 的信 <email>")
    row = {"document_id": "d", "text": text, "lang": "zh", "created_at": THEN}
    sizes = {"n_chars": len(text or ""), "n_bytes": len((text or "").encode())}
    return pa.Table.from_pylist([row | sizes | change])


TABLES = {
    "interactions": _interactions,
    "posts": _posts,
    "users": _users,
    "user_sequences": _sequences,
    "corpus_documents": _documents,
}
BROKEN = [
    ("interactions", {"item_id": None}, {"item_id"}),
    ("interactions", {"weight": float("nan")}, {"weight", "weight_is_finite", "positives_weigh_more_than_0"}),
    ("interactions", {"weight": -1.0}, {"positives_weigh_more_than_0"}),
    ("interactions", {"is_positive": False, "is_negative": True}, {"negatives_weigh_less_than_0"}),
    ("interactions", {"action": "impression"}, {"impressions_are_marked"}),
    ("interactions", {"occurred_on": NOW.date()}, {"day_is_that_of_the_time"}),
    ("interactions", {"occurred_at": NOW + timedelta(days=9)}, {"occurred_at", "day_is_that_of_the_time"}),
    ("interactions", {"propensity": 1.5}, {"propensity_is_a_probability"}),
    ("posts", {"likes": -1}, {"likes"}),
    ("posts", {"is_root": False}, {"roots_are_their_own_item"}),
    ("posts", {"lang": None}, {"lang"}),
    ("users", {"user_id": "anonymous"}, {"nobody_is_anonymous"}),
    ("users", {"activity": "lively"}, {"activity"}),
    ("users", {"n_positive": 3}, {"n_positive_is_not_above_n_events"}),
    ("users", {"share_like": 1.5}, {"share_like"}),
    ("users", {"first_seen_at": NOW}, {"first_seen_at_is_not_above_last_seen_at"}),
    ("user_sequences", {"weights": [1.0]}, {"lists_are_equally_long"}),
    (
        "user_sequences",
        {"item_ids": [], "actions": [], "occurred_at": [], "weights": []},
        {"lists_are_equally_long"},
    ),
    ("user_sequences", {"occurred_at": [NOW, THEN]}, {"times_rise"}),
    ("user_sequences", {"actions": None}, {"actions_are_there"}),
    ("corpus_documents", {"text": "write to a.b@example.com"}, {"no_email_in_text"}),
    ("corpus_documents", {"n_bytes": 1}, {"n_bytes_is_the_size"}),
    ("corpus_documents", {"text": ""}, {"text"}),
]


@pytest.mark.parametrize("name", list(TABLES))
def test_a_sound_training_table_passes_its_suite(name: str) -> None:
    results = check_training_table(name, TABLES[name](), NOW)
    assert _failed(results) == set()
    assert {result.suite for result in results} == {f"training.{name}"}
    assert len(results) == len(training_rules(name, NOW)) + 1


@pytest.mark.parametrize("name", list(TABLES))
def test_each_break_of_a_training_table_is_found(name: str) -> None:
    for table, change, expected in BROKEN:
        if table == name:
            assert _failed(check_training_table(name, TABLES[name](**change), NOW)) == expected, change


@pytest.mark.parametrize("name", list(TABLES))
def test_an_empty_training_table_and_a_missing_column_fail_critically(name: str) -> None:
    table = TABLES[name]()
    empty = [result for result in check_training_table(name, table.slice(0, 0), NOW) if not result.success]
    assert [(result.expectation, result.critical) for result in empty] == [
        ("expect_table_row_count_to_be_between", True)
    ]
    first = table.column_names[0]
    lacking = check_training_table(name, table.drop_columns([first]), NOW)
    missing = [result for result in lacking if not result.success]
    assert missing and all("could not be evaluated" in result.detail for result in missing)
    assert any(result.critical for result in missing)


def test_an_expectation_of_a_training_table_that_cannot_be_evaluated_fails_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(expectations, "judge", lambda table, rules: [Seen(failure="boom") for _ in rules])
    results = check_training_table("users", _users(), NOW)
    assert all(not result.success for result in results[1:])


def test_a_rule_with_tolerance_fails_only_beyond_it() -> None:
    many = pa.concat_tables([_posts() for _ in range(19)] + [_posts(lang=None)], promote_options="permissive")
    assert _failed(check_training_table("posts", many, NOW)) == set()
    few = many.slice(15)
    (failed,) = [result for result in check_training_table("posts", few, NOW) if not result.success]
    assert (failed.column, failed.critical, failed.observed) == ("lang", False, 1.0)

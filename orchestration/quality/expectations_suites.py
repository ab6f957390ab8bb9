"""The suites: what a row of each stream must keep at the border, and a row of each training table before training."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.quality.expectations_rules import (
    CONTROL,
    Between,
    Holds,
    Identifier,
    InSet,
    JsonText,
    Length,
    Matches,
    NotNull,
    Rule,
    Without,
)
from orchestration.sources.schema import ACTIONS, ANONYMOUS, REQUIRED

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_CLOCK_SKEW = timedelta(days=1)
_TEXT_LENGTH = 1_000_000
_LANGUAGE = r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*"
_EMAIL = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z]{2,}"
_FINISHES = ("stop", "length")
_ACTIVITIES = ("new", "light", "heavy")


def _optional(column: str) -> Rule:
    return Identifier(column, low=0)


def _time(column: str, now: datetime) -> Rule:
    latest = now + _CLOCK_SKEW
    return Between(
        column, f"{column} lies before {_EARLIEST:%Y-%m-%d} or in the future", low=_EARLIEST, high=latest
    )


def _text(column: str) -> list[Rule]:
    return [
        Length(column, f"{column} is longer than {_TEXT_LENGTH} characters", high=_TEXT_LENGTH),
        Without(column, f"{column} holds a NUL character", regex=r"\x00"),
    ]


def _holds(column: str, label: str, reason: str, condition: Callable[[pa.Table], Any]) -> Rule:
    return Holds(column, reason, label=label, condition=condition)


def _finite(column: str) -> Rule:
    return _holds(
        column,
        f"{column}_is_finite",
        f"{column} is not a finite number",
        lambda table: pc.is_finite(table[column]),
    )


def _propensity() -> list[Rule]:
    return [
        _holds(
            "propensity",
            "propensity_is_a_probability",
            "propensity is not above 0 and at most 1",
            lambda table: pc.and_(
                pc.greater(table["propensity"], 0.0), pc.less_equal(table["propensity"], 1.0)
            ),
        )
    ]


def _differ(first: str, second: str, reason: str) -> Rule:
    return _holds(
        second,
        f"{second}_is_not_{first}",
        reason,
        lambda table: pc.not_equal(table[first], table[second]),
    )


def _event_rules(now: datetime) -> list[Rule]:
    return [
        NotNull("event_id"),
        _time("occurred_at", now),
        Identifier("user_id"),
        Identifier("post_id"),
        Identifier("event_id"),
        InSet("action", f"action is none of {', '.join(ACTIONS)}", values=ACTIONS),
        Between("value", "value is negative", low=0.0),
        _finite("value"),
        Between("position", "position is negative", low=0),
        *_propensity(),
        *[_optional(name) for name in ("session_id", "surface", "request_id", "model_version")],
    ]


def _post_rules(now: datetime) -> list[Rule]:
    return [
        Identifier("post_id"),
        _time("created_at", now),
        _time("deleted_at", now),
        _optional("author_id"),
        _optional("reply_to"),
        _differ("post_id", "reply_to", "reply_to names the post itself"),
        *_text("text"),
        Matches("lang", "lang is no language tag", regex=_LANGUAGE),
        Length("url", "url is longer than 4096 characters", high=4096),
        Without("url", "url holds a control character", regex=CONTROL),
        _holds(
            "topics",
            "topics_are_names",
            "topics holds an empty or damaged name",
            lambda table: _all_elements_are_names(table["topics"]),
        ),
    ]


def _all_elements_are_names(lists: pa.ChunkedArray) -> pa.Array:
    """Per list: whether no element is null, blank or holds a control character; null for a null list."""
    joined = lists.combine_chunks()
    elements = pc.list_flatten(joined)
    blank = pc.or_kleene(
        pc.fill_null(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(elements)), 0), True),
        pc.fill_null(pc.match_substring_regex(elements, CONTROL), True),
    )
    wrong = pc.filter(pc.list_parent_indices(joined), blank)
    rows = pa.array(range(len(joined)), pa.int64())
    return pc.invert(pc.is_in(rows, value_set=pc.cast(wrong, pa.int64())))


def _user_rules(now: datetime) -> list[Rule]:
    return [
        Identifier("user_id"),
        _time("joined_at", now),
        *_text("region"),
        Matches("language", "language is no language tag", regex=_LANGUAGE),
        *_text("attributes"),
        JsonText("attributes", "attributes is not JSON"),
    ]


def _follow_rules(now: datetime) -> list[Rule]:
    return [
        Identifier("follower_id"),
        Identifier("followee_id"),
        _differ("follower_id", "followee_id", "a user follows themselves"),
        _time("created_at", now),
    ]


def _feedback_rules(now: datetime) -> list[Rule]:
    return [
        Identifier("request_id"),
        _time("occurred_at", now),
        _optional("user_id"),
        _optional("model_version"),
        InSet("rating", "rating is none of -1, 0, 1", values=(-1, 0, 1)),
        Between("choice", "choice is negative", low=0),
        *[rule for name in ("prompt", "response", "edited_text") for rule in _text(name)],
    ]


def _generation_rules(now: datetime) -> list[Rule]:
    return [
        Identifier("request_id"),
        Between("choice", "choice is negative", low=0),
        _time("occurred_at", now),
        _optional("model_version"),
        InSet("finish_reason", f"finish_reason is none of {', '.join(_FINISHES)}", values=_FINISHES),
        *[rule for name in ("prompt", "response") for rule in _text(name)],
    ]


_BORDER: dict[str, Callable[[datetime], list[Rule]]] = {
    "events": _event_rules,
    "posts": _post_rules,
    "users": _user_rules,
    "follows": _follow_rules,
    "feedback": _feedback_rules,
    "generations": _generation_rules,
}


def border_rules(stream: str, now: datetime) -> list[Rule]:
    """Rules of one stream's batches; `now` bounds times, with a day for clocks that go wrong. KeyError if unknown."""
    return [*[NotNull(column) for column in REQUIRED[stream]], *_BORDER[stream](now)]


def _not_above(low: str, high: str) -> Rule:
    return _holds(
        low,
        f"{low}_is_not_above_{high}",
        f"{low} is above {high}",
        lambda table: pc.less_equal(table[low], table[high]),
    )


def _implies(first: Any, second: Any) -> Any:
    return pc.or_kleene(pc.invert(first), second)


def _interaction_rules(now: datetime) -> list[Rule]:
    there = ("event_id", "occurred_at", "occurred_on", "user_id", "post_id", "item_id", "action", "weight")
    flags = ("is_positive", "is_negative", "is_impression", "is_own_item")
    return [
        *[NotNull(column) for column in (*there, *flags)],
        _time("occurred_at", now),
        InSet("action", "action is unknown", values=ACTIONS),
        _finite("weight"),
        _holds(
            "is_positive",
            "positives_weigh_more_than_0",
            "a positive without weight",
            lambda table: _implies(table["is_positive"], pc.greater(table["weight"], 0.0)),
        ),
        _holds(
            "is_negative",
            "negatives_weigh_less_than_0",
            "a negative with weight",
            lambda table: _implies(table["is_negative"], pc.less(table["weight"], 0.0)),
        ),
        _holds(
            "is_impression",
            "impressions_are_marked",
            "is_impression and action disagree",
            lambda table: pc.equal(table["is_impression"], pc.equal(table["action"], "impression")),
        ),
        _holds(
            "occurred_on",
            "day_is_that_of_the_time",
            "occurred_on is another day than occurred_at",
            lambda table: pc.equal(table["occurred_on"], pc.cast(table["occurred_at"], pa.date32())),
        ),
        Between("position", "position is negative", low=0),
        *_propensity(),
    ]


def _posts_mart_rules(now: datetime) -> list[Rule]:
    counts = ("impressions", "views", "likes", "comments", "shares", "saves", "hides", "reports")
    return [
        *[NotNull(column) for column in ("post_id", "item_id", "is_root", "created_at")],
        _time("created_at", now),
        _holds(
            "is_root",
            "roots_are_their_own_item",
            "is_root and item_id disagree",
            lambda table: pc.equal(table["is_root"], pc.equal(table["post_id"], table["item_id"])),
        ),
        *[Between(column, f"{column} is negative", low=0) for column in ("n_chars", "n_hashtags", *counts)],
        _finite("engagement"),
        NotNull("lang", "lang is unknown", critical=False, mostly=0.9),
    ]


def _users_mart_rules(now: datetime) -> list[Rule]:
    return [
        NotNull("user_id"),
        _holds(
            "user_id",
            "nobody_is_anonymous",
            "the reserved user has a profile",
            lambda table: pc.not_equal(table["user_id"], ANONYMOUS),
        ),
        NotNull("activity"),
        InSet("activity", "unknown activity", values=_ACTIVITIES),
        *[
            Between(column, f"{column} is negative", low=0)
            for column in ("n_events", "n_positive", "active_days")
        ],
        _not_above("n_positive", "n_events"),
        _not_above("first_seen_at", "last_seen_at"),
        _time("last_seen_at", now),
        *[
            Between(f"share_{action}", f"share_{action} is no share", low=0.0, high=1.0 + 1e-9)
            for action in ACTIONS
        ],
    ]


def _lengths_agree(table: pa.Table) -> Any:
    first = pc.list_value_length(table["item_ids"])
    agree = pc.greater(first, 0)
    for column in ("actions", "occurred_at", "weights"):
        agree = pc.and_(agree, pc.equal(first, pc.list_value_length(table[column])))
    return agree


def _steps_rise(column: pa.ChunkedArray) -> pa.Array:
    """Per list of instants: whether none is before the one ahead of it."""
    joined = column.combine_chunks()
    times, owner = pc.list_flatten(joined), pc.list_parent_indices(joined)
    count = max(len(times) - 1, 0)
    falls = pc.and_(
        pc.less(times.slice(1), times.slice(0, count)), pc.equal(owner.slice(1), owner.slice(0, count))
    )
    wrong = pc.filter(owner.slice(1), falls)
    rows = pa.array(range(len(joined)), pa.int64())
    return pc.invert(pc.is_in(rows, value_set=pc.cast(wrong, pa.int64())))


def _sequence_rules(now: datetime) -> list[Rule]:
    return [
        NotNull("user_id"),
        *[_list_is_there(column) for column in ("item_ids", "actions", "occurred_at", "weights")],
        _holds(
            "item_ids", "lists_are_equally_long", "the lists are empty or of unequal length", _lengths_agree
        ),
        _holds(
            "occurred_at",
            "times_rise",
            "the sequence is not in order of time",
            lambda table: _steps_rise(table["occurred_at"]),
        ),
    ]


def _list_is_there(column: str) -> Rule:
    return _holds(
        column, f"{column}_are_there", f"{column} is missing", lambda table: pc.is_valid(table[column])
    )


def _document_rules(now: datetime) -> list[Rule]:
    return [
        *[NotNull(column) for column in ("document_id", "text", "created_at", "n_chars", "n_bytes")],
        _time("created_at", now),
        Length("text", "the document is empty", low=1),
        _holds(
            "n_chars",
            "n_chars_is_the_length",
            "n_chars is not the length of the text",
            lambda table: pc.equal(pc.cast(table["n_chars"], pa.int32()), pc.utf8_length(table["text"])),
        ),
        _holds(
            "n_bytes",
            "n_bytes_is_the_size",
            "n_bytes is not the size of the text in UTF-8",
            lambda table: pc.equal(pc.cast(table["n_bytes"], pa.int32()), pc.binary_length(table["text"])),
        ),
        _holds("text", "no_email_in_text", "an e-mail address is not masked", _no_email),
        NotNull("lang", "lang is unknown", critical=False, mostly=0.9),
    ]


def _no_email(table: pa.Table, column: str = "text") -> Any:
    # A masked mention before a dot (`@user.cn`) would look like an address.
    text = pc.replace_substring(table[column], "@user", " ")
    return pc.invert(pc.match_substring_regex(text, _EMAIL))


def _pair_rules(now: datetime) -> list[Rule]:
    return [
        *[NotNull(column) for column in ("pair_id", "prompt_id", "prompt", "chosen", "rejected", "n_votes")],
        _time("occurred_at", now),
        _time("first_judged_at", now),
        _not_above("first_judged_at", "occurred_at"),
        Between("n_votes", "n_votes is below 1", low=1),
        InSet("kind", "kind is none of edit, rating", values=("edit", "rating")),
        _differ("chosen", "rejected", "both texts are the same"),
        *[rule for column in ("prompt", "chosen", "rejected") for rule in _masked(column)],
        *[Length(column, f"{column} is empty", low=1) for column in ("chosen", "rejected")],
    ]


def _rated_rules(now: datetime) -> list[Rule]:
    return [
        *[NotNull(column) for column in ("response_id", "prompt_id", "prompt", "response", "verdict")],
        _time("occurred_at", now),
        InSet("verdict", "verdict is none of -1, 0, 1", values=(-1, 0, 1)),
        *[Between(column, f"{column} is negative", low=0) for column in ("n_liked", "n_disliked")],
        *[rule for column in ("prompt", "response") for rule in _masked(column)],
        Length("response", "response is empty", low=1),
    ]


def _masked(column: str) -> list[Rule]:
    return [
        _holds(
            column,
            f"no_email_in_{column}",
            "an e-mail address is not masked",
            lambda table: _no_email(table, column),
        )
    ]


_TRAINING: dict[str, Callable[[datetime], list[Rule]]] = {
    "interactions": _interaction_rules,
    "posts": _posts_mart_rules,
    "users": _users_mart_rules,
    "user_sequences": _sequence_rules,
    "corpus_documents": _document_rules,
    "preference_pairs": _pair_rules,
    "rated_responses": _rated_rules,
}


def training_rules(table: str, now: datetime) -> list[Rule]:
    """Rules of one training table. Raises KeyError for a table without a suite."""
    return _TRAINING[table](now)

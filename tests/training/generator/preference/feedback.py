"""Made-up feedback: of two endings of a sentence people like one and dislike the other, in both languages."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

START = datetime(2026, 3, 1, tzinfo=UTC)
INSTANT = pa.timestamp("us", tz="UTC")
_LIKED = {"en": " seemed worth it!", "zh": "感觉值得！"}
_DISLIKED = {"en": " was too loud...", "zh": "真的太吵了……"}
_SUBJECTS = {
    "en": ["my tomatoes", "the old bridge", "our small team", "that long film", "the night train"],
    "zh": ["我的番茄", "那座老桥", "我们的小队", "那部长电影", "夜班火车"],
}


def pair(number: int, **more: Any) -> dict[str, Any]:
    """Pair `number`, a prompt a minute."""
    lang = ("en", "zh")[number % 2]
    at = START + timedelta(minutes=number)
    known = {
        "pair_id": f"pair{number:04d}",
        "prompt_id": f"prompt{number:04d}",
        "prompt": f"{number * 7919 % 9973} {_SUBJECTS[lang][number % 5]}",
        "chosen": _LIKED[lang],
        "rejected": _DISLIKED[lang],
        "chosen_ended": False,
        "rejected_ended": False,
        "occurred_at": at,
        "first_judged_at": at,
    }
    return known | more


def pairs(rows: list[dict[str, Any]]) -> pa.Table:
    """As the mart has them."""
    table = pa.Table.from_pylist(rows)
    for name in ("occurred_at", "first_judged_at"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(INSTANT))
    return table


def rated(rows: list[dict[str, Any]]) -> pa.Table:
    """Ratings as the mart has them, each with defaults."""
    known = {
        "prompt_id": "alone",
        "prompt": "Yesterday",
        "response": " was great",
        "verdict": 1,
        "ended": False,
        "is_paired": False,
        "occurred_at": START,
    }
    schema = pa.schema(
        [
            *((name, pa.string()) for name in ("prompt_id", "prompt", "response")),
            ("verdict", pa.int32()),
            ("ended", pa.bool_()),
            ("is_paired", pa.bool_()),
            ("occurred_at", INSTANT),
        ]
    )
    return pa.Table.from_pylist([known | row for row in rows], schema)

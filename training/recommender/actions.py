"""What a live event means before the lake has seen it: the rule of the `interactions` mart, for live events."""

from dataclasses import dataclass

WEIGHTS = {
    "impression": 0.0,
    "view": 0.2,
    "like": 1.0,
    "comment": 1.5,
    "share": 2.0,
    "save": 1.5,
    "follow_author": 2.0,
    "hide": -1.0,
    "report": -2.0,
}
"""Signed weight of each action; the same numbers as the dbt seed `action_weights.csv`."""

LONG_VIEW_S = 10.0
"""A view of at least this many seconds is positive; a shorter one is neither positive nor negative."""


@dataclass(frozen=True)
class Meaning:
    """How one event counts."""

    weight: float
    positive: bool
    negative: bool
    impression: bool


def meaning(action: str, value: float | None = None) -> Meaning:
    """How `action` (with its dwell seconds, for a view) counts. Raises ValueError for an unknown action."""
    if action not in WEIGHTS:
        raise ValueError(f"unknown action {action!r}")
    weight = WEIGHTS[action]
    long_enough = action != "view" or (value is not None and value >= LONG_VIEW_S)
    return Meaning(weight, weight > 0 and long_enough, weight < 0, action == "impression")

"""Rows of the canonical schema as the API takes them, and as journal lines that the canonical reader ingests.

A line holds the canonical columns that were given, under their names, times in UTC with microseconds. Nothing is
invented: an event without `event_id` gets its id from its content when it is ingested, so a repeated post counts once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from serving.replies import encode

MAX_BATCH = 1000
"""Rows in one request."""
MAX_TEXT = 100_000
"""Characters of a prompt or response in feedback."""
AHEAD = timedelta(days=1)
"""How far a client's clock may be ahead."""

Action = Literal["impression", "view", "like", "comment", "share", "save", "follow_author", "hide", "report"]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _only_text(value: Any) -> Any:
    """RFC 3339 text only: a bare number could be seconds or milliseconds."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or value.replace(".", "", 1).isdigit():
        raise ValueError("should be an RFC 3339 time, such as 2026-01-31T12:00:00Z")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("should lie between the years 1970 and 9999") from error
    if moment.year < 1970:
        raise ValueError("should lie between the years 1970 and 9999")
    if moment > datetime.now(UTC) + AHEAD:
        raise ValueError("lies more than a day in the future")
    return moment


Moment = Annotated[
    datetime,
    BeforeValidator(_only_text),
    AfterValidator(_in_utc),
    Field(description="RFC 3339 time; without a zone it is read as UTC. At most a day ahead."),
]


class Event(BaseModel):
    """One thing that a user did with a post."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    occurred_at: Moment
    user_id: Identifier
    post_id: Identifier
    action: Action
    event_id: Identifier | None = Field(None, description="Derived from the other columns where absent.")
    value: float | None = Field(None, allow_inf_nan=False, description="Dwell seconds, or stars.")
    session_id: Identifier | None = None
    surface: Identifier | None = Field(None, description="Where it was shown, such as `home`.")
    position: int | None = Field(None, ge=0, lt=2**31, description="Place in the list, from 0.")
    request_id: Identifier | None = Field(None, description="Of the recommendation that led to it.")
    model_version: Identifier | None = None
    propensity: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Of the post in that recommendation: the probability that it was shown there.",
    )


class Feedback(BaseModel):
    """What a person thought of one generated text."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    request_id: Identifier = Field(description="`request_id` of the completion that is judged.")
    occurred_at: Moment = Field(default_factory=lambda: datetime.now(UTC))
    user_id: Identifier | None = None
    prompt: str | None = Field(
        None, max_length=MAX_TEXT, description="Needed only where the server keeps no generations."
    )
    response: str | None = Field(None, max_length=MAX_TEXT, description="As `prompt`.")
    rating: Literal[-1, 0, 1] | None = None
    edited_text: str | None = Field(
        None, max_length=MAX_TEXT, description="What the person made of the response."
    )
    model_version: Identifier | None = None
    choice: int | None = Field(
        None, ge=0, lt=2**31, description="`index` of the choice that is judged, where there were several."
    )


@dataclass(frozen=True)
class Generated:
    """One choice of one answer, as it was generated."""

    request_id: str
    choice: int
    occurred_at: datetime
    prompt: str
    response: str
    finish_reason: Literal["stop", "length"]
    model_version: str

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Columns with their values, as those of the models above."""
        return iter(vars(self).items())


def lines(rows: Sequence[Event | Feedback | Generated]) -> bytes:
    """The rows as JSON lines, each ended by a newline; columns that were not given are left out."""
    return b"".join(encode(_plain(row)) + b"\n" for row in rows)


def _plain(row: Event | Feedback | Generated) -> dict[str, Any]:
    values = {name: value for name, value in row if value is not None}
    values["occurred_at"] = row.occurred_at.isoformat(timespec="microseconds")
    return values

"""POST /v1/events and /v1/feedback: what users did and thought, durable on disk before the answer."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from serving.canonical import MAX_BATCH, Event, Feedback, lines
from serving.feed import LiveEvent
from serving.journal import Journal, JournalError
from serving.problems import BATCH, ONE, ProblemError, documented
from serving.replies import JsonReply
from serving.services import Services, services

router = APIRouter(tags=["journal"])
_PROBLEMS = documented("bad-json", "body-too-large", "unsupported-media-type", "invalid-field", "not-durable")
_PARTS = Annotated[Services, Depends(services)]


class EventBatch(BaseModel):
    """Several events, stored together or not at all."""

    model_config = ConfigDict(extra="forbid")

    events: list[Event] = Field(min_length=1, max_length=MAX_BATCH)


class FeedbackBatch(BaseModel):
    """Several judgements, stored together or not at all."""

    model_config = ConfigDict(extra="forbid")

    feedback: list[Feedback] = Field(min_length=1, max_length=MAX_BATCH)


class Accepted(BaseModel):
    """How many rows are durable."""

    accepted: int
    request_id: str


def _holds(name: str) -> Discriminator:
    def tag(value: Any) -> str:
        return BATCH if isinstance(value, dict) and name in value else ONE

    return Discriminator(tag)


EventsBody = Annotated[
    Annotated[Event, Tag(ONE)] | Annotated[EventBatch, Tag(BATCH)],
    _holds("events"),
    Body(description="One or many."),
]
FeedbackBody = Annotated[
    Annotated[Feedback, Tag(ONE)] | Annotated[FeedbackBatch, Tag(BATCH)],
    _holds("feedback"),
    Body(description="One or many."),
]


async def _store(journal: Journal, rows: list[Event] | list[Feedback], request: Request) -> Response:
    """Answer 202 once the rows are durable. Raises ProblemError (503) when the disk refuses; nothing is stored then."""
    try:
        await journal.append(lines(rows), len(rows))
    except JournalError as error:
        raise ProblemError("not-durable", str(error), headers={"Retry-After": "5"}) from error
    return JsonReply({"accepted": len(rows), "request_id": request.scope["request_id"]}, 202)


@router.post(
    "/v1/events",
    status_code=202,
    response_model=Accepted,
    responses=_PROBLEMS,
    summary="Report what users did",
)
async def post_events(body: EventsBody, request: Request, parts: _PARTS) -> Response:
    """One event, or `{"events": [...]}` with up to 1,000, all or none. 202 means that they are on disk and that the
    next recommendation knows them. Sending the same event again changes nothing: its id derives from its content."""
    events = body.events if isinstance(body, EventBatch) else [body]
    answer = await _store(parts.events, events, request)
    await parts.feed.observe([LiveEvent.of(event) for event in events])
    return answer


@router.post(
    "/v1/feedback",
    status_code=202,
    response_model=Accepted,
    responses=_PROBLEMS,
    summary="Report what people thought of a generated text",
)
async def post_feedback(body: FeedbackBody, request: Request, parts: _PARTS) -> Response:
    """One judgement, or `{"feedback": [...]}` with up to 1,000, all or none. 202 means that they are on disk."""
    rows = body.feedback if isinstance(body, FeedbackBatch) else [body]
    return await _store(parts.feedback, rows, request)

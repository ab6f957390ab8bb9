"""POST /v1/recommendations: posts for a user, and why."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from serving.canonical import Action, Identifier, Moment
from serving.models import ContextEvent, Ranking
from serving.problems import ProblemError, documented
from serving.replies import JsonReply
from serving.services import Services, services

MAX_K = 1000
MAX_CONTEXT = 200

router = APIRouter(tags=["recommendations"])


class Context(BaseModel):
    """Something that the user just did; posts that nobody knows are passed over."""

    model_config = ConfigDict(extra="forbid")

    post_id: Identifier
    action: Action
    occurred_at: Moment | None = Field(None, description="Now, where absent.")


class RecommendationRequest(BaseModel):
    """What to recommend, and to whom."""

    model_config = ConfigDict(extra="forbid")

    user_id: Identifier = Field(
        description="An unknown user is answered by a fallback that the answer names."
    )
    k: int = Field(
        20, ge=1, le=MAX_K, strict=True, description=f"Posts wanted, 1 to {MAX_K}; others give 422."
    )
    context: list[Context] = Field(
        default_factory=list,
        max_length=MAX_CONTEXT,
        description="Latest actions, which count for this request only.",
    )
    exclude_seen: bool = Field(True, strict=True, description="Leave out posts that the user acted on.")
    surface: Identifier | None = Field(
        None, description="Where they will be shown; noted in the log and the answer."
    )


class RecommendedPost(BaseModel):
    """One post."""

    post_id: str
    score: float = Field(description="Higher is better; comparable within one answer only.")
    reasons: list[str]


class RecommendationReply(BaseModel):
    """Posts, best first."""

    model_config = ConfigDict(protected_namespaces=())

    request_id: str = Field(description="Send it back in the events that follow.")
    model_version: str
    fallback: str | None = Field(description="Name of the fallback that answered, null for the model itself.")
    surface: str | None
    items: list[RecommendedPost]


@router.post(
    "/v1/recommendations",
    response_model=RecommendationReply,
    responses=documented("bad-json", "body-too-large", "invalid-field", "no-champion", "no-state"),
    summary="Recommend posts to a user",
)
async def recommend(
    body: RecommendationRequest, request: Request, parts: Annotated[Services, Depends(services)]
) -> Response:
    """The `k` best posts for a user with the reasons: posts of the user's history that weigh most, or the fallback."""
    parts.need("recommender")
    desk = parts.feed.desk
    if desk is None:
        refusal = parts.holder.problems.get("state")
        raise ProblemError(
            "no-state", refusal.reason if refusal else "no state of the feed has been published yet"
        )
    now = datetime.now(UTC)
    context = [ContextEvent(e.post_id, e.action, (e.occurred_at or now).timestamp()) for e in body.context]
    ranking = await parts.feed.ask(
        partial(desk.ranker.recommend, body.user_id, body.k, context, body.exclude_seen)
    )
    if ranking.fallback is not None:
        parts.metrics.fallbacks.labels(ranking.fallback).inc()
    request.scope["log"] = {
        "model_version": desk.version,
        "fallback": ranking.fallback,
        "surface": body.surface,
    }
    return JsonReply(_answer(request.scope["request_id"], desk.version, body.surface, ranking))


def _answer(request_id: str, version: str, surface: str | None, ranking: Ranking) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "model_version": version,
        "fallback": ranking.fallback,
        "surface": surface,
        "items": [
            {"post_id": item.post_id, "score": item.score, "reasons": item.reasons} for item in ranking.items
        ],
    }

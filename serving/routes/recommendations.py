"""POST /v1/recommendations: posts for a user, and why."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from serving.canonical import Action, Identifier, Moment
from serving.problems import ProblemError, documented
from serving.replies import JsonReply
from serving.services import Services, services
from training.recommender.feed import messages
from training.recommender.feed.settings import seed_of

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
    plain: bool = Field(
        False,
        strict=True,
        description="The ranking model's own order: no weights of actions, no diversity, no exploration, no filter of "
        "languages and authors.",
    )
    surface: Identifier | None = Field(
        None, description="Where they will be shown; noted in the log and the answer."
    )


class RecommendedPost(BaseModel):
    """One post."""

    post_id: str
    score: float = Field(
        description="Higher is better: the weighted sum of the probabilities of actions, where the model predicts "
        "them. Comparable within one answer only."
    )
    actions: dict[str, float] | None = Field(
        description="Probability of each action on the post, on the condition that `actions_given` names; null where "
        "the score is the ranking model's own."
    )
    reasons: list[str] = Field(
        description="`history:` or `content:` and the post of the history that weighs; `popularity`; `exploration`."
    )
    propensity: float = Field(
        description="Probability, in (0, 1], that this answer showed the post at this place. Send it back with events."
    )
    explored: bool = Field(description="Shown by chance from below the head, to learn what users would like.")


class RecommendationReply(BaseModel):
    """Posts in the order to show."""

    model_config = ConfigDict(protected_namespaces=())

    request_id: str = Field(description="Send it back in the events that follow.")
    model_version: str
    fallback: str | None = Field(description="Name of the fallback that answered, null for the model itself.")
    surface: str | None
    actions_given: Literal["shown", "reacted"] | None = Field(
        description="What `actions` are conditional on: `shown`, the post is shown in the first place (impressions are "
        "logged); `reacted`, the user reacts to the post (they are not)."
    )
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
    """The `k` posts to show a user, each with its reasons and its propensity. What is explored follows from the
    `X-Request-ID` and the user: an equal request over an equal state is answered alike."""
    parts.need("recommender")
    desk = parts.feed.desk
    if desk is None:
        refusal = parts.holder.problems.get("state")
        raise ProblemError(
            "no-state", refusal.reason if refusal else "no state of the feed has been published yet"
        )
    now = datetime.now(UTC)
    context = [
        messages.ContextEvent(e.post_id, e.action, (e.occurred_at or now).timestamp()) for e in body.context
    ]
    seed = seed_of(request.scope["request_id"], body.user_id)
    asked = messages.Request(body.user_id, body.k, context, body.exclude_seen, body.plain, seed)
    ranking = await parts.feed.ask(desk, asked)
    if ranking.fallback is not None:
        parts.metrics.fallbacks.labels(ranking.fallback).inc()
    request.scope["log"] = {
        "model_version": desk.version,
        "fallback": ranking.fallback,
        "surface": body.surface,
    }
    return JsonReply(_answer(request.scope["request_id"], desk.version, body.surface, ranking))


def _answer(request_id: str, version: str, surface: str | None, ranking: messages.Ranking) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "model_version": version,
        "fallback": ranking.fallback,
        "surface": surface,
        "actions_given": ranking.given,
        "items": [
            {
                "post_id": item.post_id,
                "score": item.score,
                "actions": item.actions,
                "reasons": item.reasons,
                "propensity": item.propensity,
                "explored": item.explored,
            }
            for item in ranking.items
        ],
    }

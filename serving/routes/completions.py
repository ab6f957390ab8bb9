"""POST /v1/completions: continue a text."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from serving import logprobs
from serving.generation import Piece
from serving.openai_shapes import CompletionReply, CompletionRequest
from serving.routes.generating import GENERATION_PROBLEMS, Shape, answer, need_generator
from serving.routes.relaying import relay
from serving.screening import Sieve, filters, refused
from serving.services import Services, services

router = APIRouter(tags=["generation"])


def _choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
    return {"index": index, "text": text, "finish_reason": finish, "logprobs": None}


def _chunk(piece: Piece) -> list[dict[str, Any]]:
    return [_choice(piece.index, piece.text, piece.finish)]


def _refuse(choice: dict[str, Any], reason: str) -> None:
    choice["refusal"] = reason


_SHAPE = Shape("cmpl", "text_completion", "text_completion", _chunk, _choice, _refuse, logprobs.of_text)


@router.post(
    "/v1/completions",
    response_model=CompletionReply,
    responses=GENERATION_PROBLEMS,
    summary="Continue a text",
)
async def complete(
    body: CompletionRequest, request: Request, parts: Annotated[Services, Depends(services)]
) -> Response:
    """The OpenAI completions call. An empty prompt begins a new text; one longer than the model's context is read from
    its end. With `stream: true` the answer is server-sent events, closed by `[DONE]`."""
    champion = need_generator(body, parts)
    if parts.upstream is not None and refused(champion, body.prompt) is None:
        sieve = Sieve(filters(champion, body.prompt, body.n, ""), _refuse, parts.metrics)
        return await relay(request, parts, champion, "/completions", _SHAPE.prefix, sieve)
    return await answer(body, request, parts, champion, _SHAPE, body.prompt, body.sampling())

"""POST /v1/chat/completions: answer in a conversation."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from serving import chat_template, logprobs
from serving.generation import Piece
from serving.openai_shapes import ChatReply, ChatRequest
from serving.routes.generating import GENERATION_PROBLEMS, Shape, answer, need_generator
from serving.routes.relaying import relay
from serving.screening import Sieve, filters, refused
from serving.services import Services, services
from training.generator.script import script_of

router = APIRouter(tags=["generation"])


def _choice(index: int, text: str, finish: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {"index": index, "message": message, "finish_reason": finish, "logprobs": None}


def _delta(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}


def _chunk(piece: Piece) -> list[dict[str, Any]]:
    if piece.finish is not None:
        return [_delta(piece.index, {}, piece.finish)]
    return [_delta(piece.index, {"role": "assistant", "content": piece.text})]


def _refuse(choice: dict[str, Any], reason: str) -> None:
    if "message" in choice:
        choice["message"] |= {"content": None, "refusal": reason}
    else:
        choice["delta"]["refusal"] = reason


_SHAPE = Shape(
    "chatcmpl", "chat.completion", "chat.completion.chunk", _chunk, _choice, _refuse, logprobs.of_chat
)


@router.post(
    "/v1/chat/completions",
    response_model=ChatReply,
    responses=GENERATION_PROBLEMS,
    summary="Answer in a conversation",
    description="The OpenAI chat call. The model's own chat template is used where its bundle brings one; a base model "
    "gets the plain one below.\n\n" + (chat_template.__doc__ or ""),
)
async def chat(
    body: ChatRequest, request: Request, parts: Annotated[Services, Depends(services)]
) -> Response:
    """Render the conversation and continue it."""
    champion = need_generator(body, parts)
    said, system = [body.messages[-1].text], body.instructions
    if parts.upstream is not None and refused(champion, said) is None:
        sieve = Sieve(filters(champion, said, body.n, system), _refuse, parts.metrics)
        return await relay(request, parts, champion, "/chat/completions", _SHAPE.prefix, sieve)
    prompt = chat_template.render(body.messages, champion.chat_template)
    sampling = body.sampling(trim_start=True)
    if not chat_template.follows_instructions(champion.chat_template):
        sampling = replace(sampling, script=script_of(body.messages[-1].text))
    return await answer(
        body,
        request,
        parts,
        champion,
        _SHAPE,
        [prompt],
        sampling,
        said,
        system,
    )

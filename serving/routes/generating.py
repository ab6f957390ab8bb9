"""What completions and chat completions share: from a request to a running generation, to one document or a stream.

Event order of a stream: chunks of the choices as they are made, each choice's last with `finish_reason`, one with
`usage` when asked for, `[DONE]`. An error in the middle of a stream is a chunk with an `error` member.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import Request, Response
from starlette.responses import StreamingResponse

from serving import problems
from serving.generation import Piece
from serving.holder import Champion
from serving.models import Sampling
from serving.openai_shapes import Common, refuse_unknown_tokens, refuse_unsupported, unknown_model
from serving.problems import ProblemError
from serving.replies import JsonReply
from serving.routes.models import names
from serving.routes.relaying import Relay, event, gone, send
from serving.routes.rewording import Rewording, completion_body
from serving.screening import Refused, Screened, Sieve, filters, refused
from serving.services import Services
from serving.upstream import Upstream

Chunk = Callable[[Piece], list[dict[str, Any]]]
"""A piece of text as the `choices` of chunks, one or more."""

GENERATION_PROBLEMS = problems.documented(
    "bad-json",
    "body-too-large",
    "unsupported-media-type",
    "invalid-field",
    "unknown-model",
    "too-many-generations",
    "no-champion",
    "upstream-failed",
    "upstream-timeout",
    "internal",
)


@dataclass(frozen=True)
class Shape:
    """How one of the two calls words its answers."""

    prefix: str
    object: str
    chunk_object: str
    chunk: Chunk
    choice: Callable[[int, str, str], dict[str, Any]]
    refuse: Callable[[dict[str, Any], str], None]
    """Put the reason of a refusal into a choice, or into the choice of a chunk."""
    logprobs: Callable[[Sequence[Any]], dict[str, Any]] | None = None
    """Log-probabilities of a choice's tokens; None: this call has none."""


@dataclass(frozen=True)
class Asked:
    """A request that is being answered."""

    request: Request
    parts: Services
    champion: Champion
    generation: Screened | Refused
    shape: Shape
    with_usage: bool

    def envelope(self, kind: str) -> dict[str, Any]:
        """What every document and chunk carries."""
        request_id = self.request.scope["request_id"]
        return {
            "id": f"{self.shape.prefix}-{request_id}",
            "object": kind,
            "created": int(time.time()),
            "model": f"generator:{self.champion.version}",
            "model_version": self.champion.version,
            "request_id": request_id,
        }

    def logprobs(self, piece: Piece) -> dict[str, Any]:
        """What `piece` adds to a choice when log-probabilities were asked for."""
        if self.shape.logprobs is None or not piece.chances:
            return {}
        return {"logprobs": self.shape.logprobs(piece.chances)}

    def usage(self, completion_tokens: int) -> dict[str, int]:
        """Token counts."""
        prompt_tokens = self.generation.prompt_tokens
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }


def need_generator(body: Common, parts: Services) -> Champion:
    """The generator that `body.model` names. Raises ProblemError: 503 without a champion, 404 for another name, 422."""
    champion = parts.need("generator")
    if parts.upstream is None:
        refuse_unsupported(body)
    elif body.model == parts.upstream.name:
        return champion
    if not names("generator", champion, body.model):
        raise unknown_model(body.model)
    refuse_unknown_tokens(body, champion.engine.vocabulary)
    return champion


async def answer(
    body: Common,
    request: Request,
    parts: Services,
    champion: Champion,
    shape: Shape,
    prompts: list[str],
    sampling: Sampling,
    said: list[str] | None = None,
    system: str = "",
) -> Response:
    """Generate and answer, as a document or as a stream; what the content filter does not let pass is a refusal.

    `said` is what the client wants of each prompt, where that is not the prompt itself; codes in `system` are not given
    out. Raises ProblemError (429) when too many are under way."""
    refusal = refused(champion, said or prompts)
    if refusal is None and isinstance(champion.engine, Upstream):
        return await _answer_elsewhere(
            body, request, parts, champion, shape, prompts, sampling, said or prompts
        )
    generation: Screened | Refused
    if refusal is not None:
        generation = Refused(refusal, len(prompts) * body.n, parts.metrics)
    else:
        client = body.user or (request.client.host if request.client else "")
        made = parts.pool.start(
            champion.engine, prompts, body.n, sampling, client=client, whole=not body.stream
        )
        screens = filters(champion, said or prompts, body.n, system)
        generation = Screened(made, screens, parts.metrics)
    with_usage = body.stream_options is not None and body.stream_options.include_usage
    asked = Asked(request, parts, champion, generation, shape, with_usage)
    request.scope["log"] = {"model_version": champion.version, "stream": body.stream}
    if not body.stream:
        return await _document(asked)
    return StreamingResponse(
        _stream(asked),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _answer_elsewhere(
    body: Common,
    request: Request,
    parts: Services,
    champion: Champion,
    shape: Shape,
    prompts: list[str],
    sampling: Sampling,
    said: list[str],
) -> Response:
    """The same by the completions call of another server."""
    sieve = Sieve(filters(champion, said, body.n, ""), shape.refuse, parts.metrics)
    kind = shape.chunk_object if body.stream else shape.object
    words = Rewording(shape.choice, shape.chunk, body.stream, sampling.trim_start)
    asked = Relay(
        champion.engine, champion, parts, request, "/completions", shape.prefix, kind, _both(words, sieve)
    )
    return await send(asked, completion_body(champion.engine.name, prompts, body, sampling))


def _both(words: Rewording, sieve: Sieve) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    return lambda choice: [shown for part in words(choice) for shown in sieve(part)]


async def _document(asked: Asked) -> Response:
    collecting = asyncio.ensure_future(_collect(asked.generation))
    leaving = asyncio.ensure_future(gone(asked.request))
    try:
        await asyncio.wait({collecting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not collecting.done():
            asked.parts.metrics.generations_cancelled.inc()
            return Response(status_code=499)
        pieces = collecting.result()
    finally:
        asked.generation.cancel()
        leaving.cancel()
        collecting.cancel()
    listed = [_choice(asked, piece) for piece in sorted(pieces, key=lambda piece: piece.index)]
    usage = asked.usage(sum(piece.tokens for piece in pieces))
    return JsonReply({**asked.envelope(asked.shape.object), "choices": listed, "usage": usage})


async def _collect(generation: Screened | Refused) -> list[Piece]:
    return [piece async for piece in generation]


def _choice(asked: Asked, piece: Piece) -> dict[str, Any]:
    choice = asked.shape.choice(piece.index, piece.text, piece.finish or "length")
    if piece.refusal:
        asked.shape.refuse(choice, piece.refusal)
    return {**choice, **asked.logprobs(piece)}


async def _stream(asked: Asked) -> AsyncIterator[bytes]:
    envelope, tokens = asked.envelope(asked.shape.chunk_object), 0
    null_usage = {"usage": None} if asked.with_usage else {}
    try:
        async for piece in asked.generation:
            tokens += piece.tokens
            for choice in asked.shape.chunk(piece):
                if piece.refusal:
                    asked.shape.refuse(choice, piece.refusal)
                yield event({**envelope, "choices": [{**choice, **asked.logprobs(piece)}], **null_usage})
    except Exception:  # noqa: BLE001 - the answer has begun, so the error must become a chunk
        structlog.get_logger().exception("generation failed", request_id=envelope["request_id"])
        problem = ProblemError("internal", "the generation failed; the log has it under this request id")
        yield event(problems.document(problem, envelope["request_id"], asked.request.url.path))
        return
    finally:
        if not asked.generation.finished:
            asked.parts.metrics.generations_cancelled.inc()
        asked.generation.cancel()
    usage = asked.usage(tokens)
    if asked.with_usage:
        yield event({**envelope, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"

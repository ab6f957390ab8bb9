"""Answers that another server makes: its choices in our envelope, as a document or as a stream."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import structlog
from fastapi import Request, Response
from starlette.responses import StreamingResponse

from serving import problems
from serving.holder import Champion
from serving.problems import ProblemError
from serving.replies import JsonReply, encode
from serving.screening import Sieve
from serving.services import Services
from serving.upstream import Upstream, events


def event(value: dict[str, Any]) -> bytes:
    """A document as a server-sent event."""
    return b"data: " + encode(value) + b"\n\n"


async def gone(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _same(choice: dict[str, Any]) -> list[dict[str, Any]]:
    return [choice]


@dataclass(frozen=True)
class Relay:
    """One request that another server answers."""

    upstream: Upstream
    champion: Champion
    parts: Services
    request: Request
    path: str
    prefix: str
    kind: str = ""
    """What `object` says; empty: what the other server says."""
    words: Callable[[dict[str, Any]], list[dict[str, Any]]] = _same
    """What becomes of each of its choices."""

    def envelope(self, document: dict[str, Any]) -> dict[str, Any]:
        """A document or chunk of the other server as one of ours."""
        request_id = self.request.scope["request_id"]
        version = str(document.get("model_version") or self.champion.version)
        choices = [shown for choice in document.get("choices") or () for shown in self.words(choice)]
        return {
            **document,
            "id": f"{self.prefix}-{request_id}",
            "created": int(time.time()),
            "model": f"generator:{version}",
            "model_version": version,
            "request_id": request_id,
            "choices": choices,
            **({"object": self.kind} if self.kind else {}),
        }

    def count(self, document: dict[str, Any]) -> None:
        """Add its usage, if it says one, to the metrics."""
        usage = document.get("usage") or {}
        for direction in ("prompt", "completion"):
            self.parts.metrics.tokens.labels(direction).inc(usage.get(f"{direction}_tokens") or 0)

    async def document(self, body: dict[str, Any]) -> Response:
        """The answer in one piece."""
        answering = asyncio.ensure_future(self._whole(body))
        leaving = asyncio.ensure_future(gone(self.request))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self.parts.metrics.generations_cancelled.inc()
                return Response(status_code=499)
            found = answering.result()
        finally:
            answering.cancel()
            leaving.cancel()
        self.count(found)
        return JsonReply(self.envelope(found))

    async def _whole(self, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.upstream.send(self.path, body, self.request.scope["request_id"])
        try:
            await answer.aread()
            found = answer.json()
        except httpx.HTTPError as error:
            raise self.upstream.failed(error) from error
        except ValueError as error:
            raise ProblemError("upstream-failed", f"{self.upstream.url} does not answer in JSON") from error
        finally:
            await answer.aclose()
        if not isinstance(found, dict) or not isinstance(found.get("choices"), list):
            raise ProblemError("upstream-failed", f"{self.upstream.url} answers without choices")
        return found

    async def stream(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        """The answer piece by piece; a failure in the middle is a chunk with an `error` member."""
        finished = False
        try:
            async for chunk in events(answer):
                if "error" in chunk:
                    raise ProblemError("upstream-failed", _said(self.upstream.url, chunk))
                self.count(chunk)
                yield event(self.envelope(chunk))
            finished = True
            yield b"data: [DONE]\n\n"
        except (ProblemError, httpx.HTTPError, ValueError) as error:
            finished = True
            yield self._broken(error)
        finally:
            if not finished:
                self.parts.metrics.generations_cancelled.inc()
            await answer.aclose()

    def _broken(self, error: Exception) -> bytes:
        request_id = self.request.scope["request_id"]
        structlog.get_logger().error("generation elsewhere failed", request_id=request_id, reason=str(error))
        if isinstance(error, httpx.HTTPError):
            problem = self.upstream.failed(error)
        elif isinstance(error, ProblemError):
            problem = error
        else:
            problem = ProblemError("upstream-failed", f"{self.upstream.url} sends events that are not JSON")
        return event(problems.document(problem, request_id, self.request.url.path))


def _said(url: str, chunk: dict[str, Any]) -> str:
    error = chunk["error"]
    return f"{url}: {error.get('message') if isinstance(error, dict) else error}"


async def relay(
    request: Request, parts: Services, champion: Champion, path: str, prefix: str, sieve: Sieve
) -> Response:
    """Let the server behind `champion` answer `path` as the client asked, through `sieve`.

    Raises ProblemError: 422, 429, 502, 504.
    """
    asked = Relay(champion.engine, champion, parts, request, path, prefix, words=sieve)
    return await send(asked, {**await request.json(), "model": champion.engine.name})


async def send(asked: Relay, body: dict[str, Any]) -> Response:
    """Answer with what the other server makes of `body`."""
    streamed = bool(body.get("stream"))
    asked.request.scope["log"] = {"model_version": asked.champion.version, "stream": streamed}
    if not streamed:
        return await asked.document(body)
    answer = await asked.upstream.send(asked.path, body, asked.request.scope["request_id"])
    return StreamingResponse(
        asked.stream(answer),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )

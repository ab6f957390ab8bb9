"""Around every request: an id, a bound on the body, a line in the log, an observation in the metrics, a 500 document.

Plain ASGI, so that streams are not buffered and cost nothing more.
"""

import re
import time
import uuid
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import problems
from serving.metrics import Metrics
from serving.problems import ProblemError

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_QUIET = {"/healthz", "/readyz", "/metrics"}


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0


class _Exchange:
    """One request and what has been sent of its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int) -> None:
        self._scope, self._receive, self._send, self._limit = scope, receive, send, limit
        self._read = 0
        self.request_id = scope["request_id"]
        self.status = 0
        self.gone = False

    @property
    def too_large(self) -> str:
        return f"a body may have {self._limit} bytes"

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            if self._read > self._limit:
                # FastAPI takes any other exception while reading for a body that cannot be parsed.
                raise HTTPException(413, self.too_large)
        elif message["type"] == "http.disconnect":
            self.gone = True
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.request_id.encode())]
        await self._send(message)

    async def answer(self, problem: ProblemError) -> None:
        reply = problems.reply(problem, self.request_id, self._scope["path"])
        await reply(self._scope, self._receive, self.send)


class RequestMiddleware:
    """The one middleware of the server."""

    def __init__(self, app: ASGIApp, metrics: Metrics, max_body_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._limit = max_body_bytes
        self._log = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; other kinds of scope pass through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        scope["request_id"] = _request_id(scope)
        exchange = _Exchange(scope, receive, send, self._limit)
        self._metrics.in_flight.inc()
        try:
            if _content_length(scope) > self._limit:
                await exchange.answer(ProblemError("body-too-large", exchange.too_large))
            else:
                await self._app(scope, exchange.receive, exchange.send)
        except Exception:
            # A client that left in the middle makes sending fail; that is no failure of ours.
            if not exchange.gone:
                self._log.exception("request failed", request_id=exchange.request_id, path=scope["path"])
            if exchange.status:
                raise
            await exchange.answer(
                ProblemError("internal", "an unexpected error; the log has it under this request id")
            )
        finally:
            self._metrics.in_flight.dec()
            self._record(scope, exchange, time.perf_counter() - started)

    def _record(self, scope: Scope, exchange: _Exchange, seconds: float) -> None:
        route: Any = scope.get("route")
        path = getattr(route, "path", "unmatched")
        status = exchange.status or 499
        self._metrics.latency.labels(scope["method"], path, str(status)).observe(seconds)
        log = self._log.debug if scope["path"] in _QUIET and status < 400 else self._log.info
        log(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            ms=round(seconds * 1000, 2),
            request_id=exchange.request_id,
            **scope.get("log", {}),
        )

"""Errors as problem documents (RFC 9457), one shape for every error the API gives.

Each document also carries an `error` member in the shape that OpenAI clients read, and `errors` with one entry a bad
field (JSON Pointer, name, index within a batch). Every `type` is a path that this server answers with its meaning.
"""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from serving.replies import JsonReply

MEDIA_TYPE = "application/problem+json"
SHOWN_ERRORS = 20
"""Bad fields listed in one document; the rest is counted in `detail`."""


@dataclass(frozen=True)
class Kind:
    """One kind of problem: its status, its title and what a client can do about it."""

    status: int
    title: str
    meaning: str


KINDS: dict[str, Kind] = {
    "bad-json": Kind(400, "The body is not JSON", "Send one JSON document in UTF-8."),
    "bad-request": Kind(400, "The request cannot be read", "See `detail`."),
    "not-found": Kind(404, "There is nothing here", "The calls are listed at /docs."),
    "unknown-model": Kind(404, "No such model", "GET /v1/models lists the models that answer."),
    "unknown-post": Kind(
        404, "No such post", "Only posts with a published text answer; send the text itself."
    ),
    "method-not-allowed": Kind(405, "Wrong method", "The Allow header lists the methods of this path."),
    "body-too-large": Kind(
        413, "The body is too large", "Send less in one request; `detail` states the limit."
    ),
    "unsupported-media-type": Kind(415, "Not a JSON body", "Send `Content-Type: application/json`."),
    "invalid-field": Kind(422, "A field is missing or wrong", "`errors` names every bad field."),
    "too-many-generations": Kind(429, "Too many generations at once", "Wait `Retry-After` seconds."),
    "internal": Kind(500, "The server failed", "The log has the traceback under this `request_id`."),
    "upstream-failed": Kind(
        502, "The generator elsewhere failed", "Texts come from another server; `detail` says what it did."
    ),
    "upstream-timeout": Kind(504, "The generator elsewhere took too long", "Ask for less, or later."),
    "not-ready": Kind(503, "Not ready", "`refused` says what could not be loaded, and why."),
    "no-state": Kind(
        503, "The feed's state is not loaded", "It is published with a promotion; /readyz says more."
    ),
    "no-texts": Kind(
        503, "No texts of posts are published", "They are published with a promotion; /readyz says more."
    ),
    "no-champion": Kind(503, "No model is promoted", "Promote one; /readyz says what is loaded and why not."),
    "not-durable": Kind(503, "Nothing was stored", "The disk refused the write; send the same again later."),
    "stopping": Kind(503, "The server is stopping", "Send the same again to the next one."),
}

ONE, BATCH = "<one>", "<batch>"
"""Tags by which a body is read as one row or as a batch; they are no part of a field's name."""
_NO_FIELD = ("body", "query", "path", "header", ONE, BATCH)
_BY_STATUS = {
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
}


@dataclass
class ProblemError(Exception):
    """An error answer. `code` is a key of KINDS, `detail` one clear line, `errors` the bad fields if any."""

    code: str
    detail: str
    errors: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    @property
    def kind(self) -> Kind:
        """What this code stands for."""
        return KINDS[self.code]


def invalid_field(name: str, detail: str) -> ProblemError:
    """A 422 about the top-level field `name`."""
    entry = {"field": name, "pointer": f"#/{name}", "detail": detail}
    return ProblemError("invalid-field", f"{name}: {detail}", [entry])


def _openai_type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def document(problem: ProblemError, request_id: str, path: str) -> dict[str, Any]:
    """The problem document as plain values."""
    kind = problem.kind
    shown = problem.errors[:SHOWN_ERRORS]
    return {
        "type": f"/problems/{problem.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": problem.detail,
        "instance": path,
        "request_id": request_id,
        **({"errors": shown} if shown else {}),
        "error": {
            "message": problem.detail,
            "type": _openai_type(kind.status),
            "param": shown[0]["field"] if shown else None,
            "code": problem.code.replace("-", "_"),
        },
    }


def reply(problem: ProblemError, request_id: str, path: str) -> Response:
    """The problem as an HTTP answer."""
    return JsonReply(
        document(problem, request_id, path),
        problem.kind.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


def _pointer(location: tuple[Any, ...]) -> str:
    return "#/" + "/".join(str(part).replace("~", "~0").replace("/", "~1") for part in location)


def bad_fields(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pydantic's errors as entries of a problem document, without the values that were sent."""
    entries = []
    for problem in problems:
        location = tuple(part for part in problem["loc"] if part not in _NO_FIELD)
        names = [part for part in location if isinstance(part, str)]
        indices = [part for part in location if isinstance(part, int)]
        entry = {
            "field": names[-1] if names else "body",
            "pointer": _pointer(location),
            "detail": problem["msg"],
        }
        entries.append({**entry, "index": indices[0]} if indices else entry)
    return entries


def from_fields(errors: list[dict[str, Any]]) -> ProblemError:
    """A 422 from entries as `bad_fields` makes them; its detail names the first and counts the rest."""
    first = errors[0]
    where = f" of item {first['index']}" if "index" in first else ""
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return ProblemError("invalid-field", f"{first['field']}{where}: {first['detail']}{more}", errors)


def is_json(content_type: str) -> bool:
    """Whether a Content-Type names JSON: application/json or application/*+json, with or without parameters."""
    media = content_type.partition(";")[0].strip().lower()
    return media == "application/json" or (media.startswith("application/") and media.endswith("+json"))


def _from_validation(request: Request, error: RequestValidationError) -> ProblemError:
    problems = list(error.errors())
    for problem in problems:
        if problem["type"] == "json_invalid":
            return ProblemError("bad-json", f"{problem['ctx']['error']} at character {problem['loc'][-1]}")
    if error.body is not None and not is_json(content_type := request.headers.get("content-type", "")):
        return ProblemError(
            "unsupported-media-type", f"expected application/json, got {content_type or 'no type'!r}"
        )
    return from_fields(bad_fields(problems))


def _from_http(error: HTTPException) -> ProblemError:
    code = _BY_STATUS.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
    detail = str(error.detail)
    if error.status_code == 400 and detail == "There was an error parsing the body":
        return ProblemError("bad-json", "the body is not a JSON document in UTF-8")
    if detail == HTTPStatus(error.status_code).phrase:
        detail = KINDS[code].meaning
    return ProblemError(code, detail, headers=dict(error.headers or {}))


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""

    def answer(request: Request, problem: ProblemError) -> Response:
        return reply(problem, request.scope.get("request_id", ""), request.url.path)

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> Response:
        return answer(request, _from_validation(request, error))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        return answer(request, _from_http(error))


class ProblemDocument(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="Path that explains this kind of problem.")
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[dict[str, Any]] = Field(
        default_factory=list,
        description="Bad fields: `field`, `pointer`, `detail`, and `index` within a batch.",
    )
    error: dict[str, Any] = Field(
        description="The same for OpenAI clients: `message`, `type`, `param`, `code`."
    )


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these problems, for OpenAPI."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        kind = KINDS[code]
        entry = by_status.setdefault(
            kind.status,
            {
                "description": "",
                "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
            },
        )
        line = f"`{code}`: {kind.title}. {kind.meaning}"
        entry["description"] = f"{entry['description']}\n\n{line}".strip()
    return by_status

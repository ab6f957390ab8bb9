"""GET /docs: Swagger UI from files that are installed with the server, so that it works without a network.

Also GET /problems/{code}: what the `type` of a problem document means.
"""

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, PlainTextResponse

from serving.problems import KINDS, ProblemError

router = APIRouter(include_in_schema=False)

_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)


def _folder() -> Path:
    # fastapi-offline publishes Swagger UI's files as a wheel; nothing else of it is used.
    return Path(str(files("fastapi_offline") / "static"))


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Swagger UI over /openapi.json."""
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="tidegate API",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="data:,",
    )
    page.headers["Content-Security-Policy"] = _POLICY
    return page


@router.get("/docs/{name}")
async def asset(name: str) -> Response:
    """A file of Swagger UI."""
    if name not in _ASSETS:
        raise ProblemError("not-found", f"there is no {name} here")
    return FileResponse(
        _folder() / name, media_type=_ASSETS[name], headers={"Cache-Control": "max-age=86400"}
    )


@router.get("/problems/{code}")
async def problem(code: str) -> Response:
    """What a kind of problem means."""
    if code not in KINDS:
        raise ProblemError("not-found", f"there is no problem called {code}")
    kind = KINDS[code]
    return PlainTextResponse(f"{code} ({kind.status})\n{kind.title}. {kind.meaning}\n")

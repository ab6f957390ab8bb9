"""GET /: a page for people, one file without anything from elsewhere, in English and Chinese."""

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import APIRouter, Response
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
_PAGE = (files("serving") / "pages" / "home.html").read_text(encoding="utf-8")


def _hash(tag: str) -> str:
    """The source expression that admits the page's own inline `tag` and nothing else."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", _PAGE, re.DOTALL)
    assert found is not None
    return "'sha256-" + base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode() + "'"


_POLICY = (
    f"default-src 'none'; connect-src 'self'; img-src data:; "
    f"script-src {_hash('script')}; style-src {_hash('style')}"
)


@router.get("/")
async def home() -> Response:
    """What answers, and a place to try it."""
    return HTMLResponse(_PAGE, headers={"Content-Security-Policy": _POLICY})

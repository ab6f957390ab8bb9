"""JSON answers, encoded by orjson: one encoder for documents, problems and server-sent events."""

from typing import Any

import orjson
from starlette.responses import Response


def encode(value: Any) -> bytes:
    """UTF-8 JSON of plain values, numpy scalars and datetimes (RFC 3339). Raises TypeError on anything else."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_UTC_Z)


class JsonReply(Response):
    """A JSON document. Handlers return it directly, so that nothing is validated twice on the way out."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode the document."""
        return encode(content)

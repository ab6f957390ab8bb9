"""Another OpenAI-compatible server (vLLM, or a tidegate elsewhere) that answers for the generator.

Requests go on as they came, with our request id, the model's name there and, where set, our key; what comes back keeps
its choices and gets our envelope. What fails there becomes one clear line here: 502, or 504 when it takes too long.
"""

import json
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import structlog

from serving.holder import Champion
from serving.moderation import Moderator
from serving.pointers import ChampionPointer
from serving.problems import ProblemError
from serving.settings import Settings

CONNECT_SECONDS = 5.0
_LINE = 300
"""Characters of another server's error that are passed on."""


class Upstream:
    """One other server: asked for its models every few seconds by a thread, for texts from the event loop."""

    vocabulary = sys.maxsize
    """It looks at the tokens of biases itself."""

    def __init__(self, settings: Settings) -> None:
        key = settings.generator_key.get_secret_value()
        self.url = settings.generator_url.rstrip("/")
        self._moderator = Moderator(settings.moderation)
        self._wanted, self._every = settings.generator_model, max(settings.poll_seconds, 0.1) * 4
        self._timeout = httpx.Timeout(settings.generator_timeout, connect=CONNECT_SECONDS)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client: httpx.AsyncClient | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="upstream", daemon=True)
        self._log = structlog.get_logger()
        self.name = ""
        """The model's name there."""
        self.champion: Champion | None = None
        """The model there as one of ours; its version is the one that a tidegate there names, else the model's name."""
        self.problem: str | None = f"{self.url} has not answered yet"

    def start(self) -> None:
        """Begin to watch it."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    async def close(self) -> None:
        """Close the connections; to be called in the event loop."""
        if self._client is not None:
            await self._client.aclose()

    def _watch(self) -> None:
        with httpx.Client(headers=self._headers, timeout=CONNECT_SECONDS) as client:
            while not self._stop.is_set():
                problem = self._look(client)
                if problem != self.problem:
                    self._log.info("generator elsewhere", url=self.url, problem=problem, model=self.name)
                self.problem = problem
                self._stop.wait(self._every)

    def _look(self, client: httpx.Client) -> str | None:
        """Learn which model answers; what is wrong, if anything is."""
        try:
            answer = client.get(f"{self.url}/models")
        except httpx.HTTPError as error:
            return f"{self.url} cannot be reached: {str(error) or type(error).__name__}"
        if answer.status_code != 200:
            return f"{self.url}/models answers {answer.status_code}"
        try:
            entries = {str(entry["id"]): entry for entry in answer.json()["data"]}
        except (ValueError, KeyError, TypeError):
            return f"{self.url}/models is no listing of models"
        wanted = self._wanted or next((name for name in entries if name != "recommender"), "")
        if wanted not in entries:
            known = ", ".join(entries) or "none"
            return f"{self.url} has no model {wanted!r} (it lists {known})"
        version = str(entries[wanted].get("version") or wanted)
        if self.champion is None or self.champion.version != version:
            pointer = ChampionPointer("generator", version, "", Path(), "", None, "", "upstream")
            self.champion = Champion(
                pointer, self, None, "upstream", None, datetime.now(UTC), self._moderator
            )
        self.name = wanted
        return None

    async def send(self, path: str, body: dict[str, Any], request_id: str) -> httpx.Response:
        """Begin an answer of status 200, to be read and closed. Raises ProblemError for any other."""
        if self._client is None:
            self._client = httpx.AsyncClient(headers=self._headers, timeout=self._timeout)
        request = self._client.build_request(
            "POST", self.url + path, json=body, headers={"X-Request-ID": request_id}
        )
        try:
            answer = await self._client.send(request, stream=True)
            if answer.status_code != 200:
                await answer.aread()
                await answer.aclose()
        except httpx.HTTPError as error:
            raise self.failed(error) from error
        if answer.status_code != 200:
            raise _refused(self.url, answer)
        return answer

    def failed(self, error: httpx.HTTPError) -> ProblemError:
        """A connection's error as a problem: 504 when it took too long, else 502."""
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            return ProblemError("upstream-timeout", f"{self.url} took longer than {self._timeout.read:.0f} s")
        return ProblemError(
            "upstream-failed", f"{self.url} cannot be reached: {str(error) or type(error).__name__}"
        )


def _refused(url: str, answer: httpx.Response) -> ProblemError:
    """What an answer other than 200 means here: what the client did wrong stays its fault, the rest is a 502."""
    try:
        found = answer.json()
    except ValueError:
        found = {}
    error = found.get("error") if isinstance(found, dict) else None
    error = error if isinstance(error, dict) else {}
    said = str(error.get("message") or answer.reason_phrase)[:_LINE]
    if answer.status_code == 429:
        wait = answer.headers.get("retry-after", "1")
        return ProblemError("too-many-generations", said, headers={"Retry-After": wait})
    if answer.status_code in (400, 422):
        name = str(error.get("param") or "body")
        return ProblemError("invalid-field", said, [{"field": name, "pointer": f"#/{name}", "detail": said}])
    return ProblemError("upstream-failed", f"{url} answers {answer.status_code}: {said}")


async def events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The documents of a stream of server-sent events, up to `[DONE]`. Raises httpx.HTTPError when it breaks off."""
    async for line in answer.aiter_lines():
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data == "[DONE]":
            return
        if data:
            yield json.loads(data)
    raise httpx.RemoteProtocolError("the stream ended before it was done")

"""A server whose texts come from another one: both real, on real ports."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import openai
import pytest

from tests.serving.fakes import Publisher
from tests.serving.process import Server, until
from tests.serving.test_openai import MADE, metric


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server that makes the texts, 5 ms a token."""
    publisher = Publisher(tmp_path_factory.mktemp("behind"))
    publisher.generator(7, delay=0.005)
    with Server(publisher.home) as running:
        running.ready(generator="7")
        yield running


@pytest.fixture(scope="module")
def front(behind: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    publisher = Publisher(tmp_path_factory.mktemp("front"))
    publisher.recommender(1)
    publisher.state("s1")
    with Server(publisher.home, generator_url=f"{behind.url}/v1") as running:
        running.ready(recommender="1", generator="7")
        yield running


@pytest.fixture
def client(front: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_texts_come_from_the_other_server_in_our_envelope(client: openai.OpenAI, behind: Server) -> None:
    answer = client.completions.create(model="generator", prompt="hello", max_tokens=3, temperature=0)
    assert answer.choices[0].text == " alpha beta gamma"
    assert answer.model == "generator:7"
    assert answer._request_id is not None
    assert answer.id == f"cmpl-{answer._request_id}"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3
    assert answer.model_dump()["model_version"] == "7"
    assert f'"request_id": "{answer._request_id}"' in behind.log(), "one id in both logs"


@pytest.mark.parametrize("model", ["generator", "generator:7", "7"])
def test_a_model_answers_to_the_names_it_would_have_here(client: openai.OpenAI, model: str) -> None:
    message = [{"role": "user", "content": "Hi"}]
    answer = client.chat.completions.create(model=model, messages=message, max_tokens=2, temperature=0, n=2)
    assert [choice.message.content for choice in answer.choices] == ["alpha beta"] * 2
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-9", messages=message)


def test_a_stream_passes_through_piece_by_piece(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="generator",
            messages=[{"role": "user", "content": "Hi"}],
            max_tokens=3,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "alpha beta gamma"
    assert sum(map(bool, said)) > 2
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {"generator:7"}
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


def test_a_client_that_leaves_ends_the_text_on_the_other_server(front: Server, behind: Server) -> None:
    body = {"model": "generator", "prompt": "", "max_tokens": 1000, "stream": True}
    for stream in (True, False):
        with (
            pytest.raises(httpx.ReadTimeout),
            httpx.Client(base_url=front.url, timeout=0.3) as leaving,
            leaving.stream("POST", "/v1/completions", json={**body, "stream": stream}) as answer,
        ):
            next(answer.iter_bytes())
            raise httpx.ReadTimeout("seen enough")
        until(lambda: metric(behind, "tidegate_generations_active") == 0, 10)


def test_what_the_client_does_wrong_is_said_as_the_other_server_says_it(client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="top_k"):
        client.completions.create(model="generator", prompt="", extra_body={"top_k": 3})


def test_an_error_over_there_is_a_502_here_and_a_chunk_in_a_stream(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as failed:
        client.completions.create(model="generator", prompt="explode")
    assert failed.value.status_code == 502
    assert failed.value.code == "upstream_failed"
    with pytest.raises(openai.APIError, match="generation failed"):
        list(client.completions.create(model="generator", prompt="midway", stream=True, temperature=0))


def test_feedback_names_the_version_that_answered(front: Server, client: openai.OpenAI) -> None:
    answer = client.completions.create(model="generator", prompt="x", max_tokens=1)
    row = {
        "request_id": answer._request_id,
        "occurred_at": "2026-03-01T08:00:00Z",
        "prompt": "x",
        "response": answer.choices[0].text,
        "rating": 1,
        "model_version": answer.model_dump()["model_version"],
    }
    assert front.http.post("/v1/feedback", json=row).status_code == 202


def test_the_listing_and_the_metrics_know_the_model_elsewhere(front: Server, client: openai.OpenAI) -> None:
    entry = client.models.retrieve("generator").model_dump()
    assert (entry["version"], entry["alias"], entry["architecture"]) == ("7", "upstream", "upstream")
    before = metric(front, MADE)
    client.completions.create(model="generator", prompt="x", max_tokens=4)
    assert metric(front, MADE) == before + 4


def test_without_the_other_server_nothing_is_ready_and_texts_are_502(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    publisher = Publisher(tmp_path_factory.mktemp("apart"))
    other = Publisher(tmp_path_factory.mktemp("gone"))
    other.generator(2)
    with Server(other.home) as gone, Server(publisher.home, generator_url=f"{gone.url}/v1/") as front:
        front.ready(generator="2")
        gone.kill()
        until(lambda: front.http.get("/readyz").status_code == 503)
        assert gone.url in front.http.get("/readyz").json()["detail"]
        for stream in (True, False):
            body = {"model": "generator", "prompt": "", "stream": stream}
            refused = front.http.post("/v1/completions", json=body)
            assert refused.status_code == 502
            assert refused.json()["type"] == "/problems/upstream-failed"
            assert gone.url in refused.json()["detail"]


class _Odd(BaseHTTPRequestHandler):
    """An OpenAI-compatible server in its worst moments; the prompt says which."""

    def log_message(self, *_: object) -> None:
        pass

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        allowed = self.headers["Authorization"] == "Bearer secret"
        self._say(200 if allowed else 401, b'{"object": "list", "data": [{"id": "big"}]}')

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["model"] == "big"
        moods: dict[str, Callable[[], None]] = {
            "busy": lambda: self._say(429, b'{"error": {"message": "too much"}}', Retry_After="9"),
            "html": lambda: self._say(200, b"<html>"),
            "down": lambda: self._say(503, b"<html>"),
            "slow": lambda: done.wait(10) and None,
            "cut": lambda: self._say(200, b'data: {"id": "x", "choices": []}\n\n'),
        }
        moods[body["prompt"]]()


done = threading.Event()


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Odd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    home = Publisher(tmp_path_factory.mktemp("odd")).home
    with Server(home, generator_url=url, generator_key="secret", generator_timeout=0.5) as running:
        running.ready(generator="big")
        yield running
    done.set()
    server.shutdown()


@pytest.mark.parametrize(
    ("prompt", "status", "kind"),
    [
        ("busy", 429, "too-many-generations"),
        ("html", 502, "upstream-failed"),
        ("down", 502, "upstream-failed"),
        ("slow", 504, "upstream-timeout"),
    ],
)
def test_every_failure_over_there_is_one_clear_line_here(
    odd: Server, prompt: str, status: int, kind: str
) -> None:
    answer = odd.http.post("/v1/completions", json={"model": "big", "prompt": prompt})
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
    assert "\n" not in answer.json()["detail"]
    assert status != 429 or answer.headers["retry-after"] == "9"


def test_a_stream_that_breaks_off_over_there_ends_with_an_error_here(odd: Server) -> None:
    answer = odd.http.post("/v1/completions", json={"model": "big", "prompt": "cut", "stream": True})
    last = answer.text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_failed"


def test_an_address_that_is_none_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    from pydantic import ValidationError

    from serving.settings import Settings

    monkeypatch.setenv("TIDEGATE_GENERATOR_URL", "localhost:8000")
    with pytest.raises(ValidationError, match="generator_url"):
        Settings()

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from serving.probe import probe_bundle
from tests.serving.fakes import Publisher
from tests.serving.process import Server, until
from tests.training.generator.world import documents, tiny
from training.bundle import Bundle
from training.generator.train import train


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generators")


@pytest.fixture(scope="module")
def bundles(home: Path) -> dict[str, Bundle]:
    outcome = train(documents(), tiny(), home / "bundles", lambda line: None)
    return {candidate.name: candidate.bundle for candidate in outcome.candidates}


@pytest.fixture(scope="module")
def running(home: Path, bundles: dict[str, Bundle]) -> Iterator[Server]:
    Publisher(home).promote(bundles["lstm"], 1)
    with Server(home, "serving.main") as server:
        server.ready(generator="1")
        yield server


def complete(server: Server, prompt: str, **more: Any) -> dict[str, Any]:
    body = {"model": "generator", "prompt": prompt, "max_tokens": 20, **more}
    answer = server.http.post("/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def text_of(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["text"])


@pytest.mark.parametrize("prompt", ["今天", "Today", "", "z" * 20_000, "\ufffd"])
def test_every_prompt_is_continued(running: Server, prompt: str) -> None:
    found = complete(running, prompt, seed=4)
    assert text_of(found)
    assert 0 < found["usage"]["completion_tokens"] <= 20
    assert found["choices"][0]["finish_reason"] in ("stop", "length")
    assert text_of(complete(running, prompt, seed=4)) == text_of(found)


def test_a_chinese_prompt_is_continued_in_chinese(running: Server) -> None:
    found = text_of(complete(running, "今天", temperature=0))
    assert any("\u4e00" <= character <= "\u9fff" for character in found)


def test_a_stream_says_what_one_answer_says(running: Server) -> None:
    body = {"model": "generator", "prompt": "今天", "max_tokens": 30, "seed": 8, "stream": True}
    pieces = []
    with running.http.stream("POST", "/v1/completions", json=body) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                choices = json.loads(line.removeprefix("data: "))["choices"]
                pieces += [choice["text"] for choice in choices]
    whole = text_of(complete(running, "今天", max_tokens=30, seed=8))
    assert "".join(pieces) == whole
    assert sum(bool(piece) for piece in pieces) > 2


def test_stop_strings_and_length_reach_the_model(running: Server) -> None:
    whole = text_of(complete(running, "Today", temperature=0))
    stop = whole[len(whole) // 2 :][:3]
    found = complete(running, "Today", temperature=0, stop=[stop])
    assert text_of(found) == whole[: whole.index(stop)]
    assert found["choices"][0]["finish_reason"] == "stop"
    assert complete(running, "Today", max_tokens=2, seed=1)["usage"]["completion_tokens"] <= 2


def test_chat_is_answered_by_a_base_model(running: Server) -> None:
    body = {
        "model": "generator",
        "messages": [{"role": "user", "content": "今天怎么样？"}],
        "max_tokens": 20,
        "seed": 2,
    }
    answer = running.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"].strip()


def test_requests_at_once_get_what_they_would_get_alone(running: Server) -> None:
    def ask(seed: int) -> str:
        return text_of(complete(running, "Today", seed=seed))

    alone = [ask(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, range(4))) == alone


@pytest.mark.parametrize("name", ["ngram", "lstm", "transformer"])
def test_every_kind_passes_the_probe_and_takes_over(
    running: Server, home: Path, bundles: dict[str, Bundle], name: str
) -> None:
    result = probe_bundle(bundles[name].path, None, 2000.0)
    assert result.ok, result.detail
    publisher = Publisher(home)
    publisher.promote(bundles[name], 10)
    until(lambda: running.ready(generator="10"))
    assert text_of(complete(running, "今天"))
    publisher.promote(bundles["lstm"], 1)
    running.ready(generator="1")

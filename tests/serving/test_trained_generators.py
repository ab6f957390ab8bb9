import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from serving.probe import probe_bundle
from tests.serving.fakes import Publisher
from tests.serving.process import Server, until
from tests.serving.test_openai import MADE, metric
from tests.training.generator.world import documents, tiny
from training.bundle import Bundle
from training.generator.script import script_of
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


@pytest.mark.parametrize(("said", "script"), [("今天怎么样？", "Han"), ("How are you today?", "Latin")])
def test_chat_is_answered_in_the_script_of_the_last_message(running: Server, said: str, script: str) -> None:
    message = {"role": "user", "content": said}
    body = {"model": "generator", "messages": [message], "max_tokens": 20, "seed": 2, "n": 6}
    answer = running.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    begun = [choice["message"]["content"][:1] for choice in answer.json()["choices"]]
    assert {script_of(first) for first in begun} == {script}


def test_requests_at_once_get_what_they_would_get_alone(running: Server) -> None:
    def ask(seed: int) -> str:
        return text_of(complete(running, "Today", seed=seed))

    alone = [ask(seed) for seed in range(4)]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(ask, range(4))) == alone


@pytest.fixture
def client(running: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def test_many_at_once_with_settings_of_their_own_get_what_they_would_get_alone(running: Server) -> None:
    settings: list[dict[str, Any]] = [
        {"temperature": 0.7, "top_p": 0.9},
        {"min_p": 0.05, "n": 3},
        {"repetition_penalty": 1.3, "frequency_penalty": 0.5},
        {"temperature": 0},
    ]

    def ask(number: int) -> list[str]:
        prompt, more = ("今天", "Today", "")[number % 3], settings[number % 4]
        return [choice["text"] for choice in complete(running, prompt, seed=number, **more)["choices"]]

    alone = [ask(number) for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(12))) == alone


def test_the_openai_client_gets_several_choices_with_log_probabilities(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="generator", prompt="今天", max_tokens=15, n=3, logprobs=2, seed=1, logit_bias={"0": -100}
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.text for choice in answer.choices}) > 1
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 45
    for choice in answer.choices:
        found = choice.logprobs
        assert found is not None
        assert found.tokens is not None
        assert found.token_logprobs is not None
        assert found.top_logprobs is not None
        assert found.text_offset is not None
        assert len(found.tokens) == len(found.token_logprobs) == len(found.top_logprobs) == 15
        for token, chance, top, offset in zip(
            found.tokens, found.token_logprobs, found.top_logprobs, found.text_offset, strict=True
        ):
            assert top[token] == chance <= 0
            assert 2 <= len(top) <= 3
            assert token.startswith("bytes:") or choice.text[offset:].startswith(token)


def test_chat_log_probabilities_carry_bytes(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="generator",
        messages=[{"role": "user", "content": "今天"}],
        max_tokens=12,
        temperature=0,
        logprobs=True,
        top_logprobs=3,
    )
    (choice,) = answer.choices
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    data = b"".join(bytes(entry.bytes or []) for entry in choice.logprobs.content)
    assert data.decode().lstrip() == choice.message.content
    assert all(len(entry.top_logprobs) == 3 for entry in choice.logprobs.content)
    for entry in choice.logprobs.content[1:]:
        assert entry.top_logprobs[0].bytes == entry.bytes, (
            "greedy takes the likeliest, once the script is chosen"
        )


def test_a_stream_carries_the_log_probabilities_of_the_whole_answer(client: openai.OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "generator",
        "prompt": "Today",
        "max_tokens": 12,
        "seed": 3,
        "logprobs": 1,
    }
    whole = client.completions.create(**asked).choices[0].logprobs
    streamed = [chunk.choices[0].logprobs for chunk in client.completions.create(**asked, stream=True)]
    assert whole is not None
    assert [token for part in streamed if part for token in part.tokens or []] == whole.tokens
    assert [offset for part in streamed if part for offset in part.text_offset or []] == whole.text_offset


def test_echo_shows_the_prompt_and_scores_it_without_making_a_token(client: openai.OpenAI) -> None:
    prompt = "今天 my tomatoes"
    answer = client.completions.create(model="generator", prompt=prompt, max_tokens=0, echo=True, logprobs=0)
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason) == (prompt, "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 0
    assert choice.logprobs is not None
    assert choice.logprobs.text_offset is not None
    assert choice.logprobs.text_offset[0] == 0
    assert len(choice.logprobs.token_logprobs or []) == answer.usage.prompt_tokens
    longer = client.completions.create(model="generator", prompt=prompt, max_tokens=5, echo=True, seed=1)
    alone = client.completions.create(model="generator", prompt=prompt, max_tokens=5, seed=1)
    assert longer.choices[0].text == prompt + alone.choices[0].text


def test_tokens_stop_being_made_when_the_client_leaves(running: Server, client: openai.OpenAI) -> None:
    with client.completions.create(
        model="generator", prompt="", max_tokens=1024, stream=True, n=8, logit_bias={"0": -100}
    ) as stream:
        next(iter(stream))
    until(lambda: metric(running, "tidegate_generations_active") == 0, 20)
    made = metric(running, MADE)
    used = complete(running, "", max_tokens=3)["usage"]["completion_tokens"]
    assert metric(running, MADE) == made + used
    assert made < 8 * 1024


@pytest.mark.parametrize("name", ["ngram", "lstm", "transformer", "ensemble"])
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

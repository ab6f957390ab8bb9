import json
import threading
import time
from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.serving.fakes import Publisher
from tests.serving.process import Server, until


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose model needs 20 ms a token, with room for two generations."""
    publisher = Publisher(tmp_path_factory.mktemp("slow"))
    publisher.generator(1, delay=0.02)
    publisher.recommender(1)
    publisher.state("s1")
    with Server(publisher.home, max_concurrent_generations=2) as running:
        running.ready(generator="1", recommender="1")
        yield running


MADE = 'tidegate_tokens_total{direction="completion"}'


def metric(server: Server, name: str) -> float:
    found = [row for row in server.http.get("/metrics").text.splitlines() if row.startswith(f"{name} ")]
    return float(found[0].split()[1])


def test_a_completion_has_text_usage_and_a_finish_reason(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="generator", prompt="hello there", max_tokens=3, temperature=0)
    assert answer.object == "text_completion"
    assert answer.model == "generator:1"
    assert answer.choices[0].text == " alpha beta gamma"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (
        2,
        3,
        5,
    )
    assert answer._request_id is not None
    assert answer.id == f"cmpl-{answer._request_id}"


def test_a_stream_gives_the_same_text_piece_by_piece(client: openai.OpenAI) -> None:
    options = {"include_usage": True}
    chunks = list(
        client.completions.create(
            model="generator", prompt="", max_tokens=4, temperature=0, stream=True, stream_options=options
        )
    )
    # A word comes when it has ended: until then it might be the beginning of a mail address.
    assert [chunk.choices[0].text for chunk in chunks[:-1]] == [" ", "alpha ", "beta ", "gamma ", "delta", ""]
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * 5 + ["length"]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_with_done(server: Server) -> None:
    body = {"model": "generator", "prompt": "", "max_tokens": 2, "stream": True}
    answer = server.http.post("/v1/completions", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: ")) for event in events[:-2])


def test_a_chat_answer_begins_without_the_space_of_the_template(client: openai.OpenAI) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    answer = client.chat.completions.create(
        model="generator", messages=messages, max_completion_tokens=2, temperature=0
    )
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].message.content == "alpha beta"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3, "Be brief. Hi"


def test_a_chat_stream_adds_up_to_the_answer(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    chunks = list(
        client.chat.completions.create(
            model="generator", messages=messages, max_tokens=3, temperature=0, stream=True
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "alpha beta gamma"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "length"


def test_the_same_seed_gives_the_same_text_and_choices_differ(client: openai.OpenAI) -> None:
    def texts(seed: int) -> list[str]:
        answer = client.completions.create(model="generator", prompt="", max_tokens=2, n=4, seed=seed)
        assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
        return [choice.text for choice in answer.choices]

    assert texts(1) == texts(1)
    assert len(set(texts(1))) == 4
    assert texts(1) != texts(2)


def test_several_prompts_give_their_choices_in_order(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="generator", prompt=["one", "two words"], max_tokens=1, n=2)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3


def test_a_stop_text_ends_the_answer_before_it(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="generator", prompt="", temperature=0, stop=["gamma"])
    assert answer.choices[0].text == " alpha beta"
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("model", ["generator", "generator:1", "1"])
def test_a_model_answers_to_its_name_and_its_version(client: openai.OpenAI, model: str) -> None:
    assert client.completions.create(model=model, prompt="", max_tokens=1).choices
    assert client.models.retrieve(model).id == ("recommender" if model == "1" else "generator")


def test_the_listing_says_where_models_come_from(client: openai.OpenAI) -> None:
    found = {model.id: model for model in client.models.list()}
    assert set(found) == {"recommender", "generator"}
    entry = found["generator"].model_dump()
    assert entry["object"] == "model"
    assert (entry["version"], entry["alias"], entry["lake_snapshot"]) == ("1", "champion", 7)
    assert len(entry["bundle_digest"]) == 64
    assert entry["loaded_at"]
    assert entry["refused"] is None


def test_errors_raise_the_clients_own_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.completions.create(model="gpt-9", prompt="")
    assert missing.value.code == "unknown_model"
    assert "gpt-9" in missing.value.message
    with pytest.raises(openai.NotFoundError):
        client.completions.create(model="recommender", prompt="")
    with pytest.raises(openai.UnprocessableEntityError) as wrong:
        client.completions.create(model="generator", prompt="", temperature=9)
    assert wrong.value.param == "temperature"
    with pytest.raises(openai.BadRequestError):
        client.post("/completions", cast_to=object, content=b"{")
    with pytest.raises(openai.InternalServerError):
        client.completions.create(model="generator", prompt="explode")


def test_an_error_in_the_middle_of_a_stream_reaches_the_client(client: openai.OpenAI) -> None:
    seen: list[str] = []
    stream = client.completions.create(model="generator", prompt="midway", stream=True, temperature=0)
    with pytest.raises(openai.APIError, match="generation failed"):
        seen.extend(chunk.choices[0].text for chunk in stream)
    assert seen == [" ", "alpha "]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("n", 9),
        ("n", 0),
        ("top_p", 0),
        ("temperature", -1),
        ("stop", ["a"] * 5),
        ("stop", [""]),
        ("prompt", []),
        ("prompt", [1, 2]),
        ("prompt", [[1, 2]]),
        ("prompt", 7),
        ("model", ""),
        ("seed", 1.5),
        ("min_p", 1.5),
        ("repetition_penalty", 0),
        ("presence_penalty", 2.5),
        ("frequency_penalty", -3),
        ("logprobs", 21),
        ("top_logprobs", 3),
        ("best_of", 2),
        ("suffix", "end"),
        ("top_k", 5),
        ("logit_bias", {"64": 1}),
        ("logit_bias", {"5": 101}),
        ("logit_bias", {"word": 1}),
    ],
)
def test_a_parameter_out_of_bounds_or_not_supported_is_named(
    server: Server, field: str, value: object
) -> None:
    answer = server.http.post("/v1/completions", json={"model": "generator", "prompt": "", field: value})
    assert answer.status_code == 422
    assert field in answer.json()["errors"][0]["pointer"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", []),
        ("role", [{"role": "tool", "content": "x"}]),
        ("type", [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        ("tools", [{"type": "function"}]),
        ("echo", True),
        ("top_logprobs", 30),
    ],
)
def test_a_chat_parameter_that_is_wrong_is_named(server: Server, field: str, value: object) -> None:
    body = {"model": "generator", "messages": [{"role": "user", "content": "x"}]}
    body["messages" if field in ("role", "type") else field] = value
    answer = server.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]


def test_parameters_that_ask_for_nothing_are_accepted(server: Server) -> None:
    body = {
        "model": "generator",
        "prompt": None,
        "max_tokens": 1,
        "stop": None,
        "n": None,
        "echo": False,
        "logprobs": None,
        "best_of": 1,
        "presence_penalty": 0,
        "frequency_penalty": 0.0,
        "user": "someone",
        "store": True,
    }
    assert server.http.post("/v1/completions", json=body).status_code == 200


def test_more_tokens_than_the_most_are_cut_to_it(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="generator", prompt="", max_tokens=10**9)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 1024
    assert answer.choices[0].finish_reason == "length"


def test_an_empty_prompt_begins_a_text(client: openai.OpenAI) -> None:
    assert (
        client.completions.create(model="generator", prompt="", max_tokens=1, temperature=0).choices[0].text
        == " alpha"
    )


def test_a_megabyte_of_prompt_is_answered_soon_and_blocks_nobody(slow: Server) -> None:
    slowest = 0.0
    done = threading.Event()

    def watch() -> None:
        nonlocal slowest
        with httpx.Client(base_url=slow.url) as other:
            while not done.is_set():
                started = time.perf_counter()
                other.post("/v1/recommendations", json={"user_id": "ann", "k": 3})
                slowest = max(slowest, time.perf_counter() - started)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.perf_counter()
    prompt = "人工智能 and so on " * 50_000
    assert len(prompt.encode()) > 1_000_000
    answer = slow.http.post("/v1/completions", json={"model": "generator", "prompt": prompt, "max_tokens": 5})
    seconds = time.perf_counter() - started
    done.set()
    watcher.join()
    assert answer.status_code == 200
    assert answer.json()["usage"]["prompt_tokens"] == 64, "as much as the context holds"
    assert seconds < 5
    assert slowest < 1


def test_one_generation_more_than_there_are_slots_is_refused_with_retry_after(slow: Server) -> None:
    body = {"model": "generator", "prompt": "", "max_tokens": 1000, "stream": True}
    with (
        slow.http.stream("POST", "/v1/completions", json=body) as first,
        slow.http.stream("POST", "/v1/completions", json=body) as second,
    ):
        assert (first.status_code, second.status_code) == (200, 200)
        refused = slow.http.post("/v1/completions", json=body)
        assert refused.status_code == 429
        assert 5 < int(refused.headers["retry-after"]) <= 60, "1,000 tokens at 20 ms are 20 s"
        assert refused.json()["type"] == "/problems/too-many-generations"
        with (
            openai.OpenAI(base_url=f"{slow.url}/v1", api_key="none", max_retries=0) as client,
            pytest.raises(openai.RateLimitError),
        ):
            client.completions.create(model="generator", prompt="")
    until(lambda: metric(slow, "tidegate_generations_active") == 0, 5)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_slot(slow: Server, stream: bool) -> None:
    body = {"model": "generator", "prompt": "", "max_tokens": 1000, "stream": stream}
    before = metric(slow, "tidegate_generations_cancelled_total")
    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.Client(base_url=slow.url, timeout=0.3) as leaving,
        leaving.stream("POST", "/v1/completions", json=body) as answer,
    ):
        next(answer.iter_bytes())
        raise httpx.ReadTimeout("seen enough")
    until(lambda: metric(slow, "tidegate_generations_active") == 0, 5)
    assert metric(slow, "tidegate_generations_cancelled_total") == before + 1
    made = metric(slow, MADE)
    slow.http.post("/v1/completions", json={"model": "generator", "prompt": "", "max_tokens": 4})
    assert metric(slow, MADE) == made + 4, "nothing more is made of a text that nobody waits for"


def test_a_generation_under_way_does_not_hold_up_the_shutdown(publisher: Publisher) -> None:
    publisher.generator(1, delay=0.02)
    with Server(publisher.home) as server:
        server.ready(generator="1")
        body = {"model": "generator", "prompt": "", "max_tokens": 1000, "stream": True}
        with server.http.stream("POST", "/v1/completions", json=body) as answer:
            next(answer.iter_bytes())
            started = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - started < 10


def test_a_bundles_own_chat_template_is_used_and_may_refuse(publisher: Publisher) -> None:
    template = (
        "{% if messages|length > 1 %}{{ raise_exception('one at a time') }}{% endif %}"
        "{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}"
        "{% if add_generation_prompt %}<me>{% endif %}"
    )
    publisher.generator(1, chat_template=template)
    with Server(publisher.home) as server:
        server.ready(generator="1")
        message = {"role": "user", "content": "a b"}
        answer = server.http.post(
            "/v1/chat/completions", json={"model": "generator", "messages": [message], "max_tokens": 1}
        )
        assert answer.json()["usage"]["prompt_tokens"] == 4, "<user> a b <me>"
        refused = server.http.post(
            "/v1/chat/completions", json={"model": "generator", "messages": [message] * 2}
        )
        assert refused.status_code == 422
        assert "one at a time" in refused.json()["detail"]

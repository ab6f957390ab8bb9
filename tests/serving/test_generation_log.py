"""What is generated is journalled under its request id, so that feedback can name it."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.serving.fakes import Publisher
from tests.serving.process import Server

ASKED = {"model": "generator", "temperature": 0, "max_tokens": 2}


def journal(home: Path, stream: str) -> list[dict[str, Any]]:
    folder = home / "landing" / "incoming" / "api" / stream
    return [
        json.loads(row) for path in sorted(folder.glob("*.jsonl")) for row in path.read_text().splitlines()
    ]


def test_every_choice_is_kept_with_its_prompt_and_feedback_needs_the_request_id_alone(
    publisher: Publisher,
) -> None:
    publisher.generator(7)
    with Server(publisher.home) as server:
        server.ready(generator="7")
        body = ASKED | {"prompt": ["今天\u0000", "Today"], "n": 2}
        answer = server.http.post("/v1/completions", json=body, headers={"X-Request-ID": "many"}).json()
        assert len(answer["choices"]) == 4
        streamed = ASKED | {"prompt": "", "stream": True}
        server.http.post("/v1/completions", json=streamed, headers={"X-Request-ID": "stream"})
        chat = ASKED | {"messages": [{"role": "user", "content": "Hi"}]}
        server.http.post("/v1/chat/completions", json=chat, headers={"X-Request-ID": "chat"})
        failed = server.http.post("/v1/completions", json=ASKED | {"prompt": "explode"})
        assert failed.status_code == 500
        word = {"request_id": "many", "choice": 3, "rating": -1}
        assert server.http.post("/v1/feedback", json=word).status_code == 202
        server.stop()
    rows = journal(publisher.home, "generations")
    assert [(row["request_id"], row["choice"], row["prompt"]) for row in rows] == [
        *(("many", 0, "今天"), ("many", 1, "今天"), ("many", 2, "Today"), ("many", 3, "Today")),
        *(("stream", 0, ""), ("chat", 0, "Hi")),
    ]
    assert {row["response"].strip() for row in rows} == {"alpha beta"}
    assert {(row["finish_reason"], row["model_version"]) for row in rows} == {("length", "7")}
    (judged,) = journal(publisher.home, "feedback")
    assert datetime.fromisoformat(judged.pop("occurred_at")).tzinfo is not None
    assert judged == word


def test_nothing_is_kept_where_the_setting_says_so(publisher: Publisher) -> None:
    publisher.generator(1)
    with Server(publisher.home, log_generations=False) as server:
        server.ready(generator="1")
        assert server.http.post("/v1/completions", json=ASKED | {"prompt": "Today"}).status_code == 200
        server.stop()
    assert journal(publisher.home, "generations") == []

"""Drafts, replies, summaries and answers over published posts; the generator is one whose every word is known."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.chat_template import MARKED, follows_instructions, render, render_task
from serving.library import Library
from serving.openai_shapes import Message
from serving.task_answers import cited, extracted_summary
from tests.serving.fakes import TEXTS, Publisher, write_state, write_texts
from tests.serving.process import Server, until
from training.generator.tasks.form import MARKS, OWN, POST, WRITE
from training.generator.tasks.prompt import Turn, reply_prompt
from training.generator.tasks.quote import Post
from training.privacy.injection import injections

SAID = {post: text for post, _, _, _, _, text in TEXTS}


def ask(server: Server, task: str, **body: Any) -> dict[str, Any]:
    answer = server.http.post(f"/v1/tasks/{task}", json={"max_tokens": 3, "seed": 0, **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["object"] == f"task.{task}"
    assert found["request_id"] == answer.headers["X-Request-ID"]
    return found


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("state")
    write_texts(folder)
    liked = [("cem", post, "like", at) for at, post in enumerate_hours(["p1", "p2"])]
    write_state(folder, liked)
    found = Library.load(folder)
    assert found is not None
    return found


def enumerate_hours(posts: list[str]) -> Iterator[tuple[Any, str]]:
    from datetime import timedelta

    from tests.serving.fakes import START

    for hour, post in enumerate(posts):
        yield START + timedelta(hours=hour), post


def test_a_draft_is_made_from_own_posts_and_says_so(server: Server) -> None:
    found = ask(server, "draft", user_id="li", about="火车", n=2)
    assert [choice["text"] for choice in found["choices"]] != [""]
    assert found["usage"]["completion_tokens"] == 6
    choice = found["choices"][0]
    assert (choice["method"], choice["fallback"]) == ("generated", None)
    assert choice["profile"] == {"known_by": "posts", "languages": ["zh"], "topics": ["travel"], "posts": 2}


@pytest.mark.parametrize(
    ("user", "fallback", "known_by"),
    [
        ("nobody", "unknown-user", "nothing"),
        ("quiet", "no-own-posts", "languages"),
        ("ann", "no-own-posts", "activity"),
    ],
)
def test_a_user_without_posts_gets_a_draft_and_a_named_fallback(
    server: Server, user: str, fallback: str, known_by: str
) -> None:
    choice = ask(server, "draft", user_id=user)["choices"][0]
    assert choice["text"]
    assert choice["fallback"] == fallback
    assert choice["profile"]["known_by"] == known_by


def test_a_reply_goes_to_a_published_post_or_to_a_text(server: Server) -> None:
    published = ask(server, "reply", post_id="r2")
    text = ask(server, "reply", text="你好，今天怎么样？")
    assert published["choices"][0]["text"]
    assert text["choices"][0]["method"] == "generated"
    assert published["usage"]["prompt_tokens"] > text["usage"]["prompt_tokens"]


def test_a_thread_is_summarised_by_its_own_sentences_with_their_posts(server: Server) -> None:
    found = ask(server, "summarize", post_id="r1", sentences=2)
    choice = found["choices"][0]
    assert choice["method"] == "extractive"
    assert found["model"] is None
    lines = choice["text"].split("\n")
    assert len(lines) == 2
    for line, citation in zip(lines, choice["citations"], strict=True):
        assert citation["quote"] in SAID[citation["post_id"]]
        assert line == f"{citation['quote']} [{citation['number']}]"


def test_a_question_is_answered_from_posts_that_are_cited(server: Server) -> None:
    for question, expected in (("How much sun do tomatoes need?", "r0"), ("老桥周末几点关闭？", "r3")):
        choice = ask(server, "answer", question=question, k=2)["choices"][0]
        assert choice["method"] == "extractive"
        cited_posts = [citation["post_id"] for citation in choice["citations"]]
        assert expected in cited_posts
        assert all(citation["quote"] in SAID[citation["post_id"]] for citation in choice["citations"])


@pytest.mark.parametrize(
    ("question", "said"),
    [("What is the capital of Mongolia?", "No published post"), ("量子计算机是什么原理？", "没有找到")],
)
def test_a_question_that_no_post_answers_gets_no_invented_answer(
    server: Server, question: str, said: str
) -> None:
    for method in ("auto", "abstractive"):
        found = ask(server, "answer", question=question, method=method)
        choice = found["choices"][0]
        assert (choice["method"], choice["fallback"], choice["citations"]) == ("none", "nothing-relevant", [])
        assert choice["text"].startswith(said)
        assert found["usage"]["total_tokens"] == 0


def test_what_is_asked_wrongly_or_is_not_there_is_a_problem(server: Server) -> None:
    for task, body, status, code in (
        ("reply", {}, 422, "invalid_field"),
        ("reply", {"post_id": "p0", "text": "both"}, 422, "invalid_field"),
        ("reply", {"post_id": "unheard"}, 404, "unknown_post"),
        ("summarize", {"post_id": "unheard"}, 404, "unknown_post"),
        ("summarize", {"texts": []}, 422, "invalid_field"),
        ("answer", {"question": ""}, 422, "invalid_field"),
        ("draft", {"user_id": "li", "model": "other"}, 404, "unknown_model"),
    ):
        answer = server.http.post(f"/v1/tasks/{task}", json=body)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("task", "body"),
    [("draft", {"user_id": "li"}), ("answer", {"question": "How much sun do tomatoes need?"})],
)
def test_a_stream_says_what_one_answer_says(server: Server, task: str, body: dict[str, Any]) -> None:
    whole = ask(server, task, **body)["choices"][0]
    chunks = []
    asked = {"max_tokens": 3, "seed": 0, "stream": True, **body}
    with server.http.stream("POST", f"/v1/tasks/{task}", json=asked) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                chunks += json.loads(line.removeprefix("data: "))["choices"]
    assert "".join(chunk["text"] for chunk in chunks) == whole["text"]
    assert {name: chunks[-1][name] for name in ("method", "citations")} == {
        name: whole[name] for name in ("method", "citations")
    }


def test_the_calls_are_documented(server: Server) -> None:
    paths = server.http.get("/openapi.json").json()["paths"]
    for task in ("draft", "reply", "summarize", "answer"):
        call = paths[f"/v1/tasks/{task}"]["post"]
        assert {"200", "404", "422", "429", "503"} <= set(call["responses"])


def test_a_model_that_follows_instructions_writes_and_is_told_what_is_quoted(publisher: Publisher) -> None:
    template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    publisher.generator(1, ["Six", "hours", "[1]"], chat_template=template)
    publisher.state("s1")
    with Server(publisher.home) as server:
        server.wait_for("generator", "1")
        until(lambda: server.http.post("/v1/tasks/answer", json={"question": "Anything?"}).status_code == 200)
        choice = ask(server, "answer", question="How much sun do tomatoes need?", temperature=0)["choices"][0]
        assert choice["method"] == "abstractive"
        assert choice["text"] == "Six hours [1]"
        (citation,) = choice["citations"]
        assert citation["number"] == 1
        assert citation["quote"] in SAID[citation["post_id"]]
        extractive = ask(server, "summarize", texts=["One. Two.", "One two three."], method="extractive")
        assert extractive["choices"][0]["citations"][0]["post_id"] is None


def test_a_conversation_is_as_its_next_writer_sees_it(library: Library) -> None:
    turns = library.conversation("r2", 3, "amy")
    assert [turn.text for turn in turns] == [SAID["p0"], SAID["r1"], SAID["r2"]]
    assert [turn.own for turn in turns] == [True, True, False]
    assert reply_prompt(turns).plain == f"{OWN}{SAID['p0']}{OWN}{SAID['r1']}{POST}{SAID['r2']}{WRITE}"


def test_a_post_that_talks_to_the_model_is_published_but_never_found(library: Library) -> None:
    post = library.post("evil")
    assert post is not None and injections(post.text)
    assert "evil" not in {one.post.post_id for one in library.search(post.text, 20)}
    assert "p0" in {one.post.post_id for one in library.search(SAID["p0"], 20)}


def test_a_reader_is_known_by_what_was_liked(library: Library) -> None:
    writer = library.writer("cem", 4)
    assert writer.known_by == "activity"
    assert (writer.profile.languages, writer.profile.topics) == (("zh",), ("travel",))
    assert writer.profile.posts == ()


def test_no_message_can_begin_a_section(library: Library) -> None:
    talk = [
        Message(role="user", content=f"a{MARKS}b"),
        Message(role="assistant", content="c"),
        Message(role="user", content=" "),
    ]
    assert render(talk, MARKED) == f"{POST}ab{OWN}c{WRITE}"
    evil = reply_prompt([Turn(SAID["evil"])])
    assert sum(evil.plain.count(mark) for mark in MARKS) == 2
    assert not follows_instructions(MARKED)
    assert "\x1e" not in render_task(evil, None)


def test_a_number_in_a_post_is_no_citation() -> None:
    text = extracted_summary([Post("evil", SAID["evil"]), Post("b", "Cats sleep all day.")], 3)
    found = cited(text, [Post("evil", SAID["evil"]), Post("b", "Cats sleep all day.")])
    assert "ignore (2)" in text
    assert [citation["post_id"] for citation in found] == ["evil", "b"]


def test_a_state_without_texts_is_served_and_tasks_say_so(tmp_path: Path) -> None:
    assert Library.load(tmp_path) is None

import json
import socket

import httpx
import pytest

from serving.problems import KINDS
from tests.serving.process import Server

JSON = {"content-type": "application/json"}


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, object] = answer.json()
    assert found["type"] == f"/problems/{code}"
    assert found["status"] == status
    assert found["title"] == KINDS[code].title
    assert found["detail"]
    assert found["request_id"] == answer.headers["x-request-id"]
    assert found["error"]["code"] == code.replace("-", "_")  # type: ignore[index]
    return found


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"user_id": ',
        b"\xff\xfe\x00bad",
        b'{"user_id": "\xff"}',
        b"[" * 100_000,
        b'{"k": ' + b"9" * 10_000 + b"}",
    ],
    ids=["open", "cut", "binary", "bad utf-8", "deep", "huge number"],
)
@pytest.mark.parametrize(
    "path", ["/v1/recommendations", "/v1/events", "/v1/completions", "/v1/chat/completions"]
)
def test_a_body_that_is_not_json_is_a_400(server: Server, path: str, body: bytes) -> None:
    problem(server.http.post(path, content=body, headers=JSON), 400, "bad-json")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"7", b'"text"'])
@pytest.mark.parametrize(
    "path", ["/v1/recommendations", "/v1/events", "/v1/feedback", "/v1/chat/completions"]
)
def test_json_that_is_not_an_object_is_a_422(server: Server, path: str, body: bytes) -> None:
    problem(server.http.post(path, content=body, headers=JSON), 422, "invalid-field")


@pytest.mark.parametrize("value", ["\\ud800", "a\\u0000b"])
def test_text_that_no_utf8_can_hold_is_a_422(server: Server, value: str) -> None:
    body = b'{"user_id": "%s"}' % value.encode()
    found = problem(server.http.post("/v1/recommendations", content=body, headers=JSON), 422, "invalid-field")
    assert found["errors"][0]["field"] == "user_id"  # type: ignore[index]


def test_a_lone_surrogate_in_a_prompt_is_a_422(server: Server) -> None:
    body = b'{"model": "generator", "prompt": "\\ud83d"}'
    problem(server.http.post("/v1/completions", content=body, headers=JSON), 422, "invalid-field")


def test_a_form_is_refused_by_its_type(server: Server) -> None:
    found = problem(server.http.post("/v1/events", data={"user_id": "ann"}), 415, "unsupported-media-type")
    assert "application/json" in str(found["detail"])


def test_an_unknown_path_is_a_404(server: Server) -> None:
    problem(server.http.get("/v2/nothing"), 404, "not-found")


def test_a_wrong_method_is_a_405_with_the_right_ones(server: Server) -> None:
    answer = server.http.get("/v1/recommendations")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"


def test_a_body_above_the_limit_is_a_413_that_states_it(server: Server) -> None:
    body = json.dumps({"user_id": "ann", "surface": "x" * (5 << 20)}).encode()
    found = problem(
        server.http.post("/v1/recommendations", content=body, headers=JSON), 413, "body-too-large"
    )
    assert str(4 << 20) in str(found["detail"])


def test_a_chunked_body_above_the_limit_is_a_413(server: Server) -> None:
    chunks = (b" " * (1 << 20) for _ in range(6))
    problem(server.http.post("/v1/recommendations", content=chunks, headers=JSON), 413, "body-too-large")


def test_a_body_above_the_limit_on_a_path_that_is_not_there_is_refused_too(server: Server) -> None:
    problem(server.http.post("/nothing", content=b" " * (5 << 20), headers=JSON), 413, "body-too-large")


def test_a_failure_inside_is_a_500_without_its_insides(server: Server) -> None:
    answer = server.http.post("/v1/recommendations", json={"user_id": "breaks"})
    found = problem(answer, 500, "internal")
    assert "broke" not in answer.text
    assert str(found["request_id"]) in server.log()
    assert "RuntimeError: the model broke" in server.log()


def test_a_sane_request_id_is_kept_and_another_replaced(server: Server) -> None:
    assert (
        server.http.get("/healthz", headers={"x-request-id": "abc-123"}).headers["x-request-id"] == "abc-123"
    )
    made = server.http.get("/healthz", headers={"x-request-id": "a b<c>"}).headers["x-request-id"]
    assert len(made) == 32


def test_every_problem_type_can_be_looked_up(server: Server) -> None:
    for code, kind in KINDS.items():
        answer = server.http.get(f"/problems/{code}")
        assert answer.status_code == 200
        assert str(kind.status) in answer.text
    problem(server.http.get("/problems/none"), 404, "not-found")


def test_garbage_instead_of_http_does_not_end_the_server(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as raw:
        raw.sendall(b"\x16\x03\x01 hello \r\n\r\n")
        raw.settimeout(5)
        assert b"400" in raw.recv(1000)
    assert server.http.get("/healthz").status_code == 200


def test_many_bad_fields_are_listed_in_part_and_counted(server: Server) -> None:
    events = [{"user_id": "ann"}] * 50
    answer = server.http.post("/v1/events", json={"events": events})
    found = problem(answer, 422, "invalid-field")
    assert len(found["errors"]) == 20  # type: ignore[arg-type]
    assert "149 more" in str(found["detail"])
    assert len(answer.content) < 10_000

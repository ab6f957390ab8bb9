import json
import re
import signal
import socket

import pytest

import serving.main
from serving.problems import KINDS
from serving.settings import Settings
from tests.serving.fakes import Publisher
from tests.serving.process import Server, until
from training.errors import UserError

CALLS = {
    "/v1/recommendations": "post",
    "/v1/completions": "post",
    "/v1/chat/completions": "post",
    "/v1/events": "post",
    "/v1/feedback": "post",
    "/v1/models": "get",
    "/healthz": "get",
    "/readyz": "get",
    "/metrics": "get",
}


def test_it_is_alive_and_ready(server: Server) -> None:
    assert server.http.get("/healthz").json()["status"] == "alive"
    ready = server.http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert ready.json()["state"]["id"] == "s1"


def test_nothing_promoted_is_not_ready_but_alive(publisher: Publisher) -> None:
    with Server(publisher.home) as server:
        from tests.serving.process import until
        from tests.serving.test_events import alive

        until(lambda: alive(server))
        answer = server.http.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "no model has been promoted yet"
        assert server.http.get("/v1/models").json() == {"object": "list", "data": []}


def test_metrics_count_by_route_and_not_by_path(server: Server) -> None:
    server.http.get("/v1/models/generator")
    server.http.get("/secret-path")
    text = server.http.get("/metrics").text
    assert 'tidegate_request_seconds_count{method="GET",route="/v1/models/{model}",status="200"}' in text
    assert 'route="unmatched",status="404"' in text
    assert "secret-path" not in text


def test_each_request_is_one_line_of_json_in_the_log(server: Server) -> None:
    answer = server.http.post(
        "/v1/recommendations", json={"user_id": "ann"}, headers={"x-request-id": "find-me"}
    )
    assert answer.status_code == 200
    (line,) = until(lambda: [row for row in server.log().splitlines() if "find-me" in row])
    entry = json.loads(line)
    assert (entry["method"], entry["path"], entry["status"]) == ("POST", "/v1/recommendations", 200)
    assert entry["ms"] > 0
    assert entry["model_version"] == "1"
    assert "ann" not in line


def test_the_openapi_document_lists_every_call_with_its_problems(server: Server) -> None:
    document = server.http.get("/openapi.json").json()
    for path, method in CALLS.items():
        assert method in document["paths"][path], path
    for path, method in CALLS.items():
        for status, answer in document["paths"][path][method]["responses"].items():
            if int(status) >= 400:
                assert list(answer["content"]) == ["application/problem+json"], (path, status)
    assert "ProblemDocument" in document["components"]["schemas"]
    assert "HTTPValidationError" not in json.dumps(document)


def test_every_reference_in_the_openapi_document_leads_somewhere(server: Server) -> None:
    text = server.http.get("/openapi.json").text
    names = set(json.loads(text)["components"]["schemas"])
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= names


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_load_nothing_from_elsewhere(server: Server, path: str) -> None:
    answer = server.http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src" in answer.headers["content-security-policy"]
    assert not re.findall(r"(?:src|href)=[\"'](?:https?:)?//", answer.text)


def test_the_docs_bring_their_own_files(server: Server) -> None:
    page = server.http.get("/docs").text
    for found in re.findall(r"(?:src|href)=[\"'](/docs/[^\"']+)", page):
        assert len(server.http.get(found).content) > 10_000
    assert server.http.get("/docs/../app.py").status_code == 404
    assert server.http.get("/docs/favicon.png").status_code == 404


def test_the_home_page_speaks_both_languages_alike(server: Server) -> None:
    page = server.http.get("/").text
    english, chinese = re.search(r"en: \{(.*?)\},\n  zh: \{(.*?)\} \};", page, re.DOTALL).groups()  # type: ignore[union-attr]
    keys = re.compile(r"(\w+): [\"]")
    assert keys.findall(english) == keys.findall(chinese)
    assert set(re.findall(r'data-t="(\w+)"', page)) <= set(keys.findall(english))


def test_a_taken_port_is_one_clear_line(tmp_path: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}"):
            serving.main.run(Settings(home=str(tmp_path)), port)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_asked_to_end_exits_with_zero(publisher: Publisher, number: signal.Signals) -> None:
    publisher.generator(1)
    with Server(publisher.home) as server:
        server.ready(generator="1")
        server.process.send_signal(number)
        assert server.process.wait(15) == 0
    assert "Traceback" not in server.log()


def test_problem_codes_have_a_status_of_an_error() -> None:
    assert all(400 <= kind.status < 600 for kind in KINDS.values())

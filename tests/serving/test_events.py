import json
import resource
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serving.fakes import Publisher
from tests.serving.process import Server, alive, until

EVENT = {"occurred_at": "2026-01-02T03:04:05Z", "user_id": "bob", "post_id": "p9", "action": "like"}
FEEDBACK = {"occurred_at": "2026-01-02T03:04:05Z", "request_id": "r1", "rating": 1}


def sealed(home: Path, stream: str = "events") -> list[dict[str, Any]]:
    folder = home / "landing" / "incoming" / "api" / stream
    return [
        json.loads(row) for path in sorted(folder.glob("*.jsonl")) for row in path.read_text().splitlines()
    ]


def test_one_event_is_accepted(server: Server) -> None:
    answer = server.http.post("/v1/events", json={**EVENT, "user_id": "one"})
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 1, "request_id": answer.headers["x-request-id"]}


def test_a_batch_is_accepted_whole(server: Server) -> None:
    answer = server.http.post("/v1/events", json={"events": [{**EVENT, "user_id": "batch"}] * 1000})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1000)


def test_the_next_recommendation_knows_the_event(server: Server) -> None:
    server.http.post("/v1/events", json={**EVENT, "user_id": "cleo", "post_id": "p0"})
    found = server.http.post("/v1/recommendations", json={"user_id": "cleo", "k": 1}).json()
    assert found["fallback"] is None
    assert found["items"][0]["post_id"] == "p1"
    assert found["items"][0]["reasons"][0] == "because you saw p0"


def test_an_event_about_an_unknown_post_is_kept(server: Server) -> None:
    assert server.http.post("/v1/events", json={**EVENT, "post_id": "not yet known"}).status_code == 202


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"occurred_at": None}, "occurred_at"),
        ({"occurred_at": "yesterday"}, "occurred_at"),
        ({"occurred_at": 1767322800}, "occurred_at"),
        ({"occurred_at": "1767322800"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00Z"}, "occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+23:00"}, "occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59-23:00"}, "occurred_at"),
        ({"occurred_at": (datetime.now(UTC) + timedelta(days=2)).isoformat()}, "occurred_at"),
        ({"user_id": ""}, "user_id"),
        ({"post_id": None}, "post_id"),
        ({"action": "LIKE"}, "action"),
        ({"value": "much"}, "value"),
        ({"value": 1e400}, "value"),
        ({"position": -1}, "position"),
        ({"position": 2**31}, "position"),
        ({"propensity": 0}, "propensity"),
        ({"propensity": 1.01}, "propensity"),
        ({"positon": 1}, "positon"),
    ],
)
def test_the_bad_field_and_its_index_are_named_and_nothing_is_kept(
    server: Server, change: dict[str, Any], field: str
) -> None:
    bad = {**EVENT, "user_id": "refused", **change}
    single = server.http.post(
        "/v1/events", content=json.dumps(bad), headers={"content-type": "application/json"}
    )
    assert single.status_code == 422, single.text
    assert single.json()["errors"][0]["field"] == field
    assert "index" not in single.json()["errors"][0]
    batch = json.dumps({"events": [{**EVENT, "user_id": "refused"}, bad]})
    answer = server.http.post("/v1/events", content=batch, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    error = answer.json()["errors"][0]
    assert (error["field"], error["index"], error["pointer"]) == (field, 1, f"#/events/1/{field}")
    assert (
        server.http.post("/v1/recommendations", json={"user_id": "refused"}).json()["fallback"] == "popular"
    )


@pytest.mark.parametrize("events", [[], [EVENT] * 1001, "text", [7]])
def test_a_batch_of_a_wrong_size_or_kind_is_refused(server: Server, events: object) -> None:
    answer = server.http.post("/v1/events", json={"events": events})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "events"


@pytest.mark.parametrize(
    ("change", "field"),
    [({"rating": 2}, "rating"), ({"request_id": None}, "request_id"), ({"stars": 3}, "stars")],
)
def test_feedback_names_the_bad_field(server: Server, change: dict[str, Any], field: str) -> None:
    answer = server.http.post("/v1/feedback", json={**FEEDBACK, **change})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_lines_hold_the_canonical_columns_that_were_given_in_utc(publisher: Publisher) -> None:
    with Server(publisher.home) as server:
        until(lambda: alive(server))
        full = {
            **EVENT,
            "occurred_at": "2026-01-02T11:04:05.5+08:00",
            "user_id": "用户",
            "value": 3,
            "position": 0,
            "propensity": 0.97,
        }
        server.http.post("/v1/events", json=full)
        server.http.post("/v1/events", json={**EVENT, "occurred_at": "2026-01-02T03:04:05"})
        server.http.post("/v1/feedback", json={**FEEDBACK, "edited_text": "更好\n的"})
        assert server.stop() == 0
    assert sealed(publisher.home) == [
        {**full, "occurred_at": "2026-01-02T03:04:05.500000+00:00", "value": 3.0},
        {**EVENT, "occurred_at": "2026-01-02T03:04:05.000000+00:00"},
    ]
    assert sealed(publisher.home, "feedback") == [
        {**FEEDBACK, "occurred_at": "2026-01-02T03:04:05.000000+00:00", "edited_text": "更好\n的"}
    ]


def test_sigkill_under_concurrent_posts_loses_no_acknowledged_event(publisher: Publisher) -> None:
    acknowledged: list[str] = []
    lock = threading.Lock()

    def post(server: Server, worker: int) -> None:
        with httpx.Client(base_url=server.url) as client:
            for number in range(10_000):
                name = f"{worker}-{number}"
                try:
                    answer = client.post("/v1/events", json={**EVENT, "session_id": name})
                except httpx.TransportError:
                    return
                assert answer.status_code == 202
                with lock:
                    acknowledged.append(name)

    with Server(publisher.home) as server:
        until(lambda: alive(server))
        with ThreadPoolExecutor(8) as workers:
            posting = [workers.submit(post, server, number) for number in range(8)]
            until(lambda: len(acknowledged) > 300)
            server.kill()
            for future in posting:
                future.result()
    assert list((publisher.home / "landing/incoming/api/events").glob("*.jsonl.open"))
    with Server(publisher.home) as again:
        until(lambda: alive(again))
        kept = {row["session_id"] for row in sealed(publisher.home)}
    assert set(acknowledged) <= kept


def test_events_of_a_killed_server_are_known_to_the_next_one(publisher: Publisher) -> None:
    publisher.recommender(1)
    publisher.state("s1")
    with Server(publisher.home) as server:
        server.ready(recommender="1")
        assert server.http.post("/v1/events", json={**EVENT, "post_id": "p0"}).status_code == 202
        server.kill()
    with Server(publisher.home) as again:
        again.ready(recommender="1")
        answer = again.http.post("/v1/recommendations", json={"user_id": "bob", "k": 1}).json()
    assert answer["items"][0]["reasons"][0] == "because you saw p0"


def test_a_full_disk_is_a_503_that_acknowledges_nothing_and_heals(publisher: Publisher) -> None:
    with Server(publisher.home) as server:
        until(lambda: alive(server))
        assert server.http.post("/v1/events", json={**EVENT, "session_id": "kept"}).status_code == 202
        pid, unlimited = server.process.pid, resource.RLIM_INFINITY
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (200, unlimited))
        for _ in range(3):
            answer = server.http.post("/v1/events", json={"events": [EVENT] * 100})
            assert answer.status_code == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["type"] == "/problems/not-durable"
            assert answer.headers["retry-after"] == "5"
        assert server.http.get("/readyz").json()["journals"]["events"]["error"]
        assert 'tidegate_journal_failures_total{stream="events"} 3.0' in server.http.get("/metrics").text
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        assert server.http.post("/v1/events", json={**EVENT, "session_id": "later"}).status_code == 202
        assert server.http.get("/readyz").json()["journals"]["events"]["error"] is None
        server.stop()
    assert [row["session_id"] for row in sealed(publisher.home)] == ["kept", "later"]

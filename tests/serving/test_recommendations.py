import httpx
import pytest

from tests.serving.fakes import Publisher
from tests.serving.process import Server


def ask(server: Server, **body: object) -> httpx.Response:
    return server.http.post("/v1/recommendations", json=body)


def test_a_known_user_gets_posts_with_reasons_and_no_fallback(server: Server) -> None:
    answer = ask(server, user_id="ann", k=3, surface="home")
    assert answer.status_code == 200
    found = answer.json()
    assert found["model_version"] == "1"
    assert found["fallback"] is None
    assert found["surface"] == "home"
    assert [item["post_id"] for item in found["items"]] == ["p1", "p2", "p3"]
    assert found["items"][0]["reasons"][0] == "because you saw p0"
    assert found["request_id"] == answer.headers["x-request-id"]


def test_an_unknown_user_gets_a_named_fallback(server: Server) -> None:
    found = ask(server, user_id="nobody").json()
    assert found["fallback"] == "popular"
    assert len(found["items"]) == 20
    assert 'tidegate_fallbacks_total{fallback="popular"}' in server.http.get("/metrics").text


def test_seen_posts_come_back_when_asked_for(server: Server) -> None:
    assert ask(server, user_id="ann", k=1, exclude_seen=False).json()["items"][0]["post_id"] == "p0"


def test_context_counts_for_this_request_only(server: Server) -> None:
    context = [
        {"post_id": "p1", "action": "like", "occurred_at": "2026-01-02T00:00:00Z"},
        {"post_id": "px", "action": "hide"},
    ]
    assert ask(server, user_id="ann", k=1, context=context).json()["items"][0]["post_id"] == "p2"
    assert ask(server, user_id="ann", k=1).json()["items"][0]["post_id"] == "p1"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"user_id": "ann", "k": 0}, "k"),
        ({"user_id": "ann", "k": -1}, "k"),
        ({"user_id": "ann", "k": 10**9}, "k"),
        ({"user_id": "ann", "k": 10**30}, "k"),
        ({"user_id": "ann", "k": "5"}, "k"),
        ({"user_id": "ann", "k": True}, "k"),
        ({"user_id": "ann", "k": 1.5}, "k"),
        ({"k": 5}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": 7}, "user_id"),
        ({"user_id": "x" * 257}, "user_id"),
        ({"user_id": "a\x00b"}, "user_id"),
        ({"user_id": "ann", "exclude_seen": "yes"}, "exclude_seen"),
        ({"user_id": "ann", "limit": 5}, "limit"),
        ({"user_id": "ann", "plain": "yes"}, "plain"),
        ({"user_id": "ann", "plain": None}, "plain"),
        ({"user_id": "ann", "context": [{"post_id": "p1", "action": "admire"}]}, "action"),
        (
            {"user_id": "ann", "context": [{"post_id": "p1", "action": "like", "occurred_at": 5}]},
            "occurred_at",
        ),
        ({"user_id": "ann", "context": [{"post_id": "p", "action": "like"}] * 201}, "context"),
    ],
)
def test_a_wrong_field_is_named(server: Server, body: dict[str, object], field: str) -> None:
    answer = ask(server, **body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == field
    assert field in answer.json()["detail"]


def test_the_bounds_of_k_are_in_the_openapi_document(server: Server) -> None:
    schema = server.http.get("/openapi.json").json()["components"]["schemas"]["RecommendationRequest"]
    assert (schema["properties"]["k"]["minimum"], schema["properties"]["k"]["maximum"]) == (1, 1000)


def test_the_largest_k_is_answered(server: Server) -> None:
    assert len(ask(server, user_id="ann", k=1000).json()["items"]) == 29


def test_user_ids_may_be_chinese(server: Server) -> None:
    assert ask(server, user_id="用户一").status_code == 200


def test_without_a_champion_the_answer_is_503_with_the_reason(publisher: Publisher) -> None:
    with Server(publisher.home) as server:
        answer = ask(server, user_id="ann")
        assert answer.status_code == 503
        assert answer.json()["detail"] == "no recommender has been promoted yet"
        publisher.recommender(1)
        server.wait_for("recommender", "1")
        answer = ask(server, user_id="ann")
        assert answer.status_code == 503
        assert answer.json()["type"] == "/problems/no-state"
        assert server.http.get("/readyz").status_code == 503
        publisher.state("s1")
        server.ready(recommender="1")
        assert ask(server, user_id="ann").status_code == 200

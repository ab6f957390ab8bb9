from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from serving.models import trained
from serving.probe import probe_bundle
from tests.serving.fakes import Publisher
from tests.serving.process import Server, until
from tests.serving.trained_bundles import publish_tables, recommenders
from training.bundle import Bundle
from training.files import write_json_atomic
from training.recommender.feed.messages import Request
from training.recommender.feed.settings import PLAIN

WEIGHTS = "weights.yaml"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    publish_tables(folder / "online" / "state" / "s1")
    pointer = {"id": "s1", "lake_snapshot": 7, "published_at": datetime.now(UTC).isoformat()}
    write_json_atomic(folder / "online" / "state.json", pointer)
    return folder


@pytest.fixture(scope="module")
def bundles(home: Path) -> dict[str, Bundle]:
    return recommenders(home / "bundles")


@pytest.fixture(scope="module")
def running(home: Path, bundles: dict[str, Bundle]) -> Iterator[Server]:
    Publisher(home).promote(bundles["blend"], 1)
    (home / WEIGHTS).write_text("like: 1\n")
    with Server(home, "serving.main", action_weights=home / WEIGHTS) as server:
        server.ready(recommender="1")
        yield server


def ask(server: Server, user_id: str, **more: object) -> dict[str, object]:
    answer = server.http.post("/v1/recommendations", json={"user_id": user_id, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_a_known_user_is_told_which_posts_of_the_history_weigh(running: Server) -> None:
    found = ask(running, "user1", k=5)
    assert found["fallback"] is None
    assert len(found["items"]) == 5  # type: ignore[arg-type]
    reasons = [reason for item in found["items"] for reason in item["reasons"]]  # type: ignore[attr-defined]
    assert any(reason.startswith(("history:post", "content:post")) for reason in reasons)


def test_a_stranger_gets_the_named_fallback_until_the_first_event(running: Server) -> None:
    first = ask(running, "stranger", k=3)
    assert first["fallback"] == "popularity"
    top = first["items"][0]["post_id"]  # type: ignore[index]
    event = {"user_id": "stranger", "post_id": top, "action": "like", "occurred_at": "2026-01-11T00:00:00Z"}
    assert running.http.post("/v1/events", json=event).status_code == 202
    then = ask(running, "stranger", k=3)
    assert then["fallback"] is None
    assert top not in [item["post_id"] for item in then["items"]]  # type: ignore[attr-defined]
    again = ask(running, "stranger", k=300, exclude_seen=False)
    assert top in [item["post_id"] for item in again["items"]]  # type: ignore[attr-defined]


def test_the_next_answer_follows_the_file_of_weights(running: Server, home: Path) -> None:
    def top(**more: object) -> dict[str, Any]:
        found: list[dict[str, Any]] = ask(running, "user4", k=1, **more)["items"]  # type: ignore[assignment]
        return found[0]

    before = top()
    assert 0 < before["actions"]["like"] <= 1
    (home / WEIGHTS).write_text("like: 3.0\n")
    assert top()["score"] == pytest.approx(3 * before["score"])
    (home / WEIGHTS).write_text("love: 3.0\n")
    assert top()["score"] == pytest.approx(3 * before["score"])
    assert "unknown action 'love'" in running.log_path.read_text()
    assert top(plain=True)["actions"] is None


def test_a_server_with_wrong_weights_does_not_start(home: Path, bundles: dict[str, Bundle]) -> None:
    wrong = home / "wrong.yaml"
    wrong.write_text("like: much\n")
    with Server(home, "serving.main", action_weights=wrong) as server:
        assert server.process.wait(60) != 0
        assert "like must be a number, not 'much'" in server.log_path.read_text()


def test_context_with_known_and_unknown_posts_is_used(running: Server) -> None:
    context = [{"post_id": "post1", "action": "like"}, {"post_id": "nobody knows this", "action": "like"}]
    found = ask(running, "fresh", k=3, context=context)
    assert found["fallback"] is None
    assert ask(running, "fresh", k=3)["fallback"] == "popularity"


def test_an_answer_states_propensities_and_its_request_id_repeats_it(running: Server) -> None:
    def items(request_id: str, **more: object) -> list[dict[str, object]]:
        body = {"user_id": "user2", "k": 10, **more}
        answer = running.http.post("/v1/recommendations", json=body, headers={"X-Request-ID": request_id})
        assert answer.json()["request_id"] == request_id
        found: list[dict[str, object]] = answer.json()["items"]
        return found

    answers = [items(f"request-{number}") for number in range(40)]
    assert answers[7] == items("request-7")
    explored = [item for answer in answers for item in answer if item["explored"]]
    assert explored, "400 places at a chance of 0.03"
    for item in explored:
        assert item["reasons"] == ["exploration"]
        assert item["propensity"] == pytest.approx(0.003)
    ranked = [item for answer in answers for item in answer if not item["explored"]]
    assert {item["propensity"] for item in ranked} == {0.97}
    assert {item["propensity"] for item in items("request-7", plain=True)} == {1.0}


def test_more_posts_than_there_are_gives_those_there_are(running: Server) -> None:
    assert 0 < len(ask(running, "user1", k=1000)["items"]) <= 300  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["popularity", "item_knn", "slist", "blend"])
def test_every_kind_passes_the_probe_and_takes_over(
    running: Server, home: Path, bundles: dict[str, Bundle], name: str
) -> None:
    result = probe_bundle(bundles[name].path, home / "online" / "state" / "s1", 1000.0)
    assert result.ok, result.detail
    publisher = Publisher(home)
    publisher.promote(bundles[name], 10)
    until(lambda: ask(running, "user1")["model_version"] == "10")
    assert ask(running, "user1")["items"]
    publisher.promote(bundles["blend"], 1)
    running.ready(recommender="1")


def test_models_registered_before_requests_were_answered_together_still_get_their_answers(
    bundles: dict[str, Bundle],
) -> None:
    loaders, path = trained(PLAIN), bundles["popularity"].path
    ranker = loaders.recommender(bundles["popularity"]).on(loaders.state(path / "state"))
    # As MLflow keeps it with the model: the code that was current then.
    assert ranker.recommend("user1", 3) == ranker.answer([Request("user1", 3)])[0]  # type: ignore[attr-defined]

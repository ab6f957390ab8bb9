import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.serving.fakes import START, Publisher
from tests.serving.process import Server, until


class Load:
    """Clients that ask without a pause; what they saw."""

    def __init__(self) -> None:
        self.versions: list[tuple[float, str]] = []
        self.failures: list[str] = []

    def first(self, version: str) -> float | None:
        """When this version answered first (monotonic seconds)."""
        return next((at for at, seen in list(self.versions) if seen == version), None)


@contextmanager
def under_load(server: Server, clients: int = 4) -> Iterator[Load]:
    load, done = Load(), threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.url, timeout=10) as client:
            while not done.is_set():
                try:
                    answer = client.post("/v1/recommendations", json={"user_id": "ann", "k": 5})
                    text = client.post(
                        "/v1/completions", json={"model": "generator", "prompt": "", "max_tokens": 2}
                    )
                except httpx.TransportError as error:
                    load.failures.append(repr(error))
                    continue
                for got in (answer, text):
                    if got.status_code not in (200, 429):
                        load.failures.append(got.text)
                if answer.status_code == 200:
                    load.versions.append((time.monotonic(), answer.json()["model_version"]))

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(load.versions) > 20)
        yield load
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def both(publisher: Publisher) -> Publisher:
    publisher.recommender(1)
    publisher.generator(1)
    publisher.state("s1")
    return publisher


def test_a_promotion_is_served_within_five_seconds_without_a_failed_request(both: Publisher) -> None:
    with Server(both.home, poll_seconds=0.5) as server:
        server.ready(recommender="1", generator="1")
        with under_load(server) as load:
            for version in ("2", "3"):
                both.recommender(int(version), load_seconds=1.0)
                both.generator(int(version))
                promoted = time.monotonic()
                until(lambda version=version: load.first(version))
                assert (load.first(version) or 0) - promoted < 5
            found = server.ready(recommender="3", generator="3")
        assert load.failures == []
        assert [version for _, version in sorted(load.versions)][-1] == "3"
        assert found["models"]["generator"]["version"] == "3"
        metrics = server.http.get("/metrics").text
        assert 'tidegate_swaps_total{model="recommender"} 3.0' in metrics
        assert metrics.count("\ntidegate_champion{") == 2


def test_a_rollback_is_followed(both: Publisher) -> None:
    first = dict(both.entries["recommender"])
    with Server(both.home) as server:
        both.recommender(2)
        server.ready(recommender="2")
        both.entries["recommender"] = first
        both.write()
        server.ready(recommender="1")


def test_the_same_bundle_under_a_new_version_is_renamed_without_a_load(both: Publisher) -> None:
    with Server(both.home) as server:
        server.ready(recommender="1")
        both.entries["recommender"]["version"] = "9"
        both.write()
        server.ready(recommender="9")
        assert server.log().count('"event": "bundle loaded"') == 2


def spoil_a_byte(publisher: Publisher) -> str:
    publisher.recommender(2)
    return "fake.json differs from its manifest"


def spoil_the_folder(publisher: Publisher) -> str:
    shutil.rmtree(publisher.recommender(2).path)
    return "is not a bundle"


def spoil_the_digest(publisher: Publisher) -> str:
    publisher.recommender(2)
    publisher.entries["recommender"]["digest"] = "0" * 64
    return "promoted was 000000000000"


def spoil_the_kind(publisher: Publisher) -> str:
    bundle = publisher.generator(2)
    entry = publisher.entries.pop("generator")
    publisher.entries["recommender"] = {**entry, "digest": bundle.digest}
    publisher.generator(1 + 2)
    return "holds a generator, not a recommender"


@pytest.mark.parametrize("spoil", [spoil_a_byte, spoil_the_folder, spoil_the_digest, spoil_the_kind])
def test_a_bundle_that_does_not_verify_keeps_the_last_good_one_and_says_so(
    both: Publisher, spoil: object
) -> None:
    with Server(both.home) as server:
        server.ready(recommender="1", generator="1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Publisher, "write", lambda self: None)
            reason = spoil(both)  # type: ignore[operator]
        if spoil is spoil_a_byte:
            file = both.home / both.entries["recommender"]["bundle"] / "fake.json"
            file.write_bytes(file.read_bytes().replace(b"p1", b"q1"))
        both.write()
        found = until(lambda: refused(server, "recommender"))
        assert reason in found["refused"]["recommender"]["reason"]
        assert found["status"] == "degraded"
        assert found["models"]["recommender"]["version"] == "1"
        assert server.http.post("/v1/recommendations", json={"user_id": "ann"}).json()["model_version"] == "1"
        listed = {model["id"]: model for model in server.http.get("/v1/models").json()["data"]}
        assert reason in listed["recommender"]["refused"]["reason"]
        assert listed["generator"]["refused"] is None
        metrics = server.http.get("/metrics").text
        assert 'tidegate_swap_refusals_total{model="recommender"} 1.0' in metrics
        assert 'tidegate_champion_stale{model="recommender"} 1.0' in metrics
        both.recommender(5)
        assert server.ready(recommender="5")["status"] == "ready"
        assert 'tidegate_champion_stale{model="recommender"} 0.0' in server.http.get("/metrics").text


def refused(server: Server, subject: str) -> dict[str, dict[str, dict[str, str]]] | None:
    found: dict[str, dict[str, dict[str, str]]] = server.http.get("/readyz").json()
    return found if subject in found["refused"] else None


def test_a_bundle_that_answers_its_golden_requests_differently_is_refused(both: Publisher) -> None:
    with Server(both.home) as server:
        server.ready(generator="1")
        both.generator(2, words=["other", "words"], ends_after=1)
        found = until(lambda: refused(server, "generator"))
        assert "golden request 0 gave" in found["refused"]["generator"]["reason"]
        assert found["models"]["generator"]["version"] == "1"


def test_a_first_bundle_that_fails_is_not_ready_and_the_503_says_why(publisher: Publisher) -> None:
    bundle = publisher.generator(1)
    (bundle.path / "fake.json").unlink()
    with Server(publisher.home) as server:
        found = until(lambda: refused_or_down(server))
        assert found["status"] == 503
        assert found["detail"] == "generator 1 is not loaded"
        answer = server.http.post("/v1/completions", json={"model": "generator", "prompt": ""})
        assert answer.status_code == 503
        assert "fake.json is missing" in answer.json()["detail"]
        assert server.http.get("/healthz").status_code == 200


def refused_or_down(server: Server) -> dict[str, object] | None:
    try:
        return refused(server, "generator")  # type: ignore[return-value]
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("text", ["{", "[]", '{"recommender": {}}', '{"recommender": 7}', ""])
def test_a_garbled_pointer_keeps_everything_until_it_is_mended(both: Publisher, text: str) -> None:
    with Server(both.home) as server:
        server.ready(recommender="1", generator="1")
        (both.home / "online" / "champions.json").write_text(text)
        found = until(lambda: refused(server, "recommender"))
        assert "champions.json" in found["refused"]["recommender"]["target"]
        assert found["models"]["recommender"]["version"] == "1"
        both.write()
        until(lambda: not server.http.get("/readyz").json()["refused"], 5)


def test_a_withdrawn_model_answers_503(both: Publisher) -> None:
    with Server(both.home) as server:
        server.ready(recommender="1", generator="1")
        del both.entries["generator"]
        both.write()
        until(lambda: server.http.get("/readyz").json()["models"]["generator"] is None)
        assert server.http.get("/readyz").status_code == 200
        answer = server.http.post("/v1/completions", json={"model": "generator", "prompt": ""})
        assert answer.status_code == 503


def test_a_new_state_takes_over_with_the_events_that_it_does_not_hold(both: Publisher) -> None:
    held = ("bob", "p3", "like", START + timedelta(hours=1))
    missed = {"user_id": "bob", "post_id": "p4", "action": "like", "occurred_at": "2026-01-01T02:00:00Z"}
    with Server(both.home) as server:
        server.ready(recommender="1")
        server.http.post("/v1/events", json={**missed, "post_id": "p3", "occurred_at": held[3].isoformat()})
        server.http.post("/v1/events", json=missed)
        both.state("s2", [("ann", "p0", "like", START), held, ("eve", "p0", "view", START)])
        until(lambda: server.http.get("/readyz").json()["state"]["id"] == "s2")
        answer = server.http.post("/v1/recommendations", json={"user_id": "bob", "k": 1}).json()
    assert answer["items"][0]["reasons"] == ["because you saw p4", "4 events"], (
        "three published, one replayed"
    )


def test_a_state_that_cannot_be_read_keeps_the_last_good_one(both: Publisher) -> None:
    with Server(both.home) as server:
        server.ready(recommender="1")
        both.state("s2")
        until(lambda: server.http.get("/readyz").json()["state"]["id"] == "s2")
        (both.home / "online" / "state" / "s3").mkdir()
        pointer = (both.home / "online" / "state.json").read_text().replace("s2", "s3")
        (both.home / "online" / "state.json").write_text(pointer)
        found = until(lambda: refused(server, "state"))
        assert found["status"] == "degraded"
        assert found["state"]["id"] == "s2"
        assert server.http.post("/v1/recommendations", json={"user_id": "ann"}).status_code == 200


def test_states_swap_under_load_without_a_failed_request(both: Publisher) -> None:
    with Server(both.home) as server:
        server.ready(recommender="1", generator="1")
        with under_load(server, clients=2) as load:
            for number in range(3):
                both.state(f"t{number}", [("ann", "p0", "like", datetime.now(UTC))])
                until(lambda number=number: server.http.get("/readyz").json()["state"]["id"] == f"t{number}")
        assert load.failures == []

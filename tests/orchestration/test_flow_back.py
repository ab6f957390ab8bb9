"""What users do with the answers flows back: from the API's journal through the landing zone into the lake."""

from pathlib import Path

from orchestration.home import prepare_home
from orchestration.lake.connection import read_table
from orchestration.lake.ingest import ingest_incoming
from orchestration.lake.status import raw_counts
from serving.settings import Settings
from tests.serving.process import Server, alive, until

EVENT = {"user_id": "u1", "post_id": "p1", "action": "like", "request_id": "r1", "model_version": "3"}
WORD = {"request_id": "r2", "prompt": "今天", "response": "天气很好", "rating": 1, "model_version": "2"}


def test_events_and_feedback_of_the_api_are_rows_of_the_lake_once(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    settings = Settings(home=tmp_path)
    prepare_home(settings)
    with Server(tmp_path, "serving.main") as server:
        until(lambda: alive(server))
        events = [EVENT | {"occurred_at": f"2026-03-01T08:00:{second:02}Z"} for second in range(30)]
        assert server.http.post("/v1/events", json={"events": events}).status_code == 202
        # A client that did not see the answer sends again.
        assert server.http.post("/v1/events", json={"events": events}).status_code == 202
        answer = server.http.post("/v1/feedback", json=WORD | {"occurred_at": "2026-03-01T08:01:00Z"})
        assert answer.status_code == 202, answer.text
        server.stop()
    report = ingest_incoming(settings, lambda _: None)
    assert "nothing new" not in report.line()
    counts = raw_counts(settings)
    assert (counts["events"], counts["feedback"]) == (30, 1)
    row = read_table(settings, "raw.feedback").to_pylist()[0]
    assert {name: row[name] for name in ("request_id", "prompt", "response", "rating")} == {
        name: WORD[name] for name in ("request_id", "prompt", "response", "rating")
    }
    assert "nothing new" in ingest_incoming(settings, lambda _: None).line()
    assert raw_counts(settings)["events"] == 30

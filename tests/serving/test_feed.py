import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serving import feed
from serving.canonical import Event, lines
from serving.feed import LiveEvent, LiveFeed, StateInfo, not_in
from serving.metrics import Metrics
from serving.models import Ranker
from tests.serving.fakes import START, FakeRecommender, FakeState, write_state


def event(user: str, post: str = "p1", minutes: int = 0) -> LiveEvent:
    return LiveEvent(user, post, "like", START + timedelta(minutes=minutes))


def info(name: str) -> StateInfo:
    return StateInfo(name, 1, START.isoformat(), START)


def published(folder: Path, rows: list[tuple[str, str, str, datetime]]) -> tuple[FakeState, Path]:
    write_state(folder, rows)
    return FakeState(folder), folder / "interactions.parquet"


def test_events_in_the_published_table_are_left_out_in_order(tmp_path: Path) -> None:
    _, table = published(tmp_path, [("a", "p1", "like", START), ("b", "p1", "hide", START)])
    events = [event("c", minutes=5), event("a"), event("b"), event("a", minutes=1)]
    assert not_in(table, events) == [events[0], events[2], events[3]]
    assert not_in(table, []) == []


def test_a_state_gets_what_came_before_it_and_while_it_loaded(tmp_path: Path) -> None:
    live = LiveFeed(Metrics())
    state, table = published(tmp_path / "s1", [("a", "p1", "like", START)])

    async def story() -> list[str]:
        await live.observe([event("a"), event("b")])
        await asyncio.to_thread(live.publish, state, info("s1"), table)
        await live.observe([event("c")])
        return sorted(state.seen)

    assert asyncio.run(story()) == ["a", "b", "c"]
    assert state.observed == 3, "the event of a was in the table already"
    newer, table = published(tmp_path / "s2", [("a", "p1", "like", START), ("b", "p1", "like", START)])
    live.publish(newer, info("s2"), table)
    assert sorted(newer.seen) == ["a", "b", "c"]
    assert newer.observed == 3
    live.close()


def test_events_that_come_during_the_replay_are_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = LiveFeed(Metrics())
    state, table = published(tmp_path, [("a", "p1", "like", START)])
    real = not_in

    def meanwhile(path: Path, events: list[LiveEvent]) -> list[LiveEvent]:
        asyncio.run(live.observe([event("late"), event("later")]))
        return real(path, events)

    monkeypatch.setattr(feed, "not_in", meanwhile)
    live._take_in([event("early")])
    live.publish(state, info("s1"), table)
    assert list(state.seen) == ["a", "early", "late", "later"]
    live.close()


def test_sealed_segments_are_recalled_and_a_bad_line_is_passed_over(tmp_path: Path) -> None:
    rows = [
        Event(occurred_at=START, user_id=name, post_id="p1", action="view", value=12.0)  # type: ignore[arg-type]
        for name in ("a", "b")
    ]
    (tmp_path / "1.jsonl").write_bytes(lines(rows[:1]) + b'{"user_id": "x"}\nnot json\n')
    (tmp_path / "2.jsonl").write_bytes(lines(rows[1:]))
    (tmp_path / "3.jsonl.open").write_bytes(lines(rows))
    live = LiveFeed(Metrics())
    assert live.recall(tmp_path) == 2
    state, table = published(tmp_path / "s1", [("a", "p9", "like", datetime(2027, 1, 1, tzinfo=UTC))])
    live.publish(state, info("s1"), table)
    assert sorted(state.seen) == ["a", "b"]
    live.close()


def test_only_the_newest_events_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "REMEMBERED", 3)
    live = LiveFeed(Metrics())
    for number in range(5):
        row = Event(occurred_at=START, user_id=f"u{number}", post_id="p", action="like")  # type: ignore[arg-type]
        (tmp_path / f"{number}.jsonl").write_bytes(lines([row]))
    assert live.recall(tmp_path) == 3
    live._take_in([event("newest")])
    assert [known.user_id for known in live._recent] == ["u3", "u4", "newest"]
    live.close()


def test_the_model_and_the_state_that_answer_always_fit_together(tmp_path: Path) -> None:
    live = LiveFeed(Metrics())
    recommender = FakeRecommender.__new__(FakeRecommender)
    recommender.posts = ["p1"]
    first, table = published(tmp_path / "s1", [("a", "p1", "like", START)])
    second, _ = published(tmp_path / "s2", [("b", "p1", "like", START)])

    def answers() -> tuple[str, object] | None:
        return live.desk and (live.desk.version, live.desk.ranker.state)  # type: ignore[attr-defined]

    live.employ("1", recommender)
    assert answers() is None
    live.publish(first, info("s1"), table)
    assert answers() == ("1", first)
    live.employ("2", recommender)
    assert answers() == ("2", first)
    live.publish(second, info("s2"), table)
    assert answers() == ("2", second)
    live.dismiss()
    assert answers() is None
    live.close()


def test_a_model_that_cannot_be_prepared_leaves_the_former_one(tmp_path: Path) -> None:
    class Broken:
        def on(self, state: object) -> Ranker:
            raise ValueError("does not fit")

    live = LiveFeed(Metrics())
    state, table = published(tmp_path, [("a", "p1", "like", START)])
    recommender = FakeRecommender.__new__(FakeRecommender)
    recommender.posts = ["p1"]
    live.publish(state, info("s1"), table)
    live.employ("1", recommender)
    with pytest.raises(ValueError, match="does not fit"):
        live.employ("2", Broken())
    assert live.desk is not None
    assert live.desk.version == "1"
    live.close()

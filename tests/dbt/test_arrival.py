"""The same rows give the same marts in whatever way they arrive, and later rows do not change what was known."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.sources.schema import ACTIONS
from tests.dbt.project import World

START = datetime(2024, 3, 1, 22, tzinfo=UTC)
POSTS = [f"p{number}" for number in range(6)]
USERS = ["ann", "bob", "cem", "anonymous"]
TEXTS = ["今天天气不错", "今天天气不错！", "Same words", "same  words", "mail ann@example.com", "", None]
Row = dict[str, Any]

FEW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def moments(low: int, high: int) -> st.SearchStrategy[datetime]:
    """Moments a few hours apart, so that some coincide and some days are skipped."""
    return st.integers(low, high).map(lambda step: START + timedelta(hours=step))


def events(low: int, high: int, posts: list[str], prefix: str) -> st.SearchStrategy[list[Row]]:
    row = st.fixed_dictionaries(
        {
            "occurred_at": moments(low, high),
            "user_id": st.sampled_from(USERS),
            "post_id": st.sampled_from([*posts, "unknown"]),
            "action": st.sampled_from(ACTIONS),
            "value": st.sampled_from([None, 9.5, 10.0]),
        }
    )
    numbered = st.lists(row, max_size=12)
    return numbered.map(lambda rows: [{**one, "event_id": f"{prefix}{at}"} for at, one in enumerate(rows)])


def posts(low: int, high: int, ids: list[str], targets: list[str]) -> st.SearchStrategy[list[Row]]:
    """Post rows; an id may come twice with different content, and answer itself, a cycle, or what nobody knows."""
    row = st.fixed_dictionaries(
        {
            "post_id": st.sampled_from(ids),
            "created_at": moments(low, high),
            "author_id": st.sampled_from([None, *USERS]),
            "text": st.sampled_from(TEXTS),
            "lang": st.sampled_from([None, "zh", "en"]),
            "topics": st.sampled_from([None, ["cats"], ["dogs", "cats"]]),
            "reply_to": st.sampled_from([None, *targets, "lost"]),
        }
    )
    return st.lists(row, max_size=8)


def profiles() -> st.SearchStrategy[list[Row]]:
    row = st.fixed_dictionaries(
        {
            "user_id": st.sampled_from([*USERS, "dee"]),
            "joined_at": st.one_of(st.none(), moments(-100, 0)),
            "language": st.sampled_from([None, "zh"]),
        }
    )
    return st.lists(row, max_size=4)


@FEW
@given(
    rows=st.tuples(events(0, 80, POSTS, "e"), posts(-10, 80, POSTS, POSTS), profiles()),
    arrival=st.data(),
)
def test_any_order_repetition_or_delay_of_the_same_rows_gives_the_same_marts(
    world: World, other_world: World, rows: tuple[list[Row], list[Row], list[Row]], arrival: st.DataObject
) -> None:
    streams = dict(zip(("events", "posts", "users"), rows, strict=True))
    at_once = world.emptied()
    at_once.load(**streams)
    at_once.build()

    everything = [(stream, row) for stream, some in streams.items() for row in some]
    again = arrival.draw(st.lists(st.sampled_from(everything), max_size=5)) if everything else []
    shuffled = arrival.draw(st.permutations([*everything, *again]))
    cuts = sorted(arrival.draw(st.lists(st.integers(0, len(shuffled)), max_size=2)))
    in_parts = other_world.emptied()
    for start, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
        part: dict[str, list[Row]] = {}
        for stream, row in shuffled[start:end]:
            part.setdefault(stream, []).append(row)
        in_parts.load(**part)
        in_parts.build()

    assert in_parts.hashes() == at_once.hashes()
    daily = "select * from lake.intermediate.item_daily order by all"
    assert in_parts.rows(daily) == at_once.rows(daily)


# A thread of three levels whose middle comes twice, and what was done with each level on two days.
LIKE = {"action": "like"}
THREAD: dict[str, list[Row]] = {
    "posts": [
        {"post_id": "root", "created_at": START, "author_id": "ann", "text": "one", "topics": ["cats"]},
        {"post_id": "middle", "created_at": START, "author_id": "bob", "text": None, "reply_to": "other"},
        {"post_id": "middle", "created_at": START, "author_id": "bob", "text": "two", "reply_to": "root"},
        {"post_id": "leaf", "created_at": START, "author_id": "cem", "text": "one!", "reply_to": "middle"},
    ],
    "events": [
        {"event_id": name, "occurred_at": START + timedelta(hours=at), "user_id": user, "post_id": post} | LIKE
        for name, at, user, post in (
            ("e1", 1, "ann", "leaf"), ("e2", 5, "ann", "middle"), ("e3", 5, "bob", "root"), ("e4", 0, "ann", "root"),
        )
    ],
    "users": [{"user_id": "ann", "joined_at": START, "language": "zh"}],
}  # fmt: skip


def test_a_thread_that_comes_row_by_row_with_a_build_after_each_ends_in_the_same_marts(
    world: World, other_world: World
) -> None:
    world.emptied().load(**THREAD)
    world.build()
    rows = [(stream, row) for stream, some in THREAD.items() for row in some]
    for seed in range(12):
        other_world.emptied()
        for stream, row in Random(seed).sample(rows, len(rows)):
            other_world.load(**{stream: [row]})
            other_world.build()
        assert other_world.hashes() == world.hashes(), seed


KNOWN_BEFORE = {
    "events": "select * from lake.marts.interactions where occurred_at < $midnight order by all",
    "days of users": "select * from lake.marts.user_days where occurred_on < $midnight::date order by all",
    "days of items": "select * from lake.intermediate.item_daily where occurred_on < $midnight::date order by all",
    "days in all": """
        select * from lake.marts.daily_activity where occurred_on < $midnight::date order by all""",
    "histories": """
        select user_id, [one for one in list_zip(occurred_at, item_ids, actions, weights) if one[1] < $midnight] steps
        from lake.marts.user_sequences where len(steps) > 0 order by all""",
    "posts": """
        select columns(* exclude (impressions, views, likes, comments, shares, saves, hides, reports, engagement))
        from lake.marts.posts where created_at < $midnight order by all""",
    "documents": "select * from lake.marts.corpus_documents where created_at < $midnight order by all",
}


@FEW
@given(
    before=st.tuples(events(0, 25, POSTS[:3], "e"), posts(-10, 25, POSTS[:3], POSTS[:3])),
    after=st.tuples(events(26, 80, POSTS, "f"), posts(26, 80, POSTS[3:], POSTS)),
)
def test_what_comes_after_a_day_does_not_change_what_was_known_at_its_start(
    world: World, before: tuple[list[Row], list[Row]], after: tuple[list[Row], list[Row]]
) -> None:
    midnight = datetime(2024, 3, 3, tzinfo=UTC)
    world.emptied().load(events=before[0], posts=before[1])
    world.build()
    known = {
        name: world.connection.execute(query, {"midnight": midnight}).fetchall()
        for name, query in KNOWN_BEFORE.items()
    }
    world.load(events=after[0], posts=after[1])
    world.build()
    for name, query in KNOWN_BEFORE.items():
        assert world.connection.execute(query, {"midnight": midnight}).fetchall() == known[name], name

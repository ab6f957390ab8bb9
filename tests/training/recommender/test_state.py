import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.recommender.worlds import START, events_table, posts_table, state_of, tables
from training.errors import UserError
from training.recommender.data import ANONYMOUS, NotEnoughDataError, read_events, read_posts
from training.recommender.feed.messages import ContextEvent
from training.recommender.state import FeedState
from training.recommender.view import FeedView

POSTS = [
    {"post_id": "p0", "author": "u0", "lang": "en", "topics": ["a", "b"], "community": "a"},
    {"post_id": "p1", "at": 60, "author": "u1", "lang": "zh", "topics": ["b"], "community": "b"},
    {"post_id": "p2", "at": 60, "topics": None},
    {"post_id": "r1", "at": 90, "item_id": "p1", "author": "u2"},
]
AUTHOR = {row["post_id"]: row.get("author") for row in POSTS}
one_event = st.tuples(
    st.integers(100, 10_000).map(float),
    st.sampled_from(["u0", "u1", "u2", ANONYMOUS]),
    st.sampled_from(["p0", "p1", "p2", "stray"]),
    st.sampled_from(["like", "comment", "hide", "impression", "view"]),
)
some_events = st.lists(one_event, min_size=1, max_size=25)


def picture(state: FeedState) -> dict[str, object]:
    """What a model can see of a state, by name."""
    view = FeedView.of(state, START + 20_000)
    people, names = ["u0", "u1", "u2"], state.items.names
    batch = view.users(people)
    order = np.argsort([str(name) for name in names])
    return {
        "names": [names[n] for n in order],
        "counts": np.exp(np.concatenate([view.log_popularity, view.log_activity, view.log_dislikes], 1))[
            order
        ],
        "users": view.item_users[order],
        "created": view.created[order],
        "history": [[names[n] for n in row if n >= 0] for row in batch.item],
        "acted": [sorted(str(names[n]) for n in row) for row in batch.acted],
        "hidden": [sorted(str(names[n]) for n in row) for row in batch.hidden],
    }


def same(one: dict[str, object], other: dict[str, object]) -> None:
    for key, value in one.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(value, other[key], rtol=1e-9, atol=1e-12)
        else:
            assert value == other[key], key


@given(some_events, st.randoms())
@settings(max_examples=40, deadline=None)
def test_any_order_of_the_rows_gives_the_same_state(events, random):
    table = events_table(events, AUTHOR)
    order = list(range(len(events)))
    random.shuffle(order)
    posts = posts_table(POSTS)
    one = FeedState.from_tables(table, posts)
    other = FeedState.from_tables(table.take(order), posts.take([3, 1, 0, 2]))
    same(picture(one), picture(other))


@given(some_events, st.integers(0, 25))
@settings(max_examples=40, deadline=None)
def test_however_the_stream_is_cut_the_state_is_the_same(events, place):
    log, posts = read_events(events_table(events, AUTHOR)), read_posts(posts_table(POSTS))
    cut = FeedState()
    cut.add_posts(posts)
    cut.extend(log.rows(slice(0, place)))
    cut.extend(log.rows(slice(place, None)))
    same(picture(FeedState.from_tables(events_table(events, AUTHOR), posts_table(POSTS))), picture(cut))


@given(some_events)
@settings(max_examples=40, deadline=None)
def test_live_events_count_as_the_mart_counts_them(events):
    ordered = sorted(events, key=lambda event: event[0])
    live = FeedState()
    live.add_posts(read_posts(posts_table(POSTS)))
    for at, user, post, action in ordered:
        live.observe(user, post, action, START + at)
    same(picture(FeedState.from_tables(events_table(ordered, AUTHOR), posts_table(POSTS))), picture(live))


def test_a_live_event_on_a_reply_counts_for_its_thread():
    state = state_of(tables([(100.0, "u0", "p0", "like")], POSTS))
    state.observe("u2", "r1", "like", START + 200)
    assert state.items.names[state.history.read(state.users.lookup(["u2"]))["item"][0, -1]] == "p1"


def test_an_unknown_action_is_refused_and_changes_nothing():
    state = state_of(tables([(100.0, "u0", "p0", "like")], POSTS))
    with pytest.raises(ValueError, match="unknown action 'poke'"):
        state.observe("u2", "p0", "poke", START + 200)
    assert state.users.get("u2") == -1


def test_anonymous_votes_count_for_the_post_but_make_no_user():
    state = state_of(tables([(100.0, ANONYMOUS, "p0", "like")] * 3, POSTS))
    assert len(state.users) == 0
    assert np.exp(FeedView.of(state, START + 100).log_popularity[state.item_of("p0")]) == pytest.approx(3.0)


def test_what_a_request_brings_along_stands_at_the_end_of_the_history():
    view = FeedView.of(state_of(tables([(100.0, "u2", "p0", "like")], POSTS)))
    context = [
        ContextEvent("p2", "hide", START + 210),
        ContextEvent("nobody knows this", "like", START + 220),
        ContextEvent("r1", "like", START + 200),
        ContextEvent("p0", "like", START + 230),
    ]
    users = view.users(["u2"], [context])
    names = view.state.items.names
    assert [names[n] for n in users.item[0] if n >= 0] == ["p0", "p1"]
    assert {names[n] for n in np.flatnonzero(view.forbidden(users)[0])} == {"p0", "p1", "p2"}
    assert {names[n] for n in np.flatnonzero(view.forbidden(users, seen=False)[0])} == {"p2"}


def test_a_table_without_a_column_or_without_rows_is_one_clear_line():
    table = events_table([(0.0, "u", "p", "like")])
    with pytest.raises(UserError, match=r"^table interactions lacks the column weight$"):
        read_events(table.drop_columns(["weight"]))
    with pytest.raises(UserError, match=r"^table posts lacks the column topics$"):
        read_posts(posts_table(POSTS).drop_columns(["topics"]))
    with pytest.raises(NotEnoughDataError, match="needs interactions, and there are none"):
        read_events(table.slice(0, 0))

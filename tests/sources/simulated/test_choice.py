import numpy as np
import pytest

from orchestration.sources.simulated import choice
from orchestration.sources.simulated.day import ACTIONS
from orchestration.sources.simulated.feed import NOTIFICATION
from tests.sources.simulated.worlds import action_number, column, days

UTILITIES = np.linspace(-3, 4, 50)
ZERO = np.zeros(50, dtype=np.int64)


@pytest.mark.parametrize("action", [a for a in choice.ACTIONS if a not in {"hide", "report"}])
def test_more_utility_makes_kind_actions_likelier(action):
    assert (np.diff(choice.action_chance(action, UTILITIES)) > 0).all()


@pytest.mark.parametrize("action", ["hide", "report"])
def test_more_utility_makes_unkind_actions_rarer(action):
    assert (np.diff(choice.action_chance(action, UTILITIES)) < 0).all()


def test_a_lower_place_is_seen_less():
    chances = choice.view_chance(np.ones(9), np.arange(9))
    assert (np.diff(chances) < 0).all()
    assert chances[-1] < 0.5 * chances[0]


def test_chances_are_chances():
    for chance in (choice.view_chance(UTILITIES, ZERO), choice.positive_chance(UTILITIES, ZERO)):
        assert ((chance > 0) & (chance < 1)).all()


def test_expected_events_are_what_the_chances_add_up_to():
    alone = 1 + choice.view_chance(UTILITIES, ZERO) * (
        1 + sum(choice.action_chance(action, UTILITIES) for action in choice.ACTIONS)
    )
    np.testing.assert_allclose(choice.expected_events(UTILITIES, ZERO), alone)


def test_position_bias_is_in_the_events():
    _, played = days()
    action, position = column(played, "action"), column(played, "position")
    feed = column(played, "surface") != NOTIFICATION
    shown = np.bincount(position[feed & (action == 0) & (position >= 0)], minlength=9)
    viewed = np.bincount(position[feed & (action == 1)], minlength=9)
    rate = viewed[:6] / shown[:6]
    assert (np.diff(rate) < 0).all()
    assert rate[5] < 0.6 * rate[0]


def engagement(selected: np.ndarray, action: np.ndarray) -> float:
    """Likes an impression among the selected events."""
    return float((action[selected] == action_number("like")).sum() / (action[selected] == 0).sum())


def test_people_like_more_of_what_interests_them():
    world, played = days()
    kind, users = column(played, "action"), column(played, "user")
    topic = np.concatenate(
        [day.posts.topic[np.searchsorted(day.posts.code, root_codes(day))] for day in played]
    )
    people = np.arange(len(world.users))
    interests = world.interests(people, 7)
    rank = np.argsort(np.argsort(-interests, axis=1), axis=1)
    feed = (column(played, "surface") != NOTIFICATION) & ~world.users.bot[users]
    most = feed & (rank[users, topic] == 0)
    least = feed & (rank[users, topic] >= 8)
    assert engagement(most, kind) > 2 * engagement(least, kind)


def root_codes(day) -> np.ndarray:
    """The opening post of each event: comments may be on replies."""
    root = dict(zip(day.replies.code.tolist(), day.posts.code[day.replies.root].tolist(), strict=True))
    return np.array([root.get(code, code) for code in day.events.code.tolist()])


def test_people_hardly_like_what_they_cannot_read():
    world, played = days()
    language = np.concatenate(
        [day.posts.language[np.searchsorted(day.posts.code, root_codes(day))] for day in played]
    )
    users, kind = column(played, "user"), column(played, "action")
    reads = choice._READS[world.users.language[users], language] & ~world.users.bot[users]
    foreign = ~reads & ~world.users.bot[users]
    assert engagement(reads, kind) > 3 * engagement(foreign, kind)


def test_spam_that_is_looked_at_is_hidden_and_reported_more_than_the_rest():
    _, played = days(bots=12, events=40_000)
    spam = np.concatenate(
        [day.posts.spam[np.searchsorted(day.posts.code, root_codes(day))] for day in played]
    )
    kind = column(played, "action")
    unkind = (kind == action_number("hide")) | (kind == action_number("report"))
    viewed = kind == action_number("view")
    assert unkind[spam].sum() / viewed[spam].sum() > 5 * unkind[~spam].sum() / viewed[~spam].sum()


def test_actions_have_the_canonical_names():
    from orchestration.sources import schema

    assert sorted(ACTIONS) == sorted(schema.ACTIONS)

import numpy as np
import pytest

from orchestration.sources.simulated import Scenario, continue_scenario
from orchestration.sources.simulated.day import Chronicle
from orchestration.sources.simulated.feed import NOTIFICATION
from orchestration.sources.simulated.population import World
from orchestration.sources.simulated.series import fan_share, is_fan
from tests.sources.simulated.worlds import SMALL, action_number, column, days


def rest(scenario: Scenario, numbers: range) -> list:
    chronicle = Chronicle(World(scenario))
    return [chronicle.day(number) for number in numbers]


def assert_same_days(first: list, second: list) -> None:
    for one, other in zip(first, second, strict=True):
        for part in ("events", "replies", "new"):
            left, right = getattr(one, part), getattr(other, part)
            for name in left.__dataclass_fields__:
                np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


def test_a_day_does_not_depend_on_which_days_were_generated_before():
    scenario = Scenario(**SMALL)
    whole = rest(scenario, range(14))
    assert_same_days(whole[9:], rest(scenario, range(9, 14)))


def test_a_longer_stretch_of_a_world_begins_as_the_shorter_one():
    short = Scenario(**SMALL)
    long = Scenario(**(SMALL | {"days": 20, "events": SMALL["events"] * 20 / 14 // 1, "world_days": 14}))
    long = long.model_copy(update={"events": SMALL["events"] * 20 / 14})
    assert_same_days(rest(short, range(14)), rest(long, range(20))[:14])


def test_a_continued_world_goes_on_as_if_it_had_never_stopped():
    first = Scenario(**SMALL)
    second = continue_scenario(first, days=7)
    whole = Scenario(**(SMALL | {"days": 21, "events": SMALL["events"] * 3 // 2, "world_days": 14}))
    assert_same_days(rest(second, range(14, 21)), rest(whole, range(14, 21)))


def test_a_shift_leaves_the_days_before_it_as_they_were():
    calm, shifted = Scenario(**SMALL), Scenario(**(SMALL | {"drift": "sudden", "drift_day": 9}))
    assert_same_days(rest(calm, range(9)), rest(shifted, range(9)))
    assert len(rest(calm, range(9, 10))[0].events) != len(rest(shifted, range(9, 10))[0].events)


@pytest.mark.parametrize(
    "knobs", [{}, {"users": 1000, "posts": 500}, {"events": 40_000}, {"days": 3, "users": 60}]
)
def test_a_world_has_about_as_many_events_as_asked_for(knobs):
    world, played = days(**knobs)
    assert sum(len(day.events) for day in played) == pytest.approx(world.scenario.events, rel=0.15)


def test_opening_posts_are_as_many_as_asked_for():
    _, played = days()
    chronicle = Chronicle(World(Scenario(**SMALL)))
    posts = [chronicle.posts_on(day) for day in range(-7, 14)]
    assert sum((~day.spam).sum() for day in posts) == pytest.approx(SMALL["posts"], rel=0.03)
    assert len(played[0].new) > 0


def test_nothing_happens_before_it_can():
    world, played = days()
    for day in played:
        order = np.argsort(day.posts.code)
        opening = day.events.code % 1_000_000 < 500_000
        at = order[np.searchsorted(day.posts.code[order], day.events.code[opening])]
        assert (day.events.time[opening] >= day.posts.created[at]).all()
        assert (day.events.time > world.users.joined[day.events.user]).all()
        assert (np.diff(day.events.time) >= 0).all()


def test_hardly_anyone_meets_a_post_twice():
    world, played = days()
    shown = (column(played, "action") == 0) & ~world.users.bot[column(played, "user")]
    pairs = column(played, "user")[shown] * 10**9 + column(played, "code")[shown]
    assert len(np.unique(pairs)) > 0.9 * len(pairs)


def test_nobody_acts_on_the_own_post_unless_in_reply():
    _, played = days()
    for day in played:
        order = np.argsort(day.posts.code)
        opening = day.events.code % 1_000_000 < 500_000
        at = order[np.searchsorted(day.posts.code[order], day.events.code[opening])]
        assert (day.posts.author[at] != day.events.user[opening]).all()


def test_every_comment_is_a_reply_and_every_reply_answers_something_earlier():
    _, played = days()
    for day in played:
        comments = (day.events.action == action_number("comment")).sum()
        assert comments == len(day.replies.code)
        parents = day.replies.parent
        known = set(day.posts.code.tolist()) | set(day.replies.code.tolist())
        assert set(parents.tolist()) <= known
        assert (
            parents[parents % 1_000_000 >= 500_000] < day.replies.code[parents % 1_000_000 >= 500_000]
        ).all()


def test_those_who_read_a_part_read_the_next_in_order():
    _, played = days(days=21, events=18_000)
    notified = column(played, "surface") == NOTIFICATION
    viewed = notified & (column(played, "action") == 0)
    time, user, code = (column(played, name)[viewed] for name in ("time", "user", "code"))
    posts = played[-1].posts
    at = {c: i for i, c in enumerate(posts.code.tolist())}
    reads: dict[tuple[int, int], list[tuple[float, int]]] = {}
    for moment, who, what in zip(time.tolist(), user.tolist(), code.tolist(), strict=True):
        row = at.get(what)
        if row is not None:
            reads.setdefault((who, int(posts.series[row])), []).append((moment, int(posts.part[row])))
    runs = [[part for _, part in sorted(read)] for read in reads.values()]
    assert all(run == list(range(run[0], run[0] + len(run))) for run in runs)
    assert np.mean([len(run) > 1 for run in runs]) > 0.4


def test_fans_are_fans_on_every_day():
    world = World(Scenario(**SMALL))
    share = fan_share(world)
    users, series, second = np.arange(200), np.full(200, 3), np.zeros(200, dtype=bool)
    np.testing.assert_array_equal(
        is_fan(world, users, series, second, share), is_fan(world, users, series, second, share)
    )
    assert 0 < is_fan(world, users, series, second, share).sum() < 200


def test_interests_are_shares_that_move_slowly_without_drift_and_leap_with_it():
    calm, shifted = World(Scenario(**SMALL)), World(Scenario(**(SMALL | {"drift": "sudden", "drift_day": 7})))
    people = np.arange(200)
    before, week_later = calm.interests(people, 6), calm.interests(people, 13)
    after = shifted.interests(people, 13)
    np.testing.assert_allclose(before.sum(axis=1), 1)
    moved = np.abs(week_later - before).sum(axis=1).mean()
    leapt = np.abs(after - before).sum(axis=1).mean()
    assert leapt > 3 * moved
    assert 0 < moved < 0.4


def test_users_come_and_go_and_their_number_stays():
    world = World(Scenario(users=3000, posts=3000, events=30_000, days=60))
    present = [int(world.present(day).sum()) for day in (0, 20, 40, 59)]
    assert max(present) < 1.08 * min(present)
    assert 0 < (world.users.joined >= 0).sum() < len(world.users)


def test_bots_work_day_and_night():
    world, played = days(bots=8, events=30_000)
    bots = world.users.bot[column(played, "user")]
    hours = np.bincount((column(played, "time")[bots] % 1 * 24).astype(int), minlength=24)
    people = np.bincount((column(played, "time")[~bots] % 1 * 24).astype(int), minlength=24)
    assert bots.sum() > 100
    assert hours.std() / hours.mean() < 0.6 * people.std() / people.mean()


def test_the_seed_makes_the_world():
    first, second = World(Scenario(**SMALL)), World(Scenario(**(SMALL | {"seed": 8})))
    assert (first.users.language != second.users.language).any()
    assert first.scenario.tag != second.scenario.tag

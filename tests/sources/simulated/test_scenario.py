from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orchestration.sources.simulated import Scenario, Shift, continue_scenario, load_scenario, write_scenario
from orchestration.sources.simulated.population import World
from training.errors import UserError


@pytest.mark.parametrize("name", ["world.json", "world.yaml", "world.yml"])
def test_a_scenario_is_read_as_it_was_written(tmp_path, name):
    scenario = continue_scenario(Scenario(drift="sudden", seed=3, truth="truth"), days=10, drift="gradual")
    write_scenario(tmp_path / name, scenario)
    assert load_scenario(tmp_path / name) == scenario


@pytest.mark.parametrize(("content", "reason"), [
    ("users: many", "users"),
    ("colour: red", "colour"),
    ("drift: slow", "drift"),
    ("users: 20\nbots: 9", "bots"),
    ("days: 5\ndrift: sudden\ndrift_day: 5", "drift_day"),
    ("events: 2000000000\ndays: 9", "at most 20,000,000 events"),
    ("- a list", "a scenario names its knobs"),
    ("{broken", "not a scenario"),
    ("", "a scenario names its knobs"),
])  # fmt: skip
def test_a_false_scenario_is_refused_in_one_line(tmp_path, content, reason):
    path = tmp_path / "world.yaml"
    path.write_text(content)
    with pytest.raises(UserError, match=reason) as error:
        load_scenario(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_scenario_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        load_scenario(tmp_path / "nowhere.yaml")


def test_unknown_knobs_are_refused():
    with pytest.raises(ValidationError):
        Scenario(user=5)  # type: ignore[call-arg]


def test_a_shift_begins_two_thirds_through_unless_told():
    assert Scenario(drift="sudden").shift == Shift(kind="sudden", day=28)
    assert Scenario(drift="sudden", drift_day=5).shift == Shift(kind="sudden", day=5)
    assert Scenario(drift="gradual", drift_day=5).shift == Shift(kind="gradual", day=5, days=37)
    assert Scenario().shift is None


def test_a_continued_world_is_the_same_world_later():
    first = Scenario(users=400, posts=1000, events=5000, days=20, drift="sudden")
    second = continue_scenario(first, days=10, drift="sudden", drift_day=4)
    assert (second.first_day, second.end_day, second.events) == (20, 30, 2500)
    assert (second.tag, second.posts_a_day, second.users) == (first.tag, first.posts_a_day, first.users)
    assert [shift.day for shift in second.all_shifts] == [13, 24]
    assert second.date_of(24) == date(2026, 1, 29)


def test_a_second_shift_brings_the_world_back():
    first = Scenario(drift="sudden", drift_day=10, days=20)
    world = World(continue_scenario(first, days=20, drift="sudden", drift_day=10))
    assert [world.level(day) for day in (0, 9.9, 10, 29.9, 30, 39)] == [0, 0, 1, 1, 0, 0]


def test_a_gradual_shift_ramps_up_and_stays():
    world = World(Scenario(drift="gradual", drift_day=10, days=20))
    assert [world.level(day) for day in (9, 10, 15, 20, 50)] == [0, 0, 0.5, 1, 1]


@given(st.integers(0, 2**31), st.sampled_from(["users", "posts", "seed", "bots", "days"]))
def test_worlds_that_differ_in_people_or_posts_differ_in_their_ids(seed, knob):
    first = Scenario(seed=seed)
    other = Scenario(**(first.model_dump() | {knob: getattr(first, knob) + 1}))
    assert first.tag != other.tag
    assert Scenario(seed=seed, events=999, drift="sudden").tag == first.tag

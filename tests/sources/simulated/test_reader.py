"""The reader of simulated worlds, as the product uses it."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from orchestration.quality.expectations import Border
from orchestration.sources.simulated import Scenario, continue_scenario
from tests.sources.simulated.worlds import SMALL, Streams, streams


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> tuple:
    made = tmp_path_factory.mktemp("world")
    return made, streams(made, Scenario(**SMALL, truth="truth"))


def test_the_same_scenario_gives_the_same_rows_and_another_seed_others(folder, tmp_path):
    _, first = folder
    again, other = streams(tmp_path, Scenario(**SMALL)), streams(tmp_path, Scenario(**(SMALL | {"seed": 8})))
    for stream, table in first.items():
        assert again[stream].equals(table), stream
    assert not set(other["events"]["event_id"].to_pylist()) & set(first["events"]["event_id"].to_pylist())
    assert other["posts"]["text"].to_pylist() != first["posts"]["text"].to_pylist()


def test_every_row_passes_the_border(folder):
    for stream, table in folder[1].items():
        _, rejected = Border(stream).split(table)
        assert rejected.num_rows == 0, (stream, rejected["reason"].to_pylist()[:3])


@pytest.mark.parametrize("knobs", [{"users": 100}, {"posts": 300}, {"days": 5}, {"events": 3000}])
def test_a_world_has_the_size_that_its_knobs_ask_for(tmp_path, knobs):
    scenario = Scenario(**(SMALL | knobs))
    made = streams(tmp_path, scenario)
    opened = pc.sum(pc.is_null(made["posts"]["reply_to"])).as_py()
    spam = 0.8 * scenario.bots * (scenario.days + 7)
    assert made["users"].num_rows == pytest.approx(scenario.users, rel=0.02)
    assert opened == pytest.approx(scenario.posts + spam, rel=0.1)
    assert made["events"].num_rows == pytest.approx(scenario.events, rel=0.15)
    days = set(pc.floor_temporal(made["events"]["occurred_at"], unit="day").to_pylist())
    assert scenario.days <= len(days) <= scenario.days + 1


def test_without_bots_there_are_no_bots_and_no_spam(tmp_path):
    scenario = Scenario(**(SMALL | {"bots": 0, "truth": "truth"}))
    streams(tmp_path, scenario)
    assert json.loads((tmp_path / "truth" / "day-00000" / "world.json").read_text())["bots"] == []


def test_impressions_hides_and_reports_are_among_the_events(folder):
    counted = dict(
        zip(
            *[
                column.to_pylist()
                for column in pc.value_counts(folder[1]["events"]["action"].combine_chunks()).flatten()
            ],
            strict=True,
        )
    )
    assert counted["impression"] > counted["view"] > counted["like"] > counted["share"] > 0
    assert counted["hide"] > 0
    assert counted["report"] > 0


def test_texts_are_in_english_in_chinese_and_in_both(folder):
    posts = folder[1]["posts"]
    texts = {lang: posts.filter(pc.equal(posts["lang"], lang))["text"] for lang in ("en", "zh")}
    for lang, han in (("en", False), ("zh", True)):
        share = pc.mean(pc.cast(pc.match_substring_regex(texts[lang], r"\p{Han}{3}"), pa.float64())).as_py()
        assert (share > 0.9) == han
        assert len(texts[lang]) > 0.25 * posts.num_rows
    mixed = pc.and_(
        pc.match_substring_regex(posts["text"], r"\p{Han}{2}"),
        pc.match_substring_regex(posts["text"], r"[a-z]{3} [a-z]{3}"),
    )
    assert 0.02 < pc.sum(mixed).as_py() / posts.num_rows < 0.3


def test_the_truth_lies_apart_and_names_what_was_planted(folder):
    made, rows = folder
    truth = made / "truth" / "day-00000"
    planted = pq.read_table(truth / "personal.parquet").to_pylist()
    texts = dict(zip(rows["posts"]["post_id"].to_pylist(), rows["posts"]["text"].to_pylist(), strict=True))
    assert planted and all(one["value"] in texts[one["post_id"]] for one in planted)
    known = json.loads((truth / "world.json").read_text())
    assert len(known["bots"]) == Scenario(**SMALL).bots
    assert known["moved"] == []
    interests = np.array(pq.read_table(truth / "users.parquet")["interests"].to_pylist())
    np.testing.assert_allclose(interests.sum(axis=1), 1)
    # Nothing that a product reads says who is a bot.
    assert not any("bot" in str(one) for one in rows["users"].slice(0, 50).to_pylist())


@pytest.mark.parametrize("drift", ["gradual", "sudden"])
def test_a_shift_moves_hours_languages_and_lengths_after_its_day_only(tmp_path, folder, drift):
    calm = folder[1]
    shifted = streams(tmp_path, Scenario(**SMALL, drift=drift, drift_day=7, truth="truth"))

    def before(made: Streams, stream: str, time: str) -> pa.Table:
        cut = pa.scalar(Scenario().microseconds(7)).cast(pa.timestamp("us", tz="UTC"))
        return made[stream].filter(pc.less(made[stream][time], cut)).drop(["_row"])

    assert before(shifted, "events", "occurred_at").equals(before(calm, "events", "occurred_at"))

    def length(made: Streams) -> float:
        return pc.mean(pc.utf8_length(made["posts"]["text"].slice(made["posts"].num_rows - 150))).as_py()

    assert length(shifted) > 1.2 * length(calm)
    world = json.loads((tmp_path / "truth" / "day-00000" / "world.json").read_text())
    assert world["shifts"][0]["date"] == "2026-01-12"
    assert "posts.lang" in world["moved"]


def test_a_continued_world_repeats_no_id_and_no_row(folder, tmp_path):
    first, second = folder[1], streams(tmp_path, continue_scenario(Scenario(**SMALL), days=3))
    for stream, key in (("events", "event_id"), ("posts", "post_id"), ("users", "user_id")):
        assert not set(first[stream][key].to_pylist()) & set(second[stream][key].to_pylist())
    known = set(first["users"]["user_id"].to_pylist()) | set(second["users"]["user_id"].to_pylist())
    assert set(second["events"]["user_id"].to_pylist()) <= known

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.recommender.worlds import DAY, HOUR, START, tables
from training.errors import NotEnoughDataError
from training.recommender.config import SplitConfig
from training.recommender.data import RecommenderTables
from training.recommender.evaluate import bootstrap_means, choose, interval, metric_name, paired
from training.recommender.replay import Replay
from training.recommender.slices import slices_of
from training.recommender.split import sample, split_in_time

POSTS = [{"post_id": f"p{n}", "author": f"a{n}", "lang": "en", "community": "c"} for n in range(30)]


def spread(users=30, posts=10, step=HOUR):
    """Each user likes each of the first posts, one event a step."""
    pairs = [(u, p) for p in range(posts) for u in range(users)]
    return [(step * (n + 1), f"u{u}", f"p{p}", "like") for n, (u, p) in enumerate(pairs)]


def test_the_last_shares_in_time_are_test_and_validation():
    replay = Replay(tables(spread(), POSTS))
    split = split_in_time(replay, SplitConfig(min_window_events=10))
    sizes = [
        len(replay.rows_in(*edges))
        for edges in (
            (-np.inf, split.warm),
            (split.warm, split.cut),
            (split.cut, split.test),
            (split.test, split.end),
        )
    ]
    assert sizes == [59, 180, 30, 31]
    assert split.window[0].timestamp() == split.test


def test_small_data_get_larger_windows_up_to_a_fifth():
    replay = Replay(tables(spread(), POSTS))
    split = split_in_time(replay, SplitConfig(min_window_events=500))
    assert len(replay.rows_in(split.test, split.end)) == 61


@pytest.mark.parametrize(
    ("events", "sentence"),
    [
        (spread(users=30, posts=2), "at least 200 first interactions of users with others' posts, found 60"),
        (spread(users=10, posts=25), "at least 20 users with a positive interaction, found 10"),
        (spread(step=0.0), "they happen at too few distinct times"),
    ],
)
def test_too_little_data_is_said_in_a_sentence(events, sentence):
    with pytest.raises(NotEnoughDataError, match=sentence):
        split_in_time(Replay(tables(events, POSTS)), SplitConfig())


def test_a_sample_is_drawn_in_order_and_whole_when_small():
    rows = np.arange(100) * 3
    found = sample(rows, 10, 1)
    assert len(found) == 10
    assert (np.diff(found) > 0).all()
    assert set(found) <= set(rows)
    np.testing.assert_array_equal(sample(rows, 100, 1), rows)


def test_users_are_resampled_with_all_their_events():
    # Two users, means 0 and 1: a resample is one of them twice, or both.
    means = bootstrap_means(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]), 400, 1)
    assert set(means.tolist()) == {0.0, 0.5, 1.0}
    assert np.mean(means == 0.5) == pytest.approx(0.5, abs=0.1)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30))
def test_an_interval_holds_within_the_values_and_shrinks_to_a_constant(values):
    low, high = interval(np.array(values), np.arange(len(values)), 100, 1)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9
    constant = interval(np.full(len(values), 0.3), np.arange(len(values)), 100, 1)
    assert constant == pytest.approx((0.3, 0.3))


def test_a_constant_gain_has_no_error_however_the_users_differ():
    base = np.random.default_rng(1).random(200)
    gap = paired(base + 0.01, base, np.arange(200), 200, 1)
    assert (gap.mean, gap.low, gap.high) == pytest.approx((0.01, 0.01, 0.01))


def test_the_cheapest_model_within_one_error_of_the_best_is_chosen():
    rng = np.random.default_rng(1)
    users, base = np.arange(500), rng.random(500)
    noise = rng.normal(0, 0.3, 500)
    noise -= noise.mean()
    cheap, near, far = base, base + 0.005 + noise, base + 0.1
    assert choose({"cheap": cheap, "near": near}, users, 200, 1) == "cheap"
    assert choose({"cheap": cheap, "near": near, "far": far}, users, 200, 1) == "far"


def test_slices_say_how_active_a_user_was_before_the_event_and_what_the_post_is():
    events = [(HOUR * (n + 1), "busy", f"p{n}", "like") for n in range(8)]
    events += [(HOUR * 2 + n, "calm", f"p{n}", "like") for n in range(2)]
    events += [(DAY, "busy", "p9", "like"), (DAY, "calm", "p9", "like"), (DAY, "busy", "stray", "like")]
    made = tables(events, POSTS)
    people = pa.table({"user_id": ["busy"], "region": ["CN"], "language": ["zh"]})
    replay = Replay(RecommenderTables(made.interactions, made.posts, people))
    rows = replay.rows_in(START + DAY, START + 2 * DAY)
    found = slices_of(replay, rows, START + DAY)
    kinds = ("activity", "lang", "author_size", "user_region", "user_language")
    by_event = dict(
        zip(
            zip(replay.events.user[rows], replay.events.item[rows], strict=True),
            zip(
                *(found.values[kind] for kind in kinds),
                strict=True,
            ),
            strict=True,
        )
    )
    assert by_event == {
        ("busy", "p9"): ("heavy", "en", "small", "CN", "zh"),
        ("calm", "p9"): ("new", "en", "small", "unknown", "unknown"),
        ("busy", "stray"): ("heavy", "und", "unknown", "CN", "zh"),
    }


def test_names_of_slices_are_made_fit_for_mlflow():
    assert metric_name("C++ & 音乐/rock") == "C__ _ 音乐_rock"

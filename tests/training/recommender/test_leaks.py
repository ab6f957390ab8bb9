"""What happens after an instant changes no score before it, and nothing of the test window is learnt from."""

import numpy as np
import pyarrow as pa
import pytest

from tests.training.recommender.worlds import HOUR, replaced, small_config
from training.recommender.fit import Trainer, fit_all
from training.recommender.models.popularity import Popularity
from training.recommender.models.registry import read_model
from training.recommender.ranking import rank_events
from training.recommender.replay import Replay
from training.recommender.slices import slices_of
from training.recommender.split import split_in_time


def altered_after(made, instant):
    """The same events up to `instant`; after it users and posts are drawn by lot, and posts have other content."""
    rng = np.random.default_rng(2)
    table = made.interactions.sort_by([("occurred_at", "ascending"), ("event_id", "ascending")])
    t = table["occurred_at"].cast(pa.int64()).to_numpy() / 1e6
    late = np.flatnonzero(t >= instant)
    for name in ("user_id", "item_id"):
        values = np.array(table[name].to_pylist(), dtype=object)
        values[late] = values[rng.permutation(late)]
        table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))
    posts = made.posts
    born = posts["created_at"].cast(pa.int64()).to_numpy() / 1e6
    langs = [
        None if at >= instant else lang for at, lang in zip(born, posts["lang"].to_pylist(), strict=True)
    ]
    posts = posts.set_column(posts.column_names.index("lang"), "lang", pa.array(langs, pa.string()))
    return type(made)(table, posts, made.users)


@pytest.fixture(scope="module")
def two_fits(tastes):
    """Everything fitted on the tables, and on tables that differ in the test window alone."""
    config = small_config()
    replay = Replay(tastes)
    split = split_in_time(replay, config.split)
    validation = replay.rows_in(split.cut, split.test)
    other = Replay(altered_after(tastes, split.test))
    np.testing.assert_array_equal(validation, other.rows_in(split.cut, split.test))
    assert (replay.events.user != other.events.user).any()
    assert (replay.posts.lang != other.posts.lang).any()
    return [fit_all(Trainer(r, split, config, lambda line: None, validation)) for r in (replay, other)]


@pytest.mark.parametrize(
    "name", ["popularity", "item_knn", "content", "als", "slist", "sequential", "sasrec", "blend"]
)
def test_nothing_of_the_test_window_is_learnt(two_fits, name):
    one, other = (fitted[name].model.parts() for fitted, _, _ in two_fits)
    assert one.config == other.config
    assert one.vocabularies == other.vocabularies
    assert one.arrays.keys() == other.arrays.keys()
    for key, value in one.arrays.items():
        np.testing.assert_array_equal(value, other.arrays[key])


def test_ranks_of_the_validation_window_know_nothing_of_what_comes_after_it(two_fits):
    (_, one, _), (_, other, _) = two_fits
    for name, ranked in one.items():
        np.testing.assert_array_equal(ranked.rank, other[name].rank)


def test_a_rank_depends_on_what_was_before_its_refresh_alone(tastes, outcome):
    replay = Replay(tastes)
    start, end = (moment.timestamp() for moment in outcome.window)
    middle = np.floor((start + end) / 2 / HOUR) * HOUR
    other = Replay(altered_after(tastes, middle + HOUR))
    rows = replay.rows_in(start, middle + HOUR)
    assert len(rows) > 20
    models = {c.name: read_model(c.bundle).score for c in outcome.candidates}
    one, two = (rank_events(r, rows, HOUR, models, lists=False) for r in (replay, other))
    for name in models:
        np.testing.assert_array_equal(one[name].rank, two[name].rank)


def test_events_after_the_refresh_in_the_same_hour_count_for_nothing(tastes):
    replay = Replay(tastes)
    rows = replay.heldout[-40:]
    moved = replay.events.t[rows] // HOUR * HOUR
    model = {"popularity": Popularity(1.0, 1.0).score}
    rank = rank_events(replay, rows, HOUR, model)["popularity"].rank
    for row, now, found in zip(rows.tolist(), moved.tolist(), rank.tolist(), strict=True):
        t = tastes.interactions["occurred_at"].cast(pa.int64()).to_numpy() / 1e6
        here = replay.events.t[row]
        kept = tastes.interactions.filter(pa.array((t < now) | (np.abs(t - here) < 1e-6)))
        alone = Replay(replaced(tastes, kept))
        last = alone.heldout[
            (alone.events.item[alone.heldout] == replay.events.item[row])
            & (alone.events.user[alone.heldout] == replay.events.user[row])
        ]
        assert rank_events(alone, last, HOUR, model)["popularity"].rank.tolist() == [found]


def test_slices_are_taken_from_before_the_window(tastes):
    replay = Replay(tastes)
    rows = replay.heldout[-100:]
    start = float(replay.events.t[rows[0]])
    later = Replay(altered_after(tastes, float(replay.events.t[rows[-1]]) - 1.0))
    one, other = slices_of(replay, rows[:50], start), slices_of(later, rows[:50], start)
    for kind in ("activity", "author_size", "community"):
        assert one.values[kind].tolist() == other.values[kind].tolist()

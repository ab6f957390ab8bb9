"""Chances, heads and weights on small generated data with known truth."""

import os

import numpy as np
import pyarrow as pa
import pytest

from tests.training.recommender import worlds
from training.errors import UserError
from training.recommender.config import ActionsConfig
from training.recommender.value.calibration import calibration
from training.recommender.value.exposures import ACTIONS, Exposures, done_after, read_exposures
from training.recommender.value.fit import Met, draw, first_step, fit_base
from training.recommender.value.heads import FEATURES
from training.recommender.value.logistic import fit_logistic, sigmoid
from training.recommender.value.weights import DEFAULT, WatchedWeights, read_weights

HOUR = 3600.0


def events(*rows: tuple[float, str, str, str]) -> pa.Table:
    table = worlds.events_table(rows)
    return table.append_column("position", pa.array([number % 3 for number in range(len(rows))], pa.int64()))


def done(exposures: Exposures) -> list[set[str]]:
    return [{ACTIONS[at] for at in np.flatnonzero(row)} for row in exposures.done]


def test_an_action_belongs_to_the_latest_time_the_post_was_shown_before_it():
    table = events(
        (0, "ann", "a", "impression"),
        (1, "ann", "b", "impression"),
        (2, "ann", "a", "impression"),
        (3, "ann", "a", "like"),
        (4, "ann", "a", "comment"),
        (5, "bob", "a", "impression"),
        (5, "bob", "a", "hide"),
        (6, "ann", "a", "impression"),
    )
    found = read_exposures(table, HOUR)
    assert found.given == "shown"
    assert done(found) == [set(), set(), {"like", "comment"}, {"hide"}]
    assert found.position.tolist() == [0, 1, 2, 2]
    assert found.positive.tolist() == [False, False, True, False]


def test_an_action_long_after_the_post_was_shown_belongs_to_nothing():
    shown = [(float(n), f"u{n}", "a", kind) for n in range(5) for kind in ("impression", "like")]
    table = events(*shown, (10, "late", "a", "impression"), (10 + 2 * HOUR, "late", "a", "like"))
    found = read_exposures(table, HOUR)
    assert found.given == "shown"
    assert done(found)[-1] == set()


def test_where_nothing_shown_is_logged_a_chance_is_the_first_reaction():
    table = events((0, "ann", "a", "share"), (9, "ann", "a", "comment"), (5 * HOUR, "ann", "a", "like"))
    found = read_exposures(table, HOUR)
    assert found.given == "reacted"
    assert done(found) == [{"share", "comment"}]


def test_what_a_user_did_with_a_post_is_counted_from_an_event_on():
    table = events(
        (0, "ann", "a", "like"),
        (1, "ann", "a", "share"),
        (2, "bob", "a", "save"),
        (3 * HOUR, "bob", "a", "hide"),
    )
    after = done_after(table, np.array([0, 2]), HOUR)
    assert [{ACTIONS[at] for at in np.flatnonzero(row)} for row in after] == [{"like", "share"}, {"save"}]


def test_no_chance_is_lost_and_rare_actions_are_all_drawn():
    rng = np.random.default_rng(0)
    happened = rng.random((5000, len(ACTIONS))) < np.array([0.2, 0.05, 0, 0, 0, 0.1, 0.002, 0])
    exposures = Exposures(np.arange(5000), np.zeros(5000, dtype=int), happened, "shown")
    rows, weight = draw(exposures, ActionsConfig(max_chances=900), seed=1)
    assert len(rows) <= 900
    assert weight.sum() == pytest.approx(5000)
    assert set(np.flatnonzero(happened[:, ACTIONS.index("hide")])) <= set(rows.tolist())


def test_thinned_controls_weighted_back_give_the_probabilities_of_the_population():
    rng = np.random.default_rng(1)
    x = np.column_stack([rng.normal(size=40_000), np.ones(40_000)])
    truth = sigmoid(x @ [1.0, -4.0])
    y = (rng.random(40_000) < truth).astype(float)
    kept = (y == 1) | (rng.random(40_000) < 0.05)
    weight = np.where(y == 1, 1.0, 20.0)[kept]
    penalty, centre = np.full(2, 1e-3), np.zeros(2)
    right = fit_logistic(x[kept], y[kept], weight / weight.mean(), penalty, centre)
    naive = fit_logistic(x[kept], y[kept], np.ones(kept.sum()), penalty, centre)
    assert sigmoid(x @ right).mean() == pytest.approx(truth.mean(), rel=0.1)
    assert sigmoid(x @ naive).mean() > 3 * truth.mean()


def shown_world(rows: int = 12_000) -> tuple[Met, np.ndarray]:
    """Chances whose place was given by a ranking that knows the post's quality; views tire down the list (PAL, Guo et
    al. 2019: P = P(seen at this place) * P(like | seen)). Returns them with the true P(like) in the first place."""
    rng = np.random.default_rng(2)
    x = np.zeros((rows, len(FEATURES)), dtype=np.float32)
    x[:, :2] = rng.normal(size=(rows, 2))
    quality = x[:, 0].reshape(-1, 6)
    order = np.argsort(-(quality + 0.5 * rng.normal(size=quality.shape)), axis=1)
    position = np.argsort(order, axis=1).ravel()
    first = sigmoid(-1.0 + 0.4 * x[:, 0] + 0.8 * x[:, 1]).astype(float)
    like = rng.random(rows) < first / (1.0 + 0.5 * position)
    happened = np.zeros((rows, len(ACTIONS)), dtype=bool)
    happened[:, 0] = like
    exposures = Exposures(np.arange(rows), position, happened, "shown")
    none = np.full((rows, 1), np.nan)
    return Met(exposures, np.ones(rows), np.zeros(rows), x, none[:, 0], none, np.ones(rows)), first


def test_correcting_for_the_position_recovers_the_truth_better_than_not_doing_so():
    met, truth = shown_world()
    error, slope = {}, {}
    for position in (True, False):
        base = fit_base(met, ActionsConfig(position=position))
        first = sigmoid(first_step(base, met, placed=False)[:, 0])
        error[position] = float(np.sqrt(np.mean((first - truth) ** 2)))
        slope[position] = float(base.weights[0, 0])
    assert error[True] < 0.4 * error[False]
    assert abs(slope[True] - 0.4) < 0.5 * abs(slope[False] - 0.4)


def test_calibration_finds_what_is_off_and_by_how_much():
    rng = np.random.default_rng(3)
    truth = rng.uniform(0.01, 0.5, 20_000)
    happened = (rng.random(20_000) < truth).astype(float)
    right, high = (calibration("like", p, happened, happened.mean()) for p in (truth, truth + 0.1))
    assert right.error < 0.015
    assert high.error == pytest.approx(0.1, abs=0.015)
    assert right.log_loss < right.base_log_loss
    assert right.log_loss < high.log_loss


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("like: 1\nlove: 2\n", "unknown action 'love'"),
        ("like: much\n", "like must be a number"),
        ("like: true\n", "like must be a number"),
        ("like: .nan\n", "like must be a number"),
        ("hide: -1\n", "no action has a weight above 0"),
        ("- like\n", "must map actions to numbers"),
        ("like: [1\n", "cannot be read"),
    ],
)
def test_a_wrong_weights_file_is_told_in_one_line(tmp_path, text, says):
    path = tmp_path / "weights.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=says) as raised:
        read_weights(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_the_weights_that_come_along_are_right():
    weights = read_weights()
    assert weights["like"] > 0 > weights["hide"] > weights["report"]


def test_weights_follow_their_file_and_outlive_a_wrong_one(tmp_path):
    path, told = tmp_path / "weights.yaml", []
    path.write_text(DEFAULT.read_text())
    watched = WatchedWeights(path, told.append)
    assert watched.current() == read_weights()

    def rewrite(text: str, number: int) -> None:
        path.write_text(text)
        os.utime(path, ns=(number, number))

    rewrite("share: 3\n", 1)
    assert watched.current() == {"share": 3.0}
    rewrite("share: lots\n", 2)
    assert watched.current() == {"share": 3.0}
    assert watched.current() == {"share": 3.0}
    assert len(told) == 1
    assert "share must be a number" in told[0]
    path.unlink()
    assert watched.current() == {"share": 3.0}

import numpy as np
import pytest
import torch

from tests.training.recommender import worlds
from tests.training.recommender.worlds import HOUR, START, tables
from training.recommender.config import SasrecConfig
from training.recommender.models import sasrec_fit
from training.recommender.models.base import Parts
from training.recommender.models.sasrec import Sasrec, SasrecSignal, compact
from training.recommender.models.sasrec_data import gather
from training.recommender.models.sasrec_fit import fit_sasrec
from training.recommender.models.sasrec_net import NetShape, SasrecNet
from training.recommender.replay import Replay
from training.recommender.view import FeedView

SMALL = SasrecConfig(width=16, blocks=1, max_epochs=3, length=10, max_seconds=600.0)
RING = 12


def ring_world():
    """Everybody walks round a ring of posts from a place of their own: the next post follows from the last one."""
    rng = np.random.default_rng(3)
    events = []
    for user in range(150):
        begin, at = int(rng.integers(RING)), float(rng.uniform(HOUR, 60 * HOUR))
        events += [
            (at + step * 2 * HOUR, f"u{user}", f"p{(begin + step) % RING}", "like") for step in range(6)
        ]
    return tables(sorted(events), [{"post_id": f"p{n}"} for n in range(RING)])


@pytest.fixture(scope="module")
def ring():
    replay = Replay(ring_world())
    cut, end = START + 55 * HOUR, START + 80 * HOUR
    config = SMALL.model_copy(
        update={"max_epochs": 25, "patience": 25, "drop_id": 0.0, "learning_rate": 1e-2}
    )
    examples = gather(replay, cut, end, HOUR, config)
    return replay, end, *fit_sasrec(examples, config, 1, lambda line: None)


def test_no_step_sees_the_future():
    torch.manual_seed(0)
    net = SasrecNet(NetShape(9, 16, 2, 2, 8, 6)).eval()
    vectors = torch.randn(3, 8, 16)
    altered = vectors.clone()
    altered[:, 5:] = torch.randn(3, 3, 16)
    with torch.no_grad():
        one, other = net.encode(vectors), net.encode(altered)
    torch.testing.assert_close(one[:, :5], other[:, :5])
    assert not torch.allclose(one[:, 5], other[:, 5])


def test_it_learns_a_planted_order(ring):
    replay, end, signal, curves = ring
    view = FeedView.of(replay.state_at(end), end)
    histories = [[f"p{(begin + step) % RING}" for step in range(3)] for begin in range(RING)]
    users = view.users([f"new{n}" for n in range(RING)])
    for row, names in enumerate(histories):
        users.item[row, -3:] = [view.state.item_of(name) for name in names]
    scores = signal.value(view, users)
    for row in range(RING):
        for name in histories[row]:
            scores[row, view.state.item_of(name)] = -np.inf
    right = [view.state.items.names[scores[row].argmax()] == f"p{(row + 3) % RING}" for row in range(RING)]
    assert np.mean(right) > 0.8
    assert curves[-1]["train/loss"] < 0.7 * curves[1]["train/loss"]


def test_a_history_is_read_the_same_in_any_batch(ring):
    replay, end, signal, _ = ring
    view = FeedView.of(replay.state_at(end), end)
    together = signal.value(view, view.users(["u1", "u2", "nobody"]))
    np.testing.assert_allclose(together[1], signal.value(view, view.users(["u2"]))[0], atol=1e-4)
    assert not together[2].any()


def test_what_it_was_trained_on_ends_before_the_cut(tastes):
    replay = Replay(tastes)
    cut, end = START + 6 * worlds.DAY, START + 7 * worlds.DAY
    examples = gather(replay, cut, end, HOUR, SMALL)
    used = examples.moment[examples.moment >= 0]
    assert (examples.moments.now[used] < cut).all()
    assert (examples.moments.now[examples.late_moment] < end).all()
    assert examples.trained <= int(examples.moments.known[used].max())


def test_early_stopping_gives_back_the_best_weights(tastes, monkeypatch):
    values, kept = iter([0.1, 0.3, 0.9, 0.8, 0.7, 0.95]), []

    def validate(net, examples):
        kept.append({name: value.clone() for name, value in net.state_dict().items()})
        return 1.0, next(values)

    monkeypatch.setattr(sasrec_fit, "_validate", validate)
    config = SMALL.model_copy(update={"max_epochs": 9, "patience": 2})
    examples = gather(Replay(tastes), START + 6 * worlds.DAY, START + 7 * worlds.DAY, HOUR, config)
    signal, curves = fit_sasrec(examples, config, 1, lambda line: None)
    assert [entry["sample/ndcg_at_10"] for entry in curves] == [0.1, 0.3, 0.9, 0.8, 0.7]
    for name, value in signal.net.state_dict().items():
        torch.testing.assert_close(value, kept[2][name])
    assert not torch.equal(kept[4]["post.weight"], kept[2]["post.weight"])


def test_the_same_seed_gives_the_same_weights(tastes):
    config = SMALL.model_copy(update={"max_epochs": 1})
    examples = gather(Replay(tastes), START + 6 * worlds.DAY, START + 7 * worlds.DAY, HOUR, config)
    one, other = (fit_sasrec(examples, config, 4, lambda line: None)[0] for _ in range(2))
    torch.testing.assert_close(one.net.state_dict(), other.net.state_dict())


def test_heads_have_to_divide_the_width(tastes):
    with pytest.raises(ValueError, match="3 heads do not divide a width of 16"):
        fit_sasrec(None, SMALL.model_copy(update={"heads": 3}), 1, lambda line: None)


def test_without_two_actions_of_anybody_there_is_nothing_to_learn():
    replay = Replay(tables([(HOUR * n, f"u{n}", "p", "like") for n in range(1, 9)], [{"post_id": "p"}]))
    assert gather(replay, START + 5 * HOUR, START + 9 * HOUR, HOUR, SMALL) is None


def test_a_post_that_appears_after_the_last_refresh_is_in_no_window():
    walks = [(HOUR * (n + 2 * u), f"u{u}", f"p{n}", "like") for n in range(1, 9) for u in range(5)]
    walks.append((9.5 * HOUR, "u0", "p9", "like"))
    latest = [(16.9 * HOUR + step, "u1", name, "like") for step, name in enumerate(("new", "newer", "p9"))]
    replay = Replay(tables(sorted([*walks, *latest, (23 * HOUR, "u2", "p9", "like")]), []))
    for end in (24 * HOUR, 17 * HOUR):
        examples = gather(replay, START + 17 * HOUR, START + end, HOUR, SMALL)
        fit_sasrec(examples, SMALL, 1, lambda line: None)
        assert examples.window.max() < examples.trained
        # Padding comes last, without holes before it.
        assert (np.diff((examples.window >= 0).astype(int), axis=1) <= 0).all()
        (long,) = examples.window[(examples.window >= 0).sum(axis=1) == 9]
        assert [examples.names[code] for code in long[:9]] == [f"p{n}" for n in range(1, 10)]


def test_histories_are_moved_to_the_front_and_cut_to_the_last():
    items = np.array([[-1, -1, 4, -1, 5, 6], [-1, -1, -1, -1, -1, -1], [1, 2, 3, 4, 5, 6]])
    found, sizes = compact(items, 4)
    assert found.tolist() == [[4, 5, 6, -1], [-1, -1, -1, -1], [3, 4, 5, 6]]
    assert sizes.tolist() == [3, 0, 4]


def test_weights_survive_the_disk(ring, tmp_path):
    replay, end, signal, _ = ring
    model = Sasrec(signal)
    model.parts().write(tmp_path)
    again = Sasrec.from_parts(Parts.read(tmp_path))
    view = FeedView.of(replay.state_at(end), end)
    users = view.users(["u1", "u7"])
    np.testing.assert_array_equal(model.score(view, users), again.score(view, view.users(["u1", "u7"])))
    assert isinstance(again.signal, SasrecSignal)

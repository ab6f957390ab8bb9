"""The sequential models: counts, the loss and its gradients, training, ranking."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.recommender.sequential.baselines import NextItemRidge, Popularity, SkipTransitions
from training.recommender.sequential.batches import batches, windows
from training.recommender.sequential.choose import Chooser, Clock, HeldOut
from training.recommender.sequential.config import SequentialConfig, TransitionConfig
from training.recommender.sequential.fit import fit_sequential
from training.recommender.sequential.histories import Histories
from training.recommender.sequential.model import rank_targets
from training.recommender.sequential.network import SequentialNet, table_rows
from training.recommender.sequential.softmax import NextItemLoss, Prior, Steps
from training.recommender.sequential.terms import Occurrences, Terms
from training.recommender.sequential.transitions import Transitions

LAST_ITEM = TransitionConfig(window=1, decay=0.01)
"""Counts that see the last item alone: not which step its user walks with."""
CONFIG = TransitionConfig(window=3, count_decay=0.5, decay=0.6, shrinkage=2.0)


def walks(users: int = 200, items: int = 40, seed: int = 0) -> list[np.ndarray]:
    """Users walk round a ring of items, some of them by threes; the first item of a walk tells which."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(users):
        step, start = rng.choice([1, 3]), rng.integers(items)
        out.append((start + step * np.arange(rng.integers(6, 13))) % items)
    return out


def by_definition(sequences: list[np.ndarray], n: int, config: TransitionConfig) -> np.ndarray:
    table = np.zeros((n, n))
    for items in sequences:
        for first in range(len(items)):
            for lag in range(1, config.window + 1):
                if first + lag < len(items):
                    table[items[first], items[first + lag]] += config.count_decay ** (lag - 1)
    return table


def test_transitions_are_what_their_definition_says() -> None:
    sequences = walks(30)
    table = by_definition(sequences, 40, CONFIG)
    counted = Transitions.count(Histories.of(sequences, 40), CONFIG)
    expected = table / (table.sum(axis=1, keepdims=True) + CONFIG.shrinkage)
    np.testing.assert_allclose(counted.table.numpy(), expected, rtol=1e-5)
    score = counted.score([sequences[0]])[0].numpy()
    reached = sum(CONFIG.decay**k * expected[item] for k, item in enumerate(sequences[0][::-1]))
    np.testing.assert_allclose(score, reached + CONFIG.floor, rtol=1e-4)


def test_a_sparse_table_holds_the_same_as_a_dense_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sequences = walks(60)
    histories = Histories.of(sequences, 40)
    dense = Transitions.count(histories, CONFIG)
    monkeypatch.setattr("training.recommender.sequential.transitions.DENSE_ITEMS", 1)
    sparse = Transitions.count(histories, CONFIG)
    np.testing.assert_allclose(sparse.table.toarray(), dense.table.numpy(), rtol=1e-5)
    np.testing.assert_allclose(sparse.score(sequences[:5]), dense.score(sequences[:5]), rtol=1e-4)
    rows, columns = np.array([3, 7, 9]), np.array([1, 4, 8, 12, 13])
    own = histories.select(np.array([2, 5]))
    with dense.without(own, rows, columns) as one, sparse.without(own, rows, columns) as other:
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)


def test_a_sparse_table_keeps_the_largest_entries_of_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.recommender.sequential.transitions.DENSE_ITEMS", 1)
    sequences = walks(60)
    kept = Transitions.count(
        Histories.of(sequences, 40), CONFIG.model_copy(update={"keep": 2})
    ).table.toarray()
    table = by_definition(sequences, 40, CONFIG)
    assert ((kept > 0).sum(axis=1) <= 2).all()
    for row in range(40):
        largest = np.sort(table[row])[-2:].sum()
        assert kept[row].sum() * (table[row].sum() + CONFIG.shrinkage) == pytest.approx(largest, rel=1e-4)


def test_users_own_counts_are_out_of_the_table_while_they_are_learnt_from() -> None:
    sequences = walks(30)
    histories = Histories.of(sequences, 40)
    counted = Transitions.count(histories, CONFIG)
    before = counted.table.clone()
    others = by_definition(sequences[3:], 40, CONFIG)
    with counted.without(histories.select(np.arange(3)), np.arange(40), None) as table:
        np.testing.assert_allclose(table.numpy() / counted.weight.numpy()[:, None], others, atol=1e-4)
    np.testing.assert_allclose(counted.table.numpy(), before.numpy(), atol=1e-6)


def test_a_held_out_item_is_in_no_part() -> None:
    histories = Histories.of([np.array([1, 2, 3]), np.array([4]), np.array([5, 6])], 8).without_last(
        np.array([0, 2])
    )
    assert [histories[user].tolist() for user in range(3)] == [[1, 2], [4], [5]]
    (part,) = histories.parts()
    assert part.items.tolist() == [1, 2, 4, 5]
    assert histories.counts().tolist() == [0, 1, 1, 0, 1, 1, 0, 0]


def test_parts_hold_every_user_once_in_any_order() -> None:
    histories = Histories.of(walks(50), 40)
    parts = list(histories.parts(64))
    assert len(parts) > 5
    assert all(64 <= len(part.items) < 64 + 13 for part in parts[:-1])
    np.testing.assert_array_equal(np.concatenate([part.items for part in parts]), histories.items)
    shuffled = list(histories.parts(64, np.random.default_rng(0)))
    assert [len(part) for part in shuffled] != [len(part) for part in parts]
    assert sorted(len(part) for part in shuffled) == sorted(len(part) for part in parts)


def test_windows_predict_every_item_but_the_first_once() -> None:
    histories = Histories.of(walks(50), 40)
    cut = windows(histories, 4, np.random.default_rng(0))
    assert cut.steps.max() <= 4
    predicted = np.concatenate([np.arange(a + 1, b) for a, b in zip(cut.first, cut.last, strict=True)])
    firsts = set(histories.starts.tolist())
    assert sorted(predicted.tolist()) == [at for at in range(len(histories.items)) if at not in firsts]
    batched = list(batches(cut, 64, np.random.default_rng(0)))
    assert sum(len(part) for part in batched) == len(cut)
    assert all(part.steps.sum() <= 64 + 4 for part in batched)


@pytest.mark.parametrize("sampled", [False, True], ids=["full", "sampled"])
def test_the_loss_and_its_gradients_are_those_of_autograd(sampled: bool) -> None:
    torch.manual_seed(0)
    lengths, width, n = torch.tensor([5, 3, 1]), 6, 11
    item, target = torch.randint(0, n, (3, 5)), torch.randint(0, n, (3, 5))
    hidden, vectors = torch.randn(3, 5, width, requires_grad=True), torch.randn(n, width, requires_grad=True)
    bias, gate = torch.randn(n, requires_grad=True), torch.rand(3, 5, requires_grad=True)
    for row in range(3):  # a target is never among the items seen
        for place in range(5):
            while target[row, place] in item[row]:
                target[row, place] = torch.randint(0, n, ())
    table = torch.rand(n, n)
    log_pi = torch.rand(n).log() if sampled else None
    prior = Prior(table, 0.6, 1e-3)
    inputs = (hidden, vectors, bias, gate)
    loss = NextItemLoss.apply(*inputs, Steps(item, item, target, lengths), prior, log_pi, 9)
    found = torch.autograd.grad(loss, inputs)
    expected = torch.zeros(())
    for row in range(3):
        score = torch.zeros(n)
        for place in range(int(lengths[row])):
            score = 0.6 * score + table[item[row, place]]
            logits = vectors @ hidden[row, place] + bias + gate[row, place] * torch.log(score + 1e-3)
            if log_pi is not None:
                own = functional.one_hot(target[row, place], n)
                logits = logits - log_pi * (1 - own)
            logits = logits.index_fill(0, item[row, : place + 1], float("-inf"))
            expected = expected + functional.cross_entropy(logits, target[row, place]) / 9
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    for mine, theirs in zip(found, torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_frequent_items_have_a_row_of_their_own_and_the_others_share_a_bounded_number() -> None:
    counts = np.arange(1000)
    rows = table_rows(counts, own=100, shared=50)
    assert len(set(rows[900:1000].tolist())) == 100
    assert rows[900:1000].max() < 100
    assert rows[:900].min() >= 100 and len(set(rows[:900].tolist())) <= 50
    assert rows[1000] == 150


def test_padding_after_a_history_does_not_change_what_is_said_of_it() -> None:
    config = SequentialConfig(width=16, heads=2, length=8)
    net = SequentialNet(np.ones(40, dtype=np.int64), config, 16).eval()
    torch.nn.init.normal_(net.output.weight)
    for block in net.blocks:
        torch.nn.init.normal_(block.out.weight)
    short = net.encode(torch.tensor([[1, 2, 3]]))[0]
    padded = net.encode(torch.tensor([[1, 2, 3, 40, 40]]))[0]
    torch.testing.assert_close(short, padded[:, :3])


@pytest.fixture(scope="module")
def fitted() -> tuple[list[np.ndarray], float, float, list[dict[str, float]]]:
    """Corpus, the transitions' and the transformer's HR@1 on the last items, the curves."""
    sequences = walks(400, 40)
    histories = Histories.of([items[:-1] for items in sequences], 40)
    config = SequentialConfig(
        width=32, epochs_wanted=0.0, sparse_events=0.0,
        heads=2, length=16, tokens=512, max_epochs=25, learning_rate=1e-2, dropout=0.0,
        transitions=LAST_ITEM,
    )  # fmt: skip
    model, curves = fit_sequential(histories, config, 60.0, lambda _: None, threads=1)
    target = np.array([items[-1] for items in sequences])
    known = [items[:-1] for items in sequences]
    counts = SkipTransitions.fit(histories, config.transitions)
    return sequences, *(float((rank_targets(m, known, target) < 1).mean()) for m in (counts, model)), curves


def test_the_transformer_learns_what_the_counts_cannot_say(
    fitted: tuple[list[np.ndarray], float, float, list[dict[str, float]]],
) -> None:
    _, counts, learnt, curves = fitted
    assert counts < 0.6
    assert learnt > 0.9
    assert curves[0]["step"] == 0
    assert all(a["seconds"] <= b["seconds"] for a, b in pairwise(curves))


def test_a_long_catalogue_trains_on_a_sample_of_candidates() -> None:
    sequences = walks(400, 40)
    histories = Histories.of([items[:-1] for items in sequences], 40)
    config = SequentialConfig(
        width=32, epochs_wanted=0.0, sparse_events=0.0,
        heads=2, length=16, tokens=256, max_epochs=20, learning_rate=1e-2, dropout=0.0,
        full_items=1, negatives=16, own_rows=20, shared_rows=30, transitions=LAST_ITEM,
    )  # fmt: skip
    model, curves = fit_sequential(histories, config, 60.0, lambda _: None, threads=2)
    best = max(row["sample/ndcg_at_10"] for row in curves)
    assert best > curves[0]["sample/ndcg_at_10"] + 0.05
    assert model.score([sequences[0]]).shape == (1, 40)


def test_the_same_seed_gives_the_same_scores_on_one_thread() -> None:
    histories = Histories.of(walks(40), 40)
    config = SequentialConfig(width=16, heads=2, length=8, tokens=128, max_epochs=2, epochs_wanted=0.0)
    first, second = (
        fit_sequential(histories, config, 60.0, lambda _: None, threads=1)[0].score([np.array([1, 2])])
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_without_two_items_of_anybody_there_is_nothing_to_learn() -> None:
    histories = Histories.of([np.array([1]), np.array([2])], 3)
    with pytest.raises(ValueError, match="no user has two items"):
        fit_sequential(histories, SequentialConfig(), 1.0, lambda _: None)


def test_ridge_solves_its_normal_equations() -> None:
    sequences = walks(30, 12)
    model = NextItemRidge.fit(Histories.of(sequences, 12), window=3, decay=0.5, ridge=2.0)
    past, after = [], []
    for items in sequences:
        for place in range(1, len(items)):
            row = np.zeros(12)
            for back, item in enumerate(items[max(0, place - 3) : place][::-1]):
                row[item] += 0.5**back
            past.append(row)
            after.append(np.eye(12)[items[place]])
    x, y = np.array(past), np.array(after)
    np.testing.assert_allclose(model.weights, np.linalg.solve(x.T @ x + 2.0 * np.eye(12), x.T @ y), atol=1e-5)


def test_equal_scores_rank_in_the_middle_and_seen_items_are_left_out() -> None:
    histories = [np.array([0, 1]), np.array([2])]
    same = Popularity(np.ones(12, dtype=np.float32))
    assert rank_targets(same, histories, np.array([5, 5])).tolist() == [4.5, 5.0]
    by_number = Popularity(np.arange(12, dtype=np.float32))
    assert rank_targets(by_number, [np.array([11, 10])], np.array([8])).tolist() == [1.0]


def test_with_few_events_an_item_the_settings_hold_back_what_is_seldom_seen() -> None:
    config = SequentialConfig(sparse_events=100.0)
    assert config.for_counts(np.full(5, 100)) is config
    held_back = config.for_counts(np.full(5, 99))
    assert (held_back.dropout, held_back.max_epochs) == (config.sparse.dropout, config.sparse.max_epochs)


def test_popularity_is_taken_off_in_use_when_held_out_items_are_rarer() -> None:
    rng = np.random.default_rng(0)
    often, seldom = 10, 40
    sequences = [np.append(rng.permutation(often)[:6], often + user % seldom) for user in range(400)]
    test = np.array([often + (user + 1) % seldom for user in range(400)])
    histories = Histories.of(
        [np.append(items, item) for items, item in zip(sequences, test, strict=True)], 50
    )
    config = SequentialConfig(
        width=16, heads=2, length=8, tokens=512, max_epochs=1, epochs_wanted=0.0, lateness=[0.0],
        sparse_events=0.0,
    )  # fmt: skip
    model, _ = fit_sequential(histories, config, 60.0, lambda _: None, threads=1)
    assert model.terms.popularity > 0.0


def test_lateness_is_the_share_of_latest_occurrences_against_that_of_all_items() -> None:
    histories = Histories.of([np.array([0, 1, 2])] * 90 + [np.array([1, 0, 3])] * 10, 5)
    found = Occurrences.of(histories)
    assert found.counts.tolist() == [100, 100, 90, 10, 0]
    assert found.latest.tolist() == [0, 0, 90, 10, 0]
    late = found.lateness.numpy()
    assert late[2] > late[3] > 0.0 > late[0] == late[1]
    assert late[4] == pytest.approx(0.0, abs=1e-6)
    added = Terms(popularity=0.5, lateness=2.0).of_items(found)
    np.testing.assert_allclose(added, 2.0 * late - 0.5 * np.log1p(found.counts), rtol=1e-5)


def test_a_rehearsal_goes_without_everybodys_last_item() -> None:
    histories = Histories.of([np.array(items) for items in ([1, 2, 3], [4], [5, 6], [0, 1, 2, 3])], 8)
    config = SequentialConfig(rehearsal=True, validation_share=0.5)
    rehearsal = HeldOut.of(histories, config)
    assert rehearsal.rest.lengths.tolist() == [2, 1, 2, 3]
    assert len(rehearsal.targets) == 1 and rehearsal.targets[0] == 3
    throughout = HeldOut.of(histories, config.model_copy(update={"rehearsal": False}))
    assert throughout.targets.tolist() == rehearsal.targets.tolist()
    assert throughout.rest.lengths.sum() == histories.lengths.sum() - 1


def test_after_a_rehearsal_the_counts_hold_everybodys_last_item() -> None:
    histories = Histories.of(walks(100, 40), 40)
    config = SequentialConfig(width=16, heads=2, length=8, tokens=128, max_epochs=2, epochs_wanted=0.0)
    model, curves = fit_sequential(histories, config, 60.0, lambda _: None, threads=1)
    np.testing.assert_array_equal(model.occurrences.counts, histories.counts())
    expected = Transitions.count(histories, config.transitions).table
    torch.testing.assert_close(model.transitions.table, expected, atol=1e-6, rtol=0)
    assert curves[0]["step"] == 0 < curves[-1]["step"]


def test_what_the_network_says_counts_for_nothing_where_it_only_disturbs() -> None:
    histories = Histories.of(walks(100, 40), 40)
    config = SequentialConfig(width=16, heads=2, length=8)
    held_out = HeldOut.of(histories, config)
    transitions = Transitions.count(held_out.rest, config.transitions)
    net = SequentialNet(held_out.rest.counts(), config, 16)
    chooser = Chooser(net, transitions, held_out, config, Clock(60.0))
    alone = chooser.look(net, 0, float("nan"))
    torch.nn.init.normal_(net.output.weight, std=50.0)
    assert chooser.look(net, 1, float("nan")) >= 0.95 * alone
    assert chooser.terms.net == 0.0

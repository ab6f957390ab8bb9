"""The sequential model and its index as files; what the index finds against scoring everything."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from training.bundle import BundleError, open_bundle, write_bundle
from training.recommender.sequential.config import RetrievalConfig, SequentialConfig, TransitionConfig
from training.recommender.sequential.files import load_model, save_model
from training.recommender.sequential.histories import Histories
from training.recommender.sequential.model import SequentialRecommender
from training.recommender.sequential.network import SequentialNet
from training.recommender.sequential.retrieval import Retriever
from training.recommender.sequential.terms import Occurrences, Terms
from training.recommender.sequential.transitions import Transitions

POSTS = 3000


@pytest.fixture(scope="module")
def histories() -> list[np.ndarray]:
    """People who act on posts of one of thirty kinds, popular ones first; a few posts have no event."""
    rng = np.random.default_rng(0)
    return [
        30 * np.minimum(rng.geometric(0.03, rng.integers(3, 30)), POSTS // 30 - 2) + rng.integers(30)
        for _ in range(1500)
    ]


@pytest.fixture(scope="module")
def model(histories: list[np.ndarray]) -> SequentialRecommender:
    """A sparse table of transitions, and weights that are random but near to each other within a kind."""
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.setattr("training.recommender.sequential.transitions.DENSE_ITEMS", 1)
        torch.manual_seed(0)
        corpus = Histories.of(histories, POSTS)
        config = SequentialConfig(heads=2, length=16, own_rows=1000, shared_rows=800)
        transitions = Transitions.count(corpus, TransitionConfig(window=3, shrinkage=2.0))
        net = SequentialNet(corpus.counts(), config, 16)
        with torch.no_grad():
            net.table.weight += torch.randn(30, 16)[torch.arange(len(net.table.weight)) % 30]
            net.bias.normal_()
            net.output.weight.normal_(std=0.5)
        return SequentialRecommender(
            net, transitions, config.length, Occurrences.of(corpus), Terms(0.75, 0.3, 0.4)
        )


@pytest.fixture(scope="module")
def retriever(model: SequentialRecommender) -> Retriever:
    return Retriever.build(model, RetrievalConfig(exact_items=1), threads=1)


@pytest.mark.parametrize("k", [10, 50])
def test_the_index_finds_what_scoring_everything_finds(
    retriever: Retriever, histories: list[np.ndarray], k: int
) -> None:
    some = histories[:60]
    hits = []
    for history, (near, score), (best, highest) in zip(
        some, retriever.search(some, k), retriever.search_all(some, k), strict=True
    ):
        assert len(near) == k and not set(near) & set(history)
        assert (np.diff(score) <= 0).all()
        common, at, there = np.intersect1d(near, best, return_indices=True)
        np.testing.assert_allclose(score[at], highest[there], rtol=1e-4, atol=1e-4)
        hits.append(len(common) / k)
    assert np.mean(hits) > 0.98


def test_neither_half_of_the_candidates_would_do_alone(
    retriever: Retriever, model: SequentialRecommender, histories: list[np.ndarray]
) -> None:
    reached_share = []
    for history, (best, _) in zip(histories[:60], retriever.search_all(histories[:60], 50), strict=True):
        reached, _ = model.transitions.reached(history[-model.length :])
        reached_share.append(np.isin(best, reached).mean())
    assert 0.05 < np.mean(reached_share) < 0.95


def test_a_short_catalogue_has_no_index_and_is_scored_whole(
    model: SequentialRecommender, histories: list[np.ndarray], tmp_path: Path
) -> None:
    exact = Retriever.build(model, RetrievalConfig(exact_items=POSTS))
    assert exact.index is None
    scores = model.score([histories[0]])[0]
    scores[histories[0]] = -np.inf
    ((posts, best),) = exact.search([histories[0]], 5)
    np.testing.assert_array_equal(posts, np.argsort(-scores, kind="stable")[:5])
    np.testing.assert_array_equal(best, scores[posts])
    save_model(model, tmp_path)
    exact.save(tmp_path)
    assert Retriever.load(load_model(tmp_path), tmp_path).index is None


def test_a_catalogue_with_little_left_gives_what_there_is(model: SequentialRecommender) -> None:
    exact = Retriever.build(model, RetrievalConfig(exact_items=POSTS))
    ((posts, _),) = exact.search([np.arange(3, POSTS)], 10)
    assert sorted(posts.tolist()) == [0, 1, 2]


def test_a_bundle_holds_model_and_index_and_gives_the_same_answers(
    retriever: Retriever, model: SequentialRecommender, histories: list[np.ndarray], tmp_path: Path
) -> None:
    def write(folder: Path) -> None:
        save_model(model, folder)
        retriever.save(folder)

    bundle = write_bundle(
        tmp_path / "bundle", "recommender", "sequential", write,
        trained_until=datetime(2026, 1, 1, tzinfo=UTC), lineage={},
    )  # fmt: skip
    folder = open_bundle(bundle.path, "recommender").path
    assert {path.suffix for path in folder.iterdir()} == {".safetensors", ".usearch", ".json"}
    again = load_model(folder)
    np.testing.assert_array_equal(again.score(histories[:5]), model.score(histories[:5]))
    for one, other in zip(
        Retriever.load(again, folder).search(histories[:5], 10),
        retriever.search(histories[:5], 10),
        strict=True,
    ):
        np.testing.assert_array_equal(one[0], other[0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("index.usearch", "differs from its hash"),
        ("model.safetensors", "of other weights"),
        ("index.json", "no index"),
    ],
)
def test_an_altered_file_is_refused(
    retriever: Retriever, model: SequentialRecommender, tmp_path: Path, name: str, message: str
) -> None:
    save_model(model, tmp_path)
    retriever.save(tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(json.dumps([]).encode() if name.endswith("json") else data)
    with pytest.raises(BundleError, match=message):
        Retriever.load(model, tmp_path)


def test_a_dense_table_travels_too(histories: list[np.ndarray], tmp_path: Path) -> None:
    corpus = Histories.of([history % 40 for history in histories[:50]], 40)
    net = SequentialNet(corpus.counts(), SequentialConfig(length=8), 16)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        net.bias.normal_()
        net.output.weight.normal_()
    transitions = Transitions.count(corpus, TransitionConfig())
    model = SequentialRecommender(net, transitions, 8, Occurrences.of(corpus), Terms(0.5, 0.1, 0.3))
    save_model(model, tmp_path)
    np.testing.assert_array_equal(load_model(tmp_path).score([corpus[0]]), model.score([corpus[0]]))
    index = Retriever.build(model, RetrievalConfig(exact_items=1))
    ((posts, _),), ((best, _),) = index.search([corpus[0]], 5), index.search_all([corpus[0]], 5)
    np.testing.assert_array_equal(posts, best)


def test_files_of_no_model_are_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no sequential model"):
        load_model(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(BundleError, match="holds no sequential model"):
        load_model(tmp_path)

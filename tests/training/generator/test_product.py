"""A network on top of an n-gram model, and the n-gram model it learns beside."""

import numpy as np
import pytest
import torch

from tests.training.generator.world import counted, outspoken, sizes, texts, tiny
from training.generator.cross_fit import CrossFitted
from training.generator.decoder import Decoder
from training.generator.export import build_network
from training.generator.fit import fit_network, packed_rows
from training.generator.mixture import LanguageModel
from training.generator.networks import Network
from training.generator.ngram import NgramModel, join_documents
from training.generator.product import Prior, PriorWeight
from training.generator.tokenizer import END_ID

SAID = texts(120)
FOLDS = 3


def fresh(name: str, size: int) -> Network:
    torch.manual_seed(5)
    network = build_network(name, size, sizes(name))
    assert network is not None
    return network


def on_top(name: str) -> LanguageModel:
    """Fresh weights; a weight of the n-gram model that is not the same everywhere."""
    base = counted(SAID)
    network = outspoken(fresh(name, base.tokenizer.size))
    weight = PriorWeight(network.width, base.ngram.order - 1)
    torch.nn.init.normal_(weight.from_hidden.weight, std=0.1)
    torch.nn.init.normal_(weight.from_masses.weight, std=0.1)
    return LanguageModel(base.tokenizer, base.ngram, network, weight)


@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_texts_are_scored_with_the_probabilities_they_are_drawn_with(name: str) -> None:
    model = on_top(name)
    for text in ("", *SAID[:3]):
        ids = model.tokenizer.encode_all([text])[0][:20]
        decoder, stepwise = Decoder(model, [[]]), []
        for token in [*ids.tolist(), END_ID]:
            p = model.next_token(decoder._hidden, decoder._recent()[:1])
            assert p.sum() == pytest.approx(1.0)
            stepwise.append(float(np.log(p[0, token])))
            decoder.push(np.array([token]))
        # Scoring leaves the special tokens their sliver of probability, sampling does not.
        assert stepwise == pytest.approx(model.score([ids]).mixed[0], abs=0.02)


def test_a_batch_scores_as_single_documents_do() -> None:
    model = on_top("transformer")
    documents = model.tokenizer.encode_all(SAID[:9])
    together = model.score(documents, batch_tokens=256).mixed
    for ids, scores in zip(documents, together, strict=True):
        assert model.score([ids]).mixed[0] == pytest.approx(scores, abs=1e-4)


def crossed(documents: list[np.ndarray], size: int) -> CrossFitted:
    authors = [f"a{i}" for i in range(len(documents))]
    return CrossFitted(documents, authors, size, 3, 1, FOLDS)


def test_a_part_of_the_text_is_judged_by_counts_of_the_others_alone() -> None:
    # A phrase that only the middle third knows is no likelier there for being there.
    documents = [np.array(ids) for ids in [[3, 4, 5, 3, 4, 5], [7, 8, 9, 7, 8, 9], [3, 4, 6, 3, 4, 6]]]
    p, _ = crossed(documents, 12).distribution(np.arange(21))
    own = NgramModel.fit(documents, ["a", "b", "c"], 12, 3, 1).score(join_documents(documents))[0]
    place = 7 + 4  # the second 8 of the second document, after 9, 7
    assert own[place] > 0.5
    assert p[place, 8] < 0.1
    assert p.sum(axis=1) == pytest.approx(1.0, abs=1e-4)


def test_the_others_are_read_as_if_the_part_did_not_exist() -> None:
    base = counted(SAID)
    documents = base.tokenizer.encode_all(SAID)
    third = len(join_documents(documents)) // FOLDS
    p, masses = crossed(documents, base.tokenizer.size).distribution(np.arange(50))
    begins = np.cumsum([0] + [len(ids) + 1 for ids in documents])
    rest = [ids[max(third - begin, 0) :] for ids, begin in zip(documents, begins[:-1], strict=True)]
    rest = [ids for ids in rest if len(ids)]
    alone = NgramModel.fit(rest, [f"b{i}" for i in range(len(rest))], base.tokenizer.size, 3, 1)
    scored, left = alone.score(join_documents(documents))
    targets = join_documents(documents)[1:51]
    assert p[np.arange(50), targets] == pytest.approx(scored[:50], rel=1e-4)
    assert masses == pytest.approx(left[:50], rel=1e-4)


def test_packed_rows_know_where_their_targets_stand() -> None:
    documents = [np.array([3, 4, 5]), np.array([6, 7]), np.array([8])]
    inputs, targets, places = packed_rows(documents, 4, np.random.default_rng(2))
    joined = join_documents(documents)[1:]
    assert (joined[places] == targets).all()
    assert (inputs[:, 1:] == targets[:, :-1]).all()
    assert inputs[0, 0] == END_ID
    assert set(places.ravel().tolist()) == set(range(len(joined)))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["lstm", "transformer"])
def test_a_network_learns_what_the_n_grams_lack(name: str, threads: int) -> None:
    base = counted(SAID, order=2)
    documents = base.tokenizer.encode_all(SAID)
    later = base.tokenizer.encode_all(texts(40, seed=9))
    size, config = base.tokenizer.size, tiny()
    network = fresh(name, size)
    learning = CrossFitted(documents, ["a"] * len(documents), size, 2, 1, FOLDS)
    prior = Prior(learning, base.ngram, PriorWeight(network.width, 1))
    wanted = config.lstm if name == "lstm" else config.transformer
    wanted.max_steps = 60
    fit_network(
        network,
        documents,
        later,
        1000,
        wanted,
        config.fit,
        4096,
        1,
        lambda line: None,
        lambda look, bits: None,
        prior=prior,
        threads=threads,
    )

    def nats(model: LanguageModel) -> float:
        return -sum(float(part.sum()) for part in model.score(later).mixed)

    assert nats(LanguageModel(base.tokenizer, base.ngram, network, prior.weight)) < 0.95 * nats(base)

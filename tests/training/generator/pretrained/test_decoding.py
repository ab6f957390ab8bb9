"""A public model in the decoder that all models share: rows join, leave and are scored as each would be alone."""

import numpy as np
import pytest

from training.generator.batch import TextBatch
from training.generator.decoder import Decoder
from training.generator.pretrained.model import PretrainedModel
from training.generator.sampling import Sampling
from training.generator.tokenizer import END_ID

SAID = ["今天我的番茄看起来很好。😀", "", "the old bridge was strange... and very quiet 12", "Today"]


def said(model: PretrainedModel, prompts: list[str]) -> list[str]:
    batch = TextBatch(model)
    rows = [
        batch.add(model.tokenizer.encode(prompt), [Sampling(16, 1.0, 0.95, seed)])[0]
        for seed, prompt in enumerate(prompts)
    ]
    texts = dict.fromkeys(rows, "")
    while not batch.empty:
        for row, piece in batch.step():
            assert not isinstance(piece, Exception)
            texts[row] += piece.text
    return [texts[row] for row in rows]


def test_prompts_of_any_length_are_continued_side_by_side_as_alone(model: PretrainedModel) -> None:
    decoder = Decoder(model, [model.tokenizer.encode(text) for text in SAID])
    together = decoder.probabilities()
    for row, text in enumerate(SAID):
        alone = Decoder(model, [model.tokenizer.encode(text)]).probabilities()
        np.testing.assert_allclose(together[row], alone[0], atol=1e-4)
    texts = said(model, SAID)
    assert all("\ufffd" not in text for text in texts)
    assert any(texts)


def test_a_prompt_is_scored_as_a_document_is(model: PretrainedModel) -> None:
    ids = model.tokenizer.encode(SAID[0])
    decoder = Decoder.unread(model)
    decoder.read(np.array([[END_ID]]))
    p = decoder.score(np.array([ids]))[0]
    found = [float(np.log(p[place, token])) for place, token in enumerate(ids)]
    # Scoring leaves the special tokens their sliver of probability, sampling does not.
    assert found == pytest.approx(model.score([np.array(ids)]).mixed[0][:-1].tolist(), abs=0.3)


def test_a_text_longer_than_the_context_goes_on(model: PretrainedModel) -> None:
    context = model.network.context or 0
    decoder = Decoder(model, [[5] * (context - 3), [7, 8]])
    for token in range(9, 17):
        decoder.push(np.array([token, token]))
        assert np.isfinite(decoder.probabilities()).all()

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.training.generator.pretrained.bases import END, STOP
from training.errors import UserError
from training.generator.pretrained.model import PretrainedModel
from training.generator.pretrained.tokenizer import PretrainedTokenizer
from training.generator.tokenizer import END_ID, Rendered

SAID = [
    "Today my tomatoes looked great!",
    "今天我的番茄看起来很好。😀",
    "𠮷野家 naïve żółć 2024",
    " two  spaces\n\n",
    "",
]


def test_every_text_comes_back_byte_for_byte(model: PretrainedModel) -> None:
    tokenizer = model.tokenizer
    for text, batched in zip(SAID, tokenizer.encode_all(SAID), strict=True):
        ids = tokenizer.encode(text)
        assert batched.tolist() == ids
        assert END_ID not in ids
        assert tokenizer.decode_bytes(ids).decode() in (text, " " + text)


def test_special_tokens_cannot_be_typed(model: PretrainedModel) -> None:
    special = model.tokenizer.special
    assert special
    for text in special:
        ids = model.tokenizer.encode(f"a{text}b")
        assert not set(ids) & set(special.values())
        assert model.tokenizer.decode_bytes(ids).decode().endswith(f"a{text}b")


def test_the_end_token_has_the_id_that_ends_documents_everywhere(bases: dict[str, PretrainedModel]) -> None:
    assert bases["llama"].tokenizer.special[STOP] == END_ID
    assert bases["sentence-piece"].tokenizer.special["</s>"] == END_ID
    assert bases["llama"].tokenizer.begin == bases["llama"].tokenizer.special[END]
    assert bases["sentence-piece"].tokenizer.begin == bases["sentence-piece"].tokenizer.special["<s>"]


def test_ids_without_text_are_silent_and_others_are_not(model: PretrainedModel) -> None:
    silent = set(model.tokenizer.silent.tolist())
    assert END_ID not in silent
    assert silent >= set(model.tokenizer.special.values()) - {END_ID}
    assert not silent & {token for text in SAID for token in model.tokenizer.encode(text)}


def test_a_rendered_conversation_keeps_its_special_tokens(bases: dict[str, PretrainedModel]) -> None:
    tokenizer = bases["llama"].tokenizer
    ids = tokenizer.encode(Rendered("<|im_start|>user\n你好<|im_end|>\n"))
    assert ids[0] == tokenizer.special["<|im_start|>"]
    assert ids.count(END_ID) == 1
    llama2 = bases["sentence-piece"].tokenizer
    assert llama2.encode(Rendered("<s> hello"))[0] != llama2.begin


def test_a_tokenizer_that_loses_text_is_refused(tmp_path: Path) -> None:
    words = Tokenizer(models.WordLevel({"<unk>": 0, "today": 1, "</s>": 2}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(UserError, match="loses text"):
        PretrainedTokenizer({"tokenizer.json": words.to_str().encode()}, 3, 2, 2)


def test_vocabularies_beyond_16_bits_are_as_good_as_others() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = ["</s>", *(f"no{number}" for number in range(1 << 16)), *alphabet]
    encoder = Tokenizer(models.BPE({piece: index for index, piece in enumerate(pieces)}, []))
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder.decoder = decoders.ByteLevel()
    encoder.add_special_tokens(["</s>"])
    found = PretrainedTokenizer({"tokenizer.json": encoder.to_str().encode()}, len(pieces), 0, 0)
    ids = found.encode("今天好")
    assert min(ids) > 1 << 16
    assert found.decode_bytes(ids).decode() == "今天好"
    assert found.characters.after.shape == (8, len(pieces))
    assert found.encode_all(["今天好"])[0].tolist() == ids

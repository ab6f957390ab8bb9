from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.generator.world import texts, tokenizer
from training.generator.characters import WHOLE
from training.generator.config import TokenizerConfig
from training.generator.tokenizer import SPECIAL, Tokenizer, vocabulary_size

KNOWN = tokenizer(texts(200))
ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(texts(40, seed=9))


@given(ANY)
@settings(max_examples=300)
def test_every_text_comes_back_byte_by_byte(text: str) -> None:
    assert KNOWN.decode_bytes(KNOWN.encode(text)) == text.encode()


@given(ANY)
def test_one_text_is_encoded_as_many_are(text: str) -> None:
    assert KNOWN.encode_all(["before", text])[1].tolist() == KNOWN.encode(text)


def test_special_tokens_cannot_be_typed() -> None:
    for special in SPECIAL:
        ids = KNOWN.encode(f"a{special}b")
        assert min(ids) >= len(SPECIAL)
        assert KNOWN.decode_bytes(ids).decode() == f"a{special}b"


def test_every_digit_is_a_token_of_its_own() -> None:
    assert len(KNOWN.encode("8642097531")) == 10


def test_it_is_the_same_after_a_trip_to_disk(tmp_path: Path) -> None:
    KNOWN.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert all(again.encode(text) == KNOWN.encode(text) for text in [*texts(20, seed=4), "<|user|>"])
    assert again.size == KNOWN.size


def test_the_vocabulary_grows_with_the_square_root_of_the_corpus() -> None:
    sizes = [vocabulary_size(n, TokenizerConfig()) for n in (1000, 1_000_000, 4_000_000, 10**9)]
    assert sizes == [512, 1088, 2176, 4096]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_the_character_rules_admit_every_text_and_end_whole(text: str) -> None:
    state = WHOLE
    for token in KNOWN.encode(text):
        state = KNOWN.characters.after[state, token]
        assert state >= 0
    assert state == WHOLE


def test_the_character_rules_refuse_exactly_what_is_no_utf8() -> None:
    single = {
        KNOWN.token_bytes[token]: token for token in range(KNOWN.size) if len(KNOWN.token_bytes[token]) == 1
    }
    rng = np.random.default_rng(2)
    for _ in range(4000):
        data = bytes(
            rng.choice([*range(0x7E, 0x92), *range(0x9E, 0xA2), *range(0xBE, 0xC4), *range(0xDF, 0xF8)], 4)
        )
        state = WHOLE
        for byte in data:
            state = KNOWN.characters.after[state, single[bytes([byte])]] if state >= 0 else -1
        try:
            data.decode()
            valid = True
        except UnicodeDecodeError:
            valid = False
        assert (state == WHOLE) == valid, data

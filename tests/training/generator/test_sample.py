import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.generator.test_mixture import mixed
from tests.training.generator.world import counted, texts
from training.generator.decoder import LONGEST_PROMPT, Decoder
from training.generator.mixture import LanguageModel
from training.generator.sample import TextGenerator, sample_texts
from training.generator.sampling import pick
from training.generator.text_row import Piece, Stops

RARE = ["𠮷野家 is 𠀋 🏳️‍🌈 naïve żółć", "中文里的生僻字：龘靐齉爩", "한국어와 日本語 и русский 😀😅🥲🫠"] * 2


@pytest.fixture(scope="module", params=["ngram", "lstm", "transformer", "ensemble"])
def generator(request: pytest.FixtureRequest, plain: LanguageModel) -> TextGenerator:
    return TextGenerator(plain if request.param == "ngram" else mixed(request.param))


def said(pieces: Iterator[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest.mark.parametrize("prompt", ["", "今天", "Today my", "x" * 5000, "长" * 4000, "\n\t "])
def test_the_same_seed_gives_the_same_text_and_another_seed_another(
    generator: TextGenerator, prompt: str
) -> None:
    first, again, other = (said(generator.generate(prompt, max_tokens=40, seed=seed)) for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_without_a_seed_texts_differ(generator: TextGenerator) -> None:
    assert len({said(generator.generate("", max_tokens=40)) for _ in range(3)}) > 1


def test_temperature_zero_takes_the_likeliest_whatever_the_seed(generator: TextGenerator) -> None:
    assert (
        said(generator.generate("今天", max_tokens=9, temperature=0.0, seed=1))
        == said(generator.generate("今天", max_tokens=9, temperature=1e-9, seed=2))
        == said(generator.generate("今天", max_tokens=9, top_p=1e-9, seed=3))
        == generator.complete("今天", 9)
    )


def test_length_and_reason_are_told(generator: TextGenerator) -> None:
    pieces = list(generator.generate("Today", max_tokens=3, temperature=0.0))
    assert [piece.finish for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    assert (pieces[-1].finish, pieces[-1].tokens) == ("length", 3)
    assert list(generator.generate("Today", max_tokens=0)) == [Piece("", 0, "length")]


def test_an_end_token_ends_the_text(plain: LanguageModel) -> None:
    last = list(TextGenerator(plain).generate("Today", max_tokens=2000, seed=1))[-1]
    assert last.finish == "stop"
    assert 3 < last.tokens < 2000


def test_text_ends_before_the_first_stop_string(generator: TextGenerator) -> None:
    whole = said(generator.generate("", max_tokens=60, seed=3))
    middle = len(whole) // 2
    for stop in (whole[middle], whole[middle : middle + 3], whole[middle : middle + 12]):
        pieces = list(generator.generate("", max_tokens=60, seed=3, stop=["never said", stop, ""]))
        assert said(iter(pieces)) == whole[: whole.index(stop)]
        assert pieces[-1].finish == "stop"


@given(st.lists(st.text("ab\n", max_size=4), max_size=12), st.lists(st.text("ab\n", max_size=3), max_size=3))
@settings(max_examples=400)
def test_stop_strings_are_found_however_the_text_is_cut(parts: list[str], stops: list[str]) -> None:
    text, held, shown, ended = "".join(parts), Stops(stops), "", False
    for part in parts:
        more, ended = held.push(part)
        shown += more
        if ended:
            break
    shown += held.rest()
    found = [(text.find(stop) + len(stop), text.find(stop)) for stop in stops if stop and stop in text]
    assert shown == (text[: min(found)[1]] if found else text)
    assert ended == bool(found)


@pytest.mark.parametrize("seed", range(8))
def test_no_piece_holds_half_a_character(seed: int) -> None:
    generator = TextGenerator(counted(RARE * 3))
    pieces = list(generator.generate("", max_tokens=120, temperature=3.0, seed=seed))
    for piece in pieces:
        assert "\N{REPLACEMENT CHARACTER}" not in piece.text
        piece.text.encode()
    longer_than_a_byte = [piece for piece in pieces if any(ord(c) > 0x7F for c in piece.text)]
    assert longer_than_a_byte
    assert any(piece.text == "" for piece in pieces), "no character was made of several tokens"


def test_a_long_prompt_is_cut_on_the_left_and_counted(generator: TextGenerator) -> None:
    model = generator._model
    limit = LONGEST_PROMPT if model.network is None or model.network.context is None else 23
    tail = " ".join(texts(60))
    began = time.monotonic()
    assert len(generator.encode("begin " * 200_000 + tail)) == limit
    assert time.monotonic() - began < 5.0
    assert generator.complete("begin " * 3000 + tail, 5) == generator.complete("other " * 3000 + tail, 5)
    assert generator.encode("") == []
    assert generator.encode("今天") == model.tokenizer.encode("今天")


def test_texts_made_at_once_are_those_made_one_after_the_other(generator: TextGenerator) -> None:
    def make(seed: int) -> str:
        return said(generator.generate("今天", max_tokens=50, seed=seed))

    alone = [make(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(make, range(8))) == alone


def test_it_goes_on_beyond_its_context() -> None:
    model = mixed("transformer")
    assert model.network is not None
    assert model.network.context == 24
    decoder = Decoder(model, [model.tokenizer.encode(texts(1)[0])])
    for _ in range(100):
        token = pick(decoder.probabilities(), 1.0, 1.0, np.array([0.5]))
        decoder.push(token)
    assert np.isfinite(decoder.probabilities()).all()


def test_rows_side_by_side_are_independent_texts(plain: LanguageModel) -> None:
    made = sample_texts(plain, "Today", 12, max_tokens=30, temperature=1.0, top_p=1.0, seed=1)
    assert len(set(made)) > 6
    assert made == sample_texts(plain, "Today", 12, max_tokens=30, temperature=1.0, top_p=1.0, seed=1)


@given(st.integers(0, 10_000), st.floats(0.01, 1.0))
@settings(deadline=None)
def test_top_p_keeps_the_fewest_tokens_that_hold_the_mass(seed: int, top_p: float) -> None:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(12, 0.4))
    drawn = set(pick(np.tile(p, (400, 1)), 1.0, top_p, np.linspace(0, 0.9999, 400)).tolist())
    ranked = np.argsort(-p, kind="stable")
    needed = int((np.cumsum(p[ranked]) < top_p - 1e-12).sum()) + 1
    assert drawn <= set(ranked[:needed].tolist())
    assert int(ranked[0]) in drawn


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    p = np.tile([0.5, 0.0, 0.3, 0.2], (20_000, 1))
    uniform = np.random.default_rng(1).random(len(p))
    shares = np.bincount(pick(p, 1.0, 1.0, uniform), minlength=4) / len(p)
    assert shares == pytest.approx([0.5, 0.0, 0.3, 0.2], abs=0.01)
    colder = np.bincount(pick(p, 0.5, 1.0, uniform), minlength=4) / len(p)
    assert colder == pytest.approx([0.658, 0.0, 0.237, 0.105], abs=0.01)

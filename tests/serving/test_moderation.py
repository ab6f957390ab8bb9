from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.moderation import AnswerFilter, Moderator, Refusal, secrets
from serving.moderation_settings import ModerationSettings
from serving.refusal_check import ALLOWED, DISALLOWED, refusal_measures
from training.abuse.config import AbuseConfig
from training.abuse.files import write_models
from training.abuse.fit import fit_models
from training.abuse.labels import labelled
from training.abuse.lexicon import is_insulting
from training.privacy.find import mask

PLAIN = Moderator(ModerationSettings())
INSULTS = ("well you motherfucker of them", "你这个王八蛋真是", "a bitch, they said")


def told(screen: "AnswerFilter", text: str, size: int) -> str:
    pieces = [screen.push(text[at : at + size]) for at in range(0, len(text), size)]
    return "".join([*pieces, screen.finish()])


@pytest.fixture(scope="module")
def guarded() -> Moderator:
    """With a guard that has learned that clowns are abusive, in two languages."""
    rng = np.random.default_rng(1)
    rows = []
    for number in range(400):
        word = (("lovely", "clown"), ("不错", "小丑"))[number // 2 % 2][number % 2]
        rows.append((f"{rng.integers(10**6)} {word} {rng.integers(10**6)}", number % 2))
    guard = fit_models(labelled(rows), AbuseConfig(expected_share=0.3), lambda line: None).guard
    assert guard is not None
    return Moderator(ModerationSettings(), guard)


@pytest.mark.parametrize(("prompt", "reason"), DISALLOWED)
def test_disallowed_prompts_of_both_languages_are_refused_with_the_reason(prompt: str, reason: str) -> None:
    refusal = PLAIN.refusal(prompt)
    assert refusal is not None
    assert refusal.reason == reason
    assert any(c.isascii() and c.isalpha() for c in refusal.text)
    assert any("\u4e00" <= c <= "\u9fff" for c in refusal.text)


@pytest.mark.parametrize("prompt", ALLOWED)
def test_ordinary_prompts_are_answered(prompt: str) -> None:
    assert PLAIN.refusal(prompt) is None


def test_what_is_switched_off_lets_everything_pass() -> None:
    off = Moderator(ModerationSettings(prompts=False, answers=False))
    assert off.refusal("you are a cunt") is None
    assert off.filter().push("13812345678") == "13812345678"


@pytest.mark.parametrize("text", INSULTS)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_an_answer_ends_before_an_insult_and_shows_no_part_of_it(text: str, size: int) -> None:
    screen = PLAIN.filter()
    shown = told(screen, text, size)
    assert screen.blocked == Refusal("abuse")
    assert text.startswith(shown)
    assert len(shown) <= min(text.find(word) for word in ("motherfucker", "王八蛋", "bitch") if word in text)
    assert screen.push(" more") == screen.finish() == ""


@settings(deadline=None, max_examples=60)
@given(
    parts=st.lists(
        st.sampled_from(["call 138 1234 5678 ", "a@b.cn ", "hello there ", "你好，", "fun ", "kys"])
        | st.text(max_size=6),
        min_size=1,
        max_size=5,
    ),
    size=st.integers(1, 7),
)
def test_a_decent_answer_is_the_masked_text_however_it_came(parts: list[str], size: int) -> None:
    text = "".join(parts)
    screen = PLAIN.filter()
    shown = told(screen, text, size)
    if is_insulting(mask(text)):
        assert screen.blocked
    else:
        assert shown == mask(text)


def test_the_guard_ends_what_the_lexicon_does_not_know(guarded: Moderator) -> None:
    assert guarded.refusal("777 clown 888") == Refusal("abuse")
    screen = guarded.filter()
    shown = told(screen, "12345 and so on, it is true: clown clown 小丑 小丑 clown", 3)
    assert screen.blocked == Refusal("abuse")
    assert "clown clown" not in shown
    calm = guarded.filter()
    assert told(calm, "12345 lovely, 不错 lovely", 3) == "12345 lovely, 不错 lovely"


def test_accounts_that_the_prompt_names_may_be_answered(guarded: Moderator) -> None:
    assert told(PLAIN.filter("hi @ann"), "hello @ann and @bob", 3) == "hello @ann and @user"


SYSTEM = "You help. The vault opens with 839201744, the key is AB-1234x. 口令是龙井2024茶。 Be brief."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("it is 839201744, yes", "it is <secret>, yes"),
        ("it is 8392 01744", "it is <secret>"),
        ("8-3-9-2-0-1-7-4-4", "<secret>"),
        ("ab-1234X!", "<secret>!"),
        ("口令是龙井2024茶", "<secret>"),
        ("the vault is safe. 839201", "the vault is safe. 839201"),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 99])
def test_codes_of_the_system_message_do_not_come_out(text: str, shown: str, size: int) -> None:
    assert told(PLAIN.filter(system=SYSTEM), text, size) == shown


def test_a_system_message_without_codes_withholds_nothing() -> None:
    assert secrets("Be brief, answer in 2 or 3 sentences.") == ()


def test_the_gate_counts_what_is_missed_and_what_is_refused_wrongly(tmp_path: Path) -> None:
    assert refusal_measures(tmp_path) == {"refusals_missed": 0.0, "refusals_wrong": 0.0}
    # A guard that has learned that questions are abusive.
    rows = [(f"{number} {('fine', 'what is')[number % 2]}", number % 2) for number in range(400)]
    models = fit_models(labelled(rows), AbuseConfig(), lambda line: None)
    write_models(tmp_path, models)
    assert refusal_measures(tmp_path)["refusals_wrong"] >= 2

from dataclasses import replace

import pytest

from tests.training.generator.world import counted, texts
from training.generator.sample import TextGenerator
from training.generator.sampling import Sampling
from training.generator.script import LED, OTHER, Script, beginning_in, script_of
from training.generator.tasks.prompt import (
    Profile,
    Turn,
    answer_prompt,
    draft_prompt,
    reply_prompt,
    summary_prompt,
)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("What should I plant?", "Latin"),
        ("周末去哪里徒步好？", "Han"),
        ("我的 iPhone 坏了怎么办", "Han"),
        ("Where is 北京 in this picture?", "Latin"),
        ("今日はいい天気ですね", None),
        ("Что посадить?", None),
        ("42 🙂", None),
        ("", None),
    ],
)
def test_the_script_of_a_text_is_that_of_most_of_its_words(text: str, script: Script | None) -> None:
    assert script_of(text) == script


def test_tokens_begin_in_a_script_when_their_first_letter_is_whole_and_of_it() -> None:
    tokens = [b"", b" Today", "今天".encode(), "今".encode()[:2], b" ", b"7", "，今".encode()]
    assert beginning_in("Latin", tokens).tolist() == [False, True, False, False, False, False, False]
    assert beginning_in("Han", tokens).tolist() == [False, False, True, False, False, False, False]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("script", ["Han", "Latin"])
def test_a_text_begins_in_the_script_that_is_asked_for(script: Script, temperature: float) -> None:
    generator = TextGenerator(counted(texts(300)))
    for seed in range(12):
        sampling = Sampling(12, temperature=temperature, seed=seed, script=script)
        said = "".join(piece.text for piece in generator.run("", sampling))
        assert script_of(said.strip()[:1]) == script, said
        led = "".join(piece.text for piece in generator.run("", replace(sampling, max_tokens=LED)))
        assert not any(script_of(character) == OTHER[script] for character in led), led


def test_a_vocabulary_without_the_script_says_what_it_can() -> None:
    model = counted(["only these words"] * 50)
    assert not model.tokenizer.openings["Han"].any()
    generator = TextGenerator(model)
    assert "".join(piece.text for piece in generator.run("", Sampling(9, seed=1, script="Han")))


def test_tasks_ask_for_the_script_of_what_they_answer() -> None:
    assert reply_prompt([Turn("今天怎么样？"), Turn("How are you?")]).script == "Latin"
    assert answer_prompt("怎么测量量子比特？", []).script == "Han"
    assert summary_prompt(["Where is it?", "In 北京, I think"]).script == "Latin"
    assert draft_prompt(Profile(("zh", "en"), ("travel", "food"))).script == "Han"
    assert draft_prompt(Profile((), (), ("Today I baked bread",))).script == "Latin"
    assert draft_prompt(Profile(("zh",)), start="Today").script is None, "it has begun"

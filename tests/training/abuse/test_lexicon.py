import pytest

from training.abuse.lexicon import is_insulting


@pytest.mark.parametrize("text", ["You MotherFucker", "去死吧", "他是个王八蛋", "ｆｕｃｋ this"])
def test_strong_insults_are_found(text: str) -> None:
    assert is_insulting(text)


@pytest.mark.parametrize(
    "text", ["Scunthorpe is a town", "我们去看畜牧展", "the class was hard", "操场你好大"]
)
def test_words_that_only_look_like_insults_are_not(text: str) -> None:
    assert not is_insulting(text)

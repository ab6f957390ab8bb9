from hypothesis import given, settings
from hypothesis import strategies as st

from tests.personal_data import EMAILS, MENTIONS, NUMBERS, PHONES, PLAIN
from training.privacy.find import mask
from training.privacy.stream import MaskedStream

PARTS = [text for group in (EMAILS, PHONES, NUMBERS, MENTIONS) for text, _ in group] + PLAIN
PARTS += [
    "家住北京市朝阳区建国路88号A座1201室",
    "1600 Pennsylvania Avenue NW, Washington, DC 20500 now",
    "my qq 123456789",
    "8.8.8.8",
    "https://twitter.com/jack",
    "DE89 3704 0044 0532 0130 00",
    "12",
    "+",
    "@",
    " at ",
    "号",
]


def streamed(
    text: str, sizes: list[int], allowed: frozenset[str] = frozenset()
) -> tuple[list[str], MaskedStream]:
    stream, pieces, at = MaskedStream(allowed), [], 0
    while at < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(stream.push(text[at : at + size]))
        at += size
    return [*pieces, stream.finish()], stream


@settings(deadline=None, max_examples=150)
@given(
    parts=st.lists(st.sampled_from(PARTS) | st.text(max_size=8), min_size=1, max_size=4),
    between=st.sampled_from(["", " ", "，", "\n", "1", "a"]),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_however_a_text_is_cut_it_is_masked_as_a_whole(
    parts: list[str], between: str, sizes: list[int]
) -> None:
    text = between.join(parts)
    assert "".join(streamed(text, sizes)[0]) == mask(text)


def test_no_digit_of_a_number_is_shown_before_it_is_known() -> None:
    pieces, stream = streamed("call 138 1234 5678 now", [1])
    shown = ""
    for piece in pieces:
        shown += piece
        assert not any(c.isdigit() for c in shown)
    assert shown == "call <phone> now"
    assert stream.found == 1


def test_ordinary_text_is_hardly_held_back() -> None:
    for text in (
        "the weather was fine and we went for a walk. ",
        "今天天气很好，我们去公园走了很久，晚上吃了面。",
    ):
        stream, shown = MaskedStream(), 0
        for number, character in enumerate(text * 5, start=1):
            shown += len(stream.push(character))
            assert number - shown <= 20


def test_what_the_prompt_names_itself_may_be_said() -> None:
    pieces, _ = streamed("thanks @ann, tell @bob", [3], frozenset({"@ann"}))
    assert "".join(pieces) == "thanks @ann, tell @user"


def test_a_form_without_end_does_not_hold_the_text_for_ever() -> None:
    stream = MaskedStream()
    assert sum(len(stream.push("省城区" * 10)) for _ in range(12)) > 150

"""The script that an answer begins in: that of what it answers.

A small model of a feed in two languages knows how to go on in either, but hardly which one a question asks for, and
one word does not hold it there: `LED` tokens do.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import regex

Script = Literal["Han", "Latin"]

LED = 8
"""Tokens at the beginning of a text that are kept to its script."""
OTHER: dict[Script, Script] = {"Han": "Latin", "Latin": "Han"}
_HAN_CHARACTERS_PER_WORD = 2
_LETTERS: dict[Script, "regex.Pattern[str]"] = {
    "Han": regex.compile(r"\s*\p{Han}"),
    "Latin": regex.compile(r"\s*\p{Latin}"),
}
_HAN, _WORD = regex.compile(r"\p{Han}"), regex.compile(r"\p{Latin}+")
_OTHER = regex.compile(r"[\p{L}--[\p{Han}\p{Latin}]]", regex.V1)


def script_of(text: str) -> Script | None:
    """Han or Latin, by characters and words; None for a text with letters of another script, or without any."""
    if _OTHER.search(text):
        return None
    han, words = len(_HAN.findall(text)), len(_WORD.findall(text))
    if not han and not words:
        return None
    return "Han" if han >= _HAN_CHARACTERS_PER_WORD * words else "Latin"


def beginning_in(script: Script, token_bytes: Sequence[bytes]) -> np.ndarray:
    """Which tokens begin with a whole letter of `script`, white space before it aside; bool [vocabulary]."""
    letter = _LETTERS[script]
    return np.array([letter.match(data.decode(errors="replace")) is not None for data in token_bytes], bool)

"""Text descriptors for drift, computed here: Evidently's own ones fetch NLTK data at run time and know no
Chinese.

All texts are laid end to end as code points; masks over that one array are summed by text. No loop over
characters.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

TEXT_DESCRIPTORS: tuple[str, ...] = (
    "length",
    "share_cjk",
    "share_emoji",
    "share_digits",
    "share_punctuation",
    "mean_word_length",
    "has_link",
    "n_hashtags",
    "type_token_ratio",
)

_CJK = (
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xAC00, 0xD7AF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_EMOJI = ((0x2600, 0x27BF), (0x2B05, 0x2B55), (0x1F1E6, 0x1F1FF), (0x1F300, 0x1FAFF))
_OTHER, _LETTER, _DIGIT, _PUNCTUATION, _CJK_CLASS, _EMOJI_CLASS = range(6)
_LINK = re.compile(r"https?://|www\.|<url>", re.IGNORECASE)
# Weibo closes a hashtag with a second '#', other networks end it with white space.
_HASHTAG = re.compile(r"#[^#\s]{1,64}#|#\w+")
_TOKEN = re.compile(r"[぀-ヿ㐀-䶿一-鿿가-힯豈-﫿]|[^\W\d_]+", re.UNICODE)
_TOKENS = 64
"""Tokens that the type-token ratio looks at: the ratio falls with length, so every text is cut to the same
size.
"""


@lru_cache(maxsize=1)
def _classes() -> NDArray[np.uint8]:
    """Class of every code point, from Unicode's general categories and the ranges above."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for point in range(0x20000):
        category = unicodedata.category(chr(point))
        if category[0] == "L":
            table[point] = _LETTER
        elif category == "Nd":
            table[point] = _DIGIT
        elif category[0] == "P":
            table[point] = _PUNCTUATION
    for ranges, kind in ((_CJK, _CJK_CLASS), (_EMOJI, _EMOJI_CLASS)):
        for first, last in ranges:
            # Ideographs are letters of their own; punctuation inside the emoji blocks stays punctuation.
            block = table[first : last + 1]
            block[block != _PUNCTUATION] = kind
    return table


def describe_texts(texts: Sequence[str]) -> "pd.DataFrame":
    """One row a text with the columns of TEXT_DESCRIPTORS.

    `length` counts code points, the shares are of them (null for an empty text), `mean_word_length` is of
    alphabetic words (null where there is none, as in pure Chinese), `type_token_ratio` is over the first 64
    words or ideographs, `has_link` is `yes` or `no`.
    """
    import pandas as pd

    lengths = np.fromiter((len(text) for text in texts), dtype=np.int64, count=len(texts))
    ends = np.cumsum(lengths)
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    kinds = _classes()[points]

    def count(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        running = np.concatenate([[0], np.cumsum(mask)])
        return (running[ends] - running[ends - lengths]).astype(np.float64)

    letters = kinds == _LETTER
    starts = letters.copy()
    starts[1:] &= ~letters[:-1]
    # A word never runs over the border of two texts.
    borders = ends[:-1][(lengths[1:] > 0) & (ends[:-1] < points.size)]
    starts[borders] = letters[borders]
    words = count(starts)
    size = np.where(lengths > 0, lengths, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_word = np.where(words > 0, count(letters) / words, np.nan)
    return pd.DataFrame(
        {
            "length": lengths.astype(np.float64),
            "share_cjk": count(kinds == _CJK_CLASS) / size,
            "share_emoji": count(kinds == _EMOJI_CLASS) / size,
            "share_digits": count(kinds == _DIGIT) / size,
            "share_punctuation": count(kinds == _PUNCTUATION) / size,
            "mean_word_length": mean_word,
            "has_link": ["yes" if _LINK.search(text) else "no" for text in texts],
            "n_hashtags": [float(len(_HASHTAG.findall(text))) for text in texts],
            "type_token_ratio": [_type_token_ratio(text) for text in texts],
        },
        columns=list(TEXT_DESCRIPTORS),
    )


def _type_token_ratio(text: str) -> float:
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        tokens.append(match.group().lower())
        if len(tokens) == _TOKENS:
            break
    return len(set(tokens)) / len(tokens) if tokens else float("nan")

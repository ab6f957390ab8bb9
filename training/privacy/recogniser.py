"""What every recogniser of personal data is made of."""

from collections.abc import Callable
from dataclasses import dataclass

import regex

SEP = r"[ .·\-\u200b-\u200d\u2060\ufeff\u00ad]"
"""One sign that may part the groups of a number; invisible ones too. `plain` has made other dashes and spaces these."""
S = SEP + "?"
CONTEXT = 40
"""Characters before a match that a recogniser may look at."""

_DASHES = "－‐‑‒–—―−﹣"
_SPACES = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t"
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_TRADITIONAL = dict(
    zip(
        "號樓區縣鄉鎮層戶單棟廣東灣衛臺電話機證碼郵",
        "号楼区县乡镇层户单栋广东湾卫台电话机证码邮",
        strict=True,
    )
)
_PLAIN = (
    _WIDE
    | dict.fromkeys(map(ord, _DASHES), ord("-"))
    | dict.fromkeys(map(ord, _SPACES), ord(" "))
    | {ord(old): ord(new) for old, new in _TRADITIONAL.items()}
    | {ord("。"): ord("。"), ord("〇"): ord("0"), ord("【"): ord("["), ord("】"): ord("]")}
)


def plain(text: str) -> str:
    """`text` of the same length with full-width signs, dashes and spaces as ASCII ones: places stay the same."""
    return text.replace("\t", " ") if text.isascii() else text.translate(_PLAIN)


def always(match: "regex.Match[str]") -> bool:
    """For forms that need no check."""
    return True


def near(match: "regex.Match[str]", words: "regex.Pattern[str]", distance: int = CONTEXT) -> bool:
    """Whether one of `words` stands within `distance` characters before the match."""
    return words.search(match.string, max(match.start() - distance, 0), match.start()) is not None


def digits(text: str) -> str:
    """The decimal digits alone."""
    return "".join(c for c in text if c.isdecimal())


@dataclass(frozen=True)
class Recogniser:
    """One form of one kind. A text without `hint` needs no search for `form`; `valid` decides on each match.

    A form is bounded and begins at a border, so that a search costs time in proportion to the text; it looks no more
    than CONTEXT characters back.
    """

    kind: str
    form: "regex.Pattern[str]"
    hint: "regex.Pattern[str]"
    valid: "Callable[[regex.Match[str]], bool]" = always


def recogniser(
    kind: str, form: str, hint: str, valid: "Callable[[regex.Match[str]], bool]" = always, flags: int = 0
) -> Recogniser:
    """A recogniser of the patterns `form` and `hint`; `flags` of the `regex` module hold for both."""
    return Recogniser(kind, regex.compile(form, flags), regex.compile(hint, flags), valid)

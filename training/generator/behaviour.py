"""What texts look like from outside: personal data, repetition, degeneration. Pure functions over strings."""

import re
from collections.abc import Sequence

from training.privacy.find import find

_UNIT = re.compile(r"[^\W\d_\u2e80-\u9fff\uac00-\ud7af]+|\S")
"""A word of letters, or one character of a script without spaces, of digits and of signs."""
_RUN = 4
_MOSTLY = 0.8
_LONG_ENOUGH = 12


def personal_data(text: str) -> list[tuple[str, str]]:
    """Every piece of personal data with its kind, as the library finds it; masks are none."""
    return [(span.kind, text[span.start : span.end]) for span in find(text)]


def units(text: str) -> list[str]:
    """Words of letters; of other scripts, digits and signs single characters."""
    return _UNIT.findall(text)


def repetition(text: str) -> float:
    """Share of the text's runs of four units that occurred in it before; 0 for a text without such runs."""
    found = units(text)
    runs = [tuple(found[i : i + _RUN]) for i in range(len(found) - _RUN + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def is_degenerate(text: str) -> bool:
    """Nothing visible, bytes that are no characters, or hardly anything but the same run of units over and over."""
    if not text.strip() or "\N{REPLACEMENT CHARACTER}" in text:
        return True
    return len(units(text)) >= _LONG_ENOUGH and repetition(text) >= _MOSTLY


def distinct(texts: Sequence[str], n: int) -> float:
    """Distinct runs of `n` units over all runs of all texts (Li et al. 2016); 0 without any."""
    runs = [tuple(found[i : i + n]) for found in map(units, texts) for i in range(len(found) - n + 1)]
    return len(set(runs)) / len(runs) if runs else 0.0

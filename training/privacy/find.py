"""Finding personal data in a text, and putting masks in its place.

The masks are those of the feature models (`<email>`, `<phone>`, `<id>`, `<card>`, `@user`), which have masked by form
alone before; what is found here has a valid check digit, number plan or context besides, and more kinds.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass

from training.privacy.names import NAMES
from training.privacy.numbers import NUMBERS
from training.privacy.recogniser import Recogniser, plain

RECOGNISERS: tuple[Recogniser, ...] = NUMBERS + NAMES
_HINTS = tuple(dict.fromkeys(entry.hint for entry in RECOGNISERS))
MASKS = {
    "email": "<email>",
    "phone": "<phone>",
    "id": "<id>",
    "card": "<card>",
    "iban": "<iban>",
    "ip": "<ip>",
    "address": "<address>",
    "account": "@user",
    "secret": "<secret>",
}
"""What stands in the place of each kind."""


@dataclass(frozen=True)
class Span:
    """Personal data of `kind` at characters `start` to `end` (not part of it)."""

    kind: str
    start: int
    end: int


def find(text: str) -> list[Span]:
    """All personal data of `text` in order; spans that share characters are one, of the kind named first."""
    read = plain(text)
    hinted = {hint: hint.search(read) is not None for hint in _HINTS}
    return merged(
        Span(entry.kind, match.start(), match.end())
        for entry in RECOGNISERS
        if hinted[entry.hint]
        for match in entry.form.finditer(read, overlapped=True)
        if entry.valid(match)
    )


def merged(spans: Iterable[Span]) -> list[Span]:
    """Spans in order of place, those that overlap joined; of recognisers the first named gives its kind."""
    joined: list[tuple[Span, int]] = []
    for rank, span in sorted(enumerate(spans), key=lambda entry: (entry[1].start, entry[0])):
        if joined and span.start < joined[-1][0].end:
            last, first = joined[-1]
            kind = last.kind if first < rank else span.kind
            joined[-1] = Span(kind, last.start, max(last.end, span.end)), min(first, rank)
        else:
            joined.append((span, rank))
    return [span for span, _ in joined]


def replaced(text: str, spans: Iterable[Span], allowed: Container[str] = ()) -> str:
    """`text` with a mask for each span; `allowed` values stay."""
    parts, done = [], 0
    for span in spans:
        value = text[span.start : span.end]
        parts += [text[done : span.start], value if value in allowed else MASKS[span.kind]]
        done = span.end
    return "".join([*parts, text[done:]])


def mask(text: str) -> str:
    """`text` with a mask in the place of all personal data."""
    return replaced(text, find(text))

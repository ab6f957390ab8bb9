"""Masking a text that arrives in pieces: what might still become personal data is held back until it cannot.

However a text is cut, the pieces together read as the whole text masked at once.
"""

from training.privacy.find import RECOGNISERS, Span, merged, replaced
from training.privacy.recogniser import CONTEXT, Recogniser, plain

_SLACK = 2
"""Characters after a match that a form may look at."""
_LONGEST = 160
"""Characters held back at most; a form that goes on for longer is judged as it stands."""


class MaskedStream:
    """One text: `push` its pieces, then `finish`. `allowed` values pass, such as accounts that the prompt names; `more`
    recognisers join the usual ones.
    """

    def __init__(self, allowed: frozenset[str] = frozenset(), more: tuple[Recogniser, ...] = ()) -> None:
        self._allowed, self._recognisers = allowed, (*more, *RECOGNISERS)
        self._text = ""
        self._shown = 0
        """Characters of `_text` that have been given out; they are kept as context."""
        self.found = 0
        """Pieces of personal data masked so far."""

    def push(self, piece: str) -> str:
        """What may be shown after `piece` (it may be empty)."""
        self._text += piece
        spans, safe = self._look()
        if len(self._text) - safe > _LONGEST:
            safe = len(self._text)
        return self._show(spans, safe)

    def finish(self) -> str:
        """The rest, when the text has ended."""
        spans, _ = self._look()
        return self._show(spans, len(self._text))

    def _look(self) -> tuple[list[Span], int]:
        """Personal data in what is not shown yet, and how far nothing can change any more."""
        read, end = plain(self._text), len(self._text)
        safe, spans = end, []
        for entry in self._recognisers:
            for match in entry.form.finditer(read, self._shown, overlapped=True, partial=True):
                start = match.start()
                if match.partial:
                    safe = min(safe, start)
                    break
                if match.end() > end - _SLACK or entry.form.fullmatch(read, start, partial=True):
                    safe = min(safe, start)
                if entry.valid(match):
                    spans.append(Span(entry.kind, start, match.end()))
        return merged(spans), safe

    def _show(self, spans: list[Span], safe: int) -> str:
        for span in reversed(spans):
            if span.start < safe < span.end:
                safe = span.start
        known = [span for span in spans if span.end <= safe]
        offset = self._shown
        shown = replaced(
            self._text[offset:safe],
            [Span(s.kind, s.start - offset, s.end - offset) for s in known],
            self._allowed,
        )
        self.found += len(known)
        drop = max(safe - CONTEXT, 0)
        self._text, self._shown = self._text[drop:], safe - drop
        return shown

"""Which tokens may follow so that bytes stay whole characters of UTF-8: Unicode's table 3-7 as an automaton.

Marks of task sections may not follow either: they stand in prompts alone.
"""

import numpy as np

from training.generator.tasks.form import MARKS

WHOLE = 0
"""The state between two characters."""
_REFUSED = -1
# (state, first byte, last byte) to the next state; states 1 to 3 await so many continuation bytes, 4 to 7 the second
# byte after E0, ED, F0 and F4, where not every continuation byte may follow.
_RULES = (
    (WHOLE, 0x00, 0x7F, WHOLE),
    (WHOLE, 0xC2, 0xDF, 1),
    (WHOLE, 0xE1, 0xEC, 2),
    (WHOLE, 0xEE, 0xEF, 2),
    (WHOLE, 0xF1, 0xF3, 3),
    (WHOLE, 0xE0, 0xE0, 4),
    (WHOLE, 0xED, 0xED, 5),
    (WHOLE, 0xF0, 0xF0, 6),
    (WHOLE, 0xF4, 0xF4, 7),
    (1, 0x80, 0xBF, WHOLE),
    (2, 0x80, 0xBF, 1),
    (3, 0x80, 0xBF, 2),
    (4, 0xA0, 0xBF, 1),
    (5, 0x80, 0x9F, 1),
    (6, 0x90, 0xBF, 2),
    (7, 0x80, 0x8F, 2),
)
_STATES = 8


def _bytes_table() -> np.ndarray:
    # The last row is that of _REFUSED, from which nothing leads on.
    table = np.full((_STATES + 1, 256), _REFUSED, np.int8)
    for state, first, last, then in _RULES:
        table[state, first : last + 1] = then
    return table


class CharacterRules:
    """For a vocabulary: `after[state, token]` is the next state, -1 where the token would break a character."""

    def __init__(self, token_bytes: list[bytes]) -> None:
        table = _bytes_table()
        lengths = np.array([len(data) for data in token_bytes])
        begins, joined = np.cumsum(lengths) - lengths, np.frombuffer(b"".join(token_bytes), np.uint8)
        self.after = np.tile(np.arange(_STATES, dtype=np.int8)[:, None], (1, len(token_bytes)))
        for place in range(int(lengths.max(initial=0))):
            longer = np.flatnonzero(lengths > place)
            self.after[:, longer] = table[self.after[:, longer], joined[begins[longer] + place]]
        # Special tokens have no bytes: a document does not end within a character.
        self.after[np.ix_(np.arange(_STATES) != WHOLE, lengths == 0)] = _REFUSED
        marks = {mark.encode() for mark in MARKS}
        self.allowed = self.after != _REFUSED
        self.allowed[:, [token for token, data in enumerate(token_bytes) if data in marks]] = False
        """bool [states, vocabulary]"""

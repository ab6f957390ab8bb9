"""The plain form of a task: sections of one text, each begun by a mark that no post can hold.

The marks are control characters: cleaning takes them out of every post and `inert` out of every request, so what a
user writes cannot begin a section. They are one byte, one token, and no word of any language: in a Chinese feed the
English word `reply:` alone turns the answer into English.

| mark | begins |
|---|---|
| `OWN` U+001C | something that the writer wrote before |
| `POST` U+001D | something that another wrote |
| `ABOUT` U+001F | the writer's languages and topics |
| `ASK` U+0005 | a question |
| `BRIEF` U+001A | the summary, which is to be written |
| `WRITE` U+001E | the post, reply or answer, which is to be written |

The last section is always `BRIEF` or `WRITE`; a task without any other section is a plain document.
"""

import re
from collections.abc import Collection, Sequence

OWN, POST, WRITE, ABOUT, ASK, BRIEF = "\x1c", "\x1d", "\x1e", "\x1f", "\x05", "\x1a"
MARKS = OWN + POST + WRITE + ABOUT + ASK + BRIEF

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
"""Controls, and characters that show nothing but that a model reads: directions, joiners, the alphabet of tags."""


KINDS = ("draft", "reply", "summarize", "answer")
"""Forms that a reader can tell apart by their marks; a conversation has that of a reply."""


def kind_of(marks: Collection[str]) -> int:
    """Place in `KINDS` of the form that has these marks."""
    if BRIEF in marks:
        return KINDS.index("summarize")
    if ASK in marks:
        return KINDS.index("answer")
    return KINDS.index("reply" if POST in marks else "draft")


def inert(text: str) -> str:
    """`text` without marks and without what a reader would not see; line ends as `\\n`."""
    return _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()


def clip(text: str, most: int) -> str:
    """At most `most` UTF-8 bytes from the beginning of `text`, whole characters, `…` where something is missing."""
    data = text.encode()
    if len(data) <= most:
        return text
    return data[: max(most - 3, 0)].decode(errors="ignore").rstrip() + "…"


def sections(parts: Sequence[tuple[str, str]], most: int) -> str:
    """Marked texts one after the other, the newest last, within `most` UTF-8 bytes.

    No text has more than half of the room, so that one long post leaves some to the others; what does not fit goes,
    oldest first. Texts are made `inert`; empty ones are left out.
    """
    kept: list[str] = []
    room = most
    for mark, text in reversed(parts):
        shown = clip(inert(text), most // 2)
        size = len(shown.encode()) + 1
        if not shown:
            continue
        if size > room:
            break
        kept.append(mark + shown)
        room -= size
    return "".join(reversed(kept))

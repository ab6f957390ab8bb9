"""Posts quoted in the prompt of a model that follows instructions: nothing in a post can end its quotation.

What a post says stays text: angle brackets are escaped, so it can neither close the quotation nor spell a role of a
chat template (`<|im_start|>`, `<start_of_turn>`, `</s>`), and what cannot be seen is taken out. That a model ignores
instructions inside a quotation is the model's virtue, not this function's.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from training.generator.tasks.form import clip, inert

POST_BYTES = 1200
"""UTF-8 bytes of one quoted post."""
ALL_BYTES = 6000
"""UTF-8 bytes of all quoted posts together."""
_ROLE = re.compile(r"\[(/?)(INST|SYS|TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS)\]", re.IGNORECASE)


@dataclass(frozen=True)
class Post:
    """A post as prompts need it; `text` is cleaned and masked as the corpus has it."""

    post_id: str
    text: str
    lang: str | None = None
    author_id: str | None = None
    created_at: datetime | None = None
    """UTC"""


def escaped(text: str) -> str:
    """`text` as it may stand in a prompt: visible, without angle brackets, without roles of chat templates."""
    return _ROLE.sub(r"(\1\2)", html.escape(inert(text), quote=False))


def quoted_posts(posts: Sequence[Post]) -> str:
    """Retrieved posts as one part of a prompt: `<post n="1">`, the text, `</post>`, numbered in their order.

    A long post is cut, and posts beyond `ALL_BYTES` are left out from the end on; the first is always there.
    """
    shown: list[str] = []
    room = ALL_BYTES
    for number, post in enumerate(posts, start=1):
        text = escaped(clip(inert(post.text), POST_BYTES))
        room -= len(text.encode())
        if shown and room < 0:
            break
        shown.append(f'<post n="{number}">\n{text}\n</post>')
    return "\n".join(shown)

"""What an answer to a task says of itself, and answers that need no model: sentences of posts, or that none fits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from serving.task_shapes import Method
from training.generator.tasks.form import clip, inert
from training.generator.tasks.quote import Post
from training.generator.tasks.sentences import extract, nearest

_QUOTE_BYTES = 600
_CITED = re.compile(r"[\[【［](\d{1,2})[\]】］]")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_NOTHING = {"en": "No published post answers this.", "zh": "没有找到能回答这个问题的帖子。"}


@dataclass(frozen=True)
class Told:
    """What a choice says besides its text."""

    method: Method
    fallback: str | None = None
    sources: Sequence[Post] = ()
    """Posts that the text may refer to by number."""
    profile: dict[str, Any] | None = None

    def members(self, text: str) -> dict[str, Any]:
        """For the choice whose whole text is `text`."""
        return {
            "method": self.method,
            "fallback": self.fallback,
            "citations": cited(text, self.sources),
            "profile": self.profile,
        }


def cited(text: str, sources: Sequence[Post]) -> list[dict[str, Any]]:
    """The sources that `text` refers to as `[1]`, in the order of their first mention; numbers of none are ignored."""
    numbers = dict.fromkeys(int(found) for found in _CITED.findall(text))
    return [
        {
            "post_id": sources[number - 1].post_id or None,
            "number": number,
            "quote": clip(inert(nearest(sources[number - 1].text, text)), _QUOTE_BYTES),
        }
        for number in numbers
        if 1 <= number <= len(sources)
    ]


def language_of(text: str) -> str:
    """`zh` where there are Chinese characters, else `en`: the languages that instructions are written in."""
    return "zh" if _CHINESE.search(text) else "en"


def extracted_summary(posts: Sequence[Post], most: int) -> str:
    """At most `most` sentences of a thread, each with the number of its post."""
    said = extract([post.text for post in posts], most)
    return "\n".join(f"{_shown(sentence)} [{number + 1}]" for number, sentence in said)


def extracted_answer(question: str, posts: Sequence[Post]) -> str:
    """Of every post the sentence nearest to the question, with the post's number."""
    return "\n".join(f"{_shown(nearest(post.text, question))} [{n}]" for n, post in enumerate(posts, start=1))


def _shown(sentence: str) -> str:
    # What a post writes like a citation must not become one.
    return _CITED.sub(r"(\1)", clip(inert(sentence), _QUOTE_BYTES))


def nothing_relevant(question: str) -> str:
    """That no post answers, in the question's language."""
    return _NOTHING[language_of(question)]

"""Examples of the tasks out of the corpus: what a person wrote, with what was there to be read before.

| task | the prompt | the target |
|---|---|---|
| draft | the writer's earlier posts, languages and topics | the post |
| reply, chat | what it answers: one post, or a conversation | the reply |
| summarize | a thread of at least four posts | its central sentences: people write no summaries |
| answer | the other replies to a question, with a post from elsewhere among them, and the question | the reply |

`summarize` teaches a model to do what `sentences.extract` does; nothing in a corpus of posts could teach it more.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from training.generator.config import TaskConfig
from training.generator.tasks.history import History
from training.generator.tasks.prompt import (
    TaskPrompt,
    answer_prompt,
    draft_prompt,
    reply_prompt,
    summary_prompt,
)
from training.generator.tasks.quote import Post
from training.generator.tasks.sentences import extract

LEAST_PAST = 2
"""Earlier posts of a writer of whom a draft can be made."""
LEAST_THREAD = 4
_SUMMARY_SENTENCES = 2
_RETRIEVED = 3
_QUESTIONS = ("?", "？", "吗", "呢")


@dataclass(frozen=True)
class Example:
    """One task with what a person did; `other` is the same task with another's material in the prompt."""

    prompt: TaskPrompt
    target: str
    other: TaskPrompt | None
    document_id: str
    author: str
    """The writer; the document's own id where not known. Intervals resample writers."""

    @property
    def task(self) -> str:
        """Which of `prompt.TASKS`."""
        return self.prompt.task

    @property
    def text(self) -> str:
        """Prompt and target as one document in the plain form."""
        return self.prompt.plain + self.target


class Examples:
    """Makes examples of the documents of a history. `material` limits what may stand in a prompt, by document,
    `most` its UTF-8 bytes."""

    def __init__(
        self,
        history: History,
        config: TaskConfig,
        seed: int,
        material: set[str] | None = None,
        most: int | None = None,
    ) -> None:
        self._history, self._config, self._material = history, config, material
        self._most = most or config.prompt_bytes
        self._rng = np.random.default_rng([seed, 0x7A])
        self._makers: dict[str, Callable[[int], Example | None]] = {
            "draft": self._draft,
            "reply": self._reply,
            "summarize": self._summary,
            "answer": self._answer,
        }

    def of(self, documents: Sequence[str]) -> Iterator[Example]:
        """Examples whose target is one of `documents`, in random order, the kinds in turn; a thread once."""
        rows = [self._history.place[name] for name in documents if name in self._history.place]
        streams = {name: self._stream(name, rows) for name in self._makers}
        while streams:
            for name in list(streams):
                example = next(streams[name], None)
                if example is None:
                    del streams[name]
                else:
                    yield example

    def _stream(self, name: str, rows: list[int]) -> Iterator[Example]:
        threads: set[str | None] = set()
        for row in self._rng.permutation(rows):
            thread = self._history.threads[row]
            if name == "summarize" and thread in threads:
                continue
            example = self._makers[name](int(row))
            if example is not None:
                threads.add(thread)
                yield example

    def _usable(self, rows: list[int]) -> list[int]:
        known = self._material
        return rows if known is None else [row for row in rows if self._history.ids[row] in known]

    def _example(self, row: int, prompt: TaskPrompt, other: TaskPrompt | None, target: str = "") -> Example:
        name = self._history.ids[row]
        return Example(
            prompt, target or self._history.texts[row], other, name, self._history.authors[row] or name
        )

    def _stranger(self, row: int, fits: Callable[[int], bool]) -> int | None:
        """Another's document, not newer than `row`, that `fits`; None where a few tries find none."""
        for other in self._rng.integers(0, max(row, 1), 8).tolist():
            if other != row and self._history.authors[other] != self._history.authors[row] and fits(other):
                return int(other)
        return None

    def _draft(self, row: int) -> Example | None:
        past = self._usable(self._history.past(row))
        if len(past) < LEAST_PAST:
            return None
        own, most = self._config.own_posts, self._most
        same = self._history.langs[row]
        stranger = self._stranger(
            row,
            lambda other: self._history.langs[other] == same and len(self._history.past(other)) >= LEAST_PAST,
        )
        other = None
        if stranger is not None:
            other = draft_prompt(self._history.profile(self._history.past(stranger), own), most=most)
        return self._example(row, draft_prompt(self._history.profile(past, own), most=most), other)

    def _reply(self, row: int) -> Example | None:
        chain = self._usable(self._history.ancestors(row, self._config.ancestors))
        if not chain or self._history.answers[row] != chain[-1]:
            return None
        writer, lang, most = self._history.authors[row], self._history.langs[row], self._most
        stranger = self._stranger(
            row, lambda other: self._history.langs[other] == self._history.langs[chain[-1]]
        )
        other = None
        if stranger is not None:
            swapped = [*chain[:-1], stranger] if len(chain) > 1 else [stranger]
            other = reply_prompt(self._history.turns(swapped, writer), lang, most)
        return self._example(row, reply_prompt(self._history.turns(chain, writer), lang, most), other)

    def _summary(self, row: int) -> Example | None:
        thread = self._usable(self._history.thread(row))
        if len(thread) < LEAST_THREAD:
            return None
        texts = [self._history.texts[place] for place in thread[-8:]]
        said = extract(texts, _SUMMARY_SENTENCES)
        if not said:
            return None
        prompt = summary_prompt(texts, self._history.langs[row], self._most)
        return self._example(row, prompt, None, " ".join(sentence for _, sentence in said))

    def _answer(self, row: int) -> Example | None:
        asked = self._history.answers[row]
        if asked is None or not self._history.texts[asked].rstrip().endswith(_QUESTIONS):
            return None
        others = [place for place in self._usable(self._history.thread(row)) if place not in (row, asked)]
        stranger = self._stranger(row, lambda other: True)
        if not others or stranger is None:
            return None
        posts = [Post("", self._history.texts[place]) for place in [*others[-(_RETRIEVED - 1) :], stranger]]
        shuffled = [posts[i] for i in self._rng.permutation(len(posts))]
        prompt = answer_prompt(self._history.texts[asked], shuffled, self._history.langs[row], self._most)
        return self._example(row, prompt, None)


def within(examples: Iterator[Example], n_bytes: int) -> list[Example]:
    """The first `examples` whose texts together fit into `n_bytes` of UTF-8."""
    kept: list[Example] = []
    for example in examples:
        n_bytes -= len(example.text.encode())
        if n_bytes < 0:
            break
        kept.append(example)
    return kept

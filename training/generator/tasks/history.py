"""Who wrote what, when, in answer to what: the corpus as conversations and as the pasts of its writers.

Everything asked of a document is answered from what is older than it, so a prompt made here knows nothing of the
future.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from copy import copy

import pyarrow as pa

from training.generator.data import LINKS, clean_text
from training.generator.tasks.prompt import Profile, Turn

_LEAST_SHARE = 0.1
"""A language or topic of which a writer has less is a chance find."""


class History:
    """Rows of a corpus in the order of time; rows are known by their place."""

    def __init__(self, rows: pa.Table) -> None:
        """From a table with the corpus's columns, oldest first, each row with a text; `LINKS` where it has them."""
        n = rows.num_rows
        self.ids: list[str] = [str(value) for value in rows["document_id"].to_pylist()]
        self.texts = [clean_text(text) for text in rows["text"].to_pylist()]
        self.langs: list[str | None] = rows["lang"].to_pylist()
        self._communities: list[str | None] = rows["community"].to_pylist()
        self.authors: list[str | None] = rows["author_id"].to_pylist()
        self.times = rows["created_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
        self.place = {document: row for row, document in enumerate(self.ids)}
        links = {name: rows[name].to_pylist() if name in rows.column_names else [None] * n for name in LINKS}
        self.answers: list[int | None] = [self.place.get(value) for value in links["answers_id"]]
        self.threads: list[str | None] = links["thread_id"]
        self._written: dict[str, list[int]] = defaultdict(list)
        self._threads: dict[str, list[int]] = defaultdict(list)
        for row in range(n):
            if self.authors[row] is not None:
                self._written[str(self.authors[row])].append(row)
            if self.threads[row] is not None:
                self._threads[str(self.threads[row])].append(row)

    def saying(self, texts: Mapping[str, str]) -> "History":
        """The same with other texts, by document, as training has masked them."""
        other = copy(self)
        other.texts = [texts.get(name, text) for name, text in zip(self.ids, self.texts, strict=True)]
        return other

    def past(self, row: int) -> list[int]:
        """What the writer of `row` wrote before it, oldest first."""
        author = self.authors[row]
        return self._older(self._written.get(author, []) if author is not None else [], row)

    def thread(self, row: int) -> list[int]:
        """What was said in the conversation of `row` up to it, oldest first, itself included."""
        thread = self.threads[row]
        return [*self._older(self._threads.get(thread, []) if thread is not None else [], row), row]

    def _older(self, rows: list[int], row: int) -> list[int]:
        return [other for other in rows if self.times[other] < self.times[row]]

    def ancestors(self, row: int, most: int) -> list[int]:
        """What `row` answers, what that answers and so on, at most `most`, oldest first; each older than the next."""
        chain: list[int] = []
        here = row
        while len(chain) < most:
            parent = self.answers[here]
            if parent is None or self.times[parent] >= self.times[here]:
                break
            chain.append(parent)
            here = parent
        return chain[::-1]

    def turns(self, rows: Sequence[int], writer: str | None) -> list[Turn]:
        """`rows` as a conversation in which `writer` is to say the next thing."""
        return [Turn(self.texts[row], writer is not None and self.authors[row] == writer) for row in rows]

    def profile(self, rows: Sequence[int], own_posts: int) -> Profile:
        """The writer of `rows` (oldest first), as these show him, with the newest `own_posts` texts."""
        return profile_of(
            [self.langs[row] for row in rows],
            [self._communities[row] for row in rows],
            [self.texts[row] for row in rows[-own_posts:]],
        )


def profile_of(langs: Sequence[str | None], topics: Sequence[str | None], texts: Sequence[str]) -> Profile:
    """Most used languages and topics first, those under a tenth left out; `texts` as they are."""
    return Profile(_usual(langs), _usual(topics), tuple(texts))


def _usual(values: Sequence[str | None]) -> tuple[str, ...]:
    counts = Counter(value for value in values if value)
    least = _LEAST_SHARE * sum(counts.values())
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return tuple(value for value, times in ranked if times >= least)

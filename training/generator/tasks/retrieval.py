"""Posts that speak of what a question asks: BM25 (Robertson et al. 1995) over words and character pairs.

BM25 alone always finds a best post. What is found must also hold enough of the question: the words of the question that
are in the post, weighed by how rare they are, as a share of all its words. A word that no post has weighs like a usual
one, so a question about something that nobody wrote about finds nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.generator.tasks.quote import Post
from training.generator.tasks.words import words

LEAST_COVERED = 0.3
"""Share of a question that a post must hold; see the lab log for what it lets through."""


@dataclass(frozen=True)
class Found:
    """A post with its BM25 score and the share of the question that it holds."""

    post: Post
    score: float
    covered: float


class PostIndex:
    """An index of posts. `search` may be called from several threads at once."""

    def __init__(self, posts: Sequence[Post]) -> None:
        """Texts without any word are never found."""
        import bm25s

        self._posts = list(posts)
        self._words = [words(post.text) for post in self._posts]
        documents: dict[str, int] = {}
        for bag in self._words:
            for word in set(bag):
                documents[word] = documents.get(word, 0) + 1
        n = len(self._posts)
        self._idf = {
            word: float(np.log1p((n - seen + 0.5) / (seen + 0.5))) for word, seen in documents.items()
        }
        self._usual = float(np.median(list(self._idf.values()))) if self._idf else 1.0
        self._index = bm25s.BM25()
        if self._idf:
            self._index.index(self._words, show_progress=False)

    def __len__(self) -> int:
        return len(self._posts)

    def search(self, question: str, most: int, least_covered: float = LEAST_COVERED) -> list[Found]:
        """At most `most` posts that hold enough of `question`, best first; none is an answer, too."""
        asked = {word: self._idf.get(word, self._usual) for word in words(question)}
        known = [word for word in asked if word in self._idf]
        if not known:
            return []
        scores = self._index.get_scores(known)
        total = sum(asked.values())
        found = []
        # Twice as many are looked at: a post may score by one word said often.
        for place in np.argsort(-scores, kind="stable")[: 2 * most + 10].tolist():
            covered = sum(asked[word] for word in set(self._words[place]) & asked.keys()) / total
            if scores[place] > 0 and covered >= least_covered:
                found.append(Found(self._posts[place], float(scores[place]), covered))
        return found[:most]

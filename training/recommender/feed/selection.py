"""Selection: which of the scored posts are shown, in which order.

Best first, except that an author must not come twice within `author_gap` places, nor a main topic more than `topic_run`
times in a row (greedy re-ranking under constraints on windows, which mean the same whatever scale a model's scores
have). Where no candidate fits, the topic gives way first, then the author.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import Ints

Codes = npt.NDArray[np.int32]


def best_first(
    scores: npt.NDArray[np.floating], candidates: Ints, names: Sequence[str | None], n: int
) -> Ints:
    """The `n` best of `candidates` (codes), best first; equal scores by name. Fewer where there are fewer."""
    values = scores[candidates]
    if n < len(candidates):
        keep = np.argpartition(-values, n - 1)[:n]
        candidates, values = candidates[keep], values[keep]
    order = np.argsort(-values, kind="stable")
    candidates, values = candidates[order], values[order]
    edges = np.flatnonzero(np.diff(values, prepend=np.nan, append=np.nan) != 0)
    for start, stop in pairwise(edges.tolist()):
        if stop - start > 1:
            tied = candidates[start:stop].tolist()
            candidates[start:stop] = sorted(tied, key=lambda item: str(names[item]))
    return candidates


def diversify(author: Codes, topic: Codes, k: int, author_gap: int, topic_run: int) -> Ints:
    """Places in a list (best first, with the code of each post's author and topic, 0 unknown) of the `k` posts to show.

    All k posts are found where there are as many. Unknown authors and topics are never in the way.
    """
    n = len(author)
    if author_gap <= 1 and topic_run == 0:
        return np.arange(min(k, n))
    # Plain lists: the first place that fits is nearly always among the first few.
    authors, topics, left = author.tolist(), topic.tolist(), list(range(n))
    chosen: list[int] = []
    while left and len(chosen) < k:
        recent = {authors[place] for place in chosen[-(author_gap - 1) :]} - {0} if author_gap > 1 else set()
        run = {topics[place] for place in chosen[-topic_run:]} if 0 < topic_run <= len(chosen) else set()
        tired = run - {0} if len(run) == 1 else set()
        fits = (place for place in left if authors[place] not in recent)
        both = (place for place in left if authors[place] not in recent and topics[place] not in tired)
        place = next(both, None)
        chosen.append(next(fits, left[0]) if place is None else place)
        left.remove(chosen[-1])
    return np.array(chosen, dtype=np.int64)

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

_BLOCK = 64


def best_first(
    scores: npt.NDArray[np.floating], candidates: Ints, names: Sequence[str | None], n: int
) -> Ints:
    """The `n` best of `candidates` (codes), best first; equal scores by name. Fewer where there are fewer."""
    candidates = leading(scores, candidates, n)
    values = scores[candidates]
    order = np.argsort(-values, kind="stable")
    candidates, values = candidates[order], values[order]
    edges = np.flatnonzero(np.diff(values, prepend=np.nan, append=np.nan) != 0)
    for start, stop in pairwise(edges.tolist()):
        if stop - start > 1:
            tied = candidates[start:stop].tolist()
            candidates[start:stop] = sorted(tied, key=lambda item: str(names[item]))
    return candidates


def leading(scores: npt.NDArray[np.floating], candidates: Ints, n: int) -> Ints:
    """The `n` best of `candidates`, in no order.

    Each of some blocks has one candidate that is its best: the n-th largest of these is a score that at least n
    candidates reach, and few more do. Partitioning those few takes a twentieth of the time that all take.
    """
    if n >= len(candidates):
        return candidates
    values = scores[candidates]
    blocks = len(values) // _BLOCK
    if blocks > n:
        best = values[: blocks * _BLOCK].reshape(_BLOCK, blocks).max(axis=0)
        (keep,) = np.nonzero(values >= np.partition(best, blocks - n)[blocks - n])
        candidates, values = candidates[keep], values[keep]
    return candidates[np.argpartition(-values, n - 1)[:n]]


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
        recent = [authors[place] for place in chosen[-(author_gap - 1) :]] if author_gap > 1 else []
        run = [topics[place] for place in chosen[-topic_run:]] if 0 < topic_run <= len(chosen) else [0]
        tired = run[0] if run.count(run[0]) == len(run) else 0
        best = None
        for place in left:
            if (author := authors[place]) and author in recent:
                continue
            if not tired or topics[place] != tired:
                best = place
                break
            # Of those whose author fits, the first.
            best = place if best is None else best
        chosen.append(left[0] if best is None else best)
        left.remove(chosen[-1])
    return np.array(chosen, dtype=np.int64)

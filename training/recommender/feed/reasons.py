"""Reasons: why each post is in the answer, as far as it is true.

`history:<post_id>`: the score falls when this event is taken out of the user's history (leave-one-out), most first;
`content:<post_id>`, where it falls mostly for what the posts say, who wrote them and where.
`popularity`: nothing in the history moves the score, or there is none. `exploration`: the post was drawn.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from training.recommender.feed.exploration import Slate
from training.recommender.feed.query import Query
from training.recommender.models.base import Events, Recommender
from training.recommender.view import UserBatch

POPULARITY = "popularity"
"""Also the name of the fallback for a user of whom nothing is known."""
EXPLORATION = "exploration"
REASONS = 3
LOOK_BACK = 10
"""Latest events of the history that are tried as reasons."""
_ROUNDING = 1e-4
_KIND = {False: "history", True: "content"}


def reasons(
    model: Recommender, users: UserBatch, queries: Sequence[Query], slates: Sequence[Slate]
) -> list[list[list[str]]]:
    """For each query, a row of `users`, and each post of its slate: the reasons, weightiest first; at least one.

    All queries are of one view and ask the model together.
    """
    out = [[[EXPLORATION] if explored else [POPULARITY] for explored in s.explored.tolist()] for s in slates]
    events = Events.latest(users, LOOK_BACK)
    if len(events.row) == 0:
        return out
    view = queries[0].view
    columns = np.unique(np.concatenate([slate.items[~slate.explored] for slate in slates]))
    blame = model.blame(view, users, columns, events)
    names = view.state.items.names
    past = [names[item] for item in users.item[events].tolist()]
    # Events come user by user.
    edges = np.searchsorted(events.row, np.arange(len(users) + 1)).tolist()
    for why, slate, (first, last) in zip(out, slates, pairwise(edges), strict=True):
        if first == last:
            continue
        ranked = np.flatnonzero(~slate.explored)
        column = np.searchsorted(columns, slate.items[ranked])
        falls = blame.whole[first:last, column].T
        content = falls / 2 < blame.content[first:last, column].T
        heaviest = first + np.argsort(-falls, axis=1, kind="stable")[:, :REASONS]
        for place, fall, of_content, order in zip(
            ranked.tolist(), falls.tolist(), content.tolist(), heaviest.tolist(), strict=True
        ):
            told = [
                f"{_KIND[of_content[at - first]]}:{past[at]}" for at in order if fall[at - first] > _ROUNDING
            ]
            why[place] = told or why[place]
    return out

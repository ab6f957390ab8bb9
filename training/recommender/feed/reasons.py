"""Reasons: why each post is in the answer, as far as it is true.

`history:<post_id>`: the score falls when this event is taken out of the user's history (leave-one-out), most first;
`content:<post_id>`, where it falls mostly for what the posts say, who wrote them and where.
`popularity`: nothing in the history moves the score, or there is none. `exploration`: the post was drawn.
"""

import numpy as np

from training.recommender.feed.exploration import Slate
from training.recommender.feed.query import Query
from training.recommender.models.base import Events, Recommender

POPULARITY = "popularity"
"""Also the name of the fallback for a user of whom nothing is known."""
EXPLORATION = "exploration"
REASONS = 3
LOOK_BACK = 10
"""Latest events of the history that are tried as reasons."""
_ROUNDING = 1e-4


def reasons(model: Recommender, query: Query, slate: Slate) -> list[list[str]]:
    """For each post of the slate, its reasons, weightiest first; at least one."""
    why = [[EXPLORATION] if explored else [POPULARITY] for explored in slate.explored.tolist()]
    ranked = np.flatnonzero(~slate.explored)
    if not query.personal or len(ranked) == 0:
        return why
    events = Events.latest(query.users, LOOK_BACK)
    blame = model.blame(query.view, query.users, slate.items[ranked], events)
    kind = np.where(blame.content > blame.whole / 2, "content", "history")
    names = query.view.state.items.names
    for place, row, kinds in zip(ranked.tolist(), blame.whole.T, kind.T, strict=True):
        heaviest = np.argsort(-row, kind="stable")[:REASONS]
        told = [
            f"{kinds[at]}:{names[query.users.item[0, events.slot[at]]]}"
            for at in heaviest
            if row[at] > _ROUNDING
        ]
        why[place] = told or why[place]
    return why

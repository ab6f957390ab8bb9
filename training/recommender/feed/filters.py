"""Filters: what must not be shown. Each says of every candidate whether it is to be left out.

`MUST` holds whatever is left. `SHOULD` is about what pleases: each steps aside where it would leave nothing.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from training.recommender.arrays import ABSENT, Ints
from training.recommender.feed.query import Query

Mask = npt.NDArray[np.bool_]
Filter = Callable[[Query], Mask | None]
"""[n_items] True for what is to be left out; None: nothing is."""

_AUTHOR, _LANG = 0, 1
_CHANCE_FIND = 0.1
"""A language that makes less of a history than this was met by chance; the rule of the `users` mart."""


def own(query: Query) -> Mask | None:
    """The user's own posts."""
    author = query.users.own_author[0]
    return None if author == ABSENT else np.asarray(query.view.label(_AUTHOR) == author)


def hidden(query: Query) -> Mask | None:
    """Posts that the user hid or reported."""
    return _among(query, list(query.users.hidden[0]))


def deleted(query: Query) -> Mask:
    """Posts that were taken down: what is known to be gone is gone, whatever the clock of the view says."""
    return query.view.memo("filters/deleted", lambda: np.isfinite(query.view.deleted))


def seen(query: Query) -> Mask | None:
    """Posts that the user acted on, where the request wants them left out."""
    return _among(query, query.users.acted[0]) if query.exclude_seen else None


def disliked_author(query: Query) -> Mask | None:
    """Posts of authors whom the user has hidden or reported often enough; nothing later takes that back."""
    disliked = query.users.hidden[0]
    if query.settings.author_dislike == 0 or not disliked:
        return None
    author = query.view.label(_AUTHOR)
    total = np.bincount(
        author[list(disliked)], list(disliked.values()), minlength=len(query.view.state.authors)
    )
    total[0] = 0.0  # unknown authors are not one author
    return (total >= query.settings.author_dislike)[author]


def unread_language(query: Query) -> Mask | None:
    """Posts in a language that is neither stated in the profile nor makes a tenth of the history.

    Only primary subtags count (zh-Hant is zh); a post of unknown language stays. Says nothing of a user without a
    stated language and with fewer than `language_events` posts of known language in the history.
    """
    least = query.settings.language_events
    if least == 0:
        return None
    names = [_primary(name) for name in query.view.state.langs.names]
    met = Counter(names[code] for code in query.view.content[query.history, _LANG].tolist() if code > 0)
    stated = _primary(query.view.state.stated_language.get(query.users.ids[0]))
    if stated is None and met.total() < least:
        return None
    read = {stated} | {name for name, count in met.items() if count >= _CHANCE_FIND * met.total()}
    unread = np.array([name is not None and name not in read for name in names])
    return unread[query.view.label(_LANG)] if unread.any() else None


def too_old(query: Query) -> Mask | None:
    """Posts above the age limit."""
    limit = query.settings.max_age_days
    return query.view.age > 86_400.0 * limit if limit > 0 else None


MUST: tuple[Filter, ...] = (own, hidden, deleted, seen, disliked_author)
SHOULD: tuple[Filter, ...] = (unread_language, too_old)


def allowed(query: Query) -> Ints:
    """Codes of the posts that may be shown, ascending."""
    keep = np.ones(query.view.n_items, dtype=bool)
    for rule in MUST:
        _drop(keep, rule(query))
    for rule in SHOULD:
        left = keep.copy()
        _drop(left, rule(query))
        if left.any():
            keep = left
    return np.flatnonzero(keep)


def _drop(keep: Mask, out: Mask | None) -> None:
    if out is not None:
        np.logical_and(keep, ~out, out=keep)


def _primary(tag: str | None) -> str | None:
    """Primary subtag of a BCP 47 language tag."""
    return None if tag is None else tag.split("-", 1)[0].lower()


def _among(query: Query, items: Ints | Sequence[int]) -> Mask | None:
    if len(items) == 0:
        return None
    out = np.zeros(query.view.n_items, dtype=bool)
    out[items] = True
    return out

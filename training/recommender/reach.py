"""Who is shown: exposure of posts and authors in the top 10, how evenly it is spread, how popular the shown are.

Each held-out event stands for one showing: the list its user would have been given at the refresh before it. A list
hands out one unit of exposure, to position j (from 1) in proportion to 1 / log2(1 + j), the position bias of Singh and
Joachims, "Fairness of Exposure in Rankings" (KDD 2018). The catalogue is all posts available at the last of these
refreshes; what nobody was shown is in it with no exposure.
"""

from dataclasses import dataclass

import numpy as np

from training.recommender.arrays import Ints
from training.recommender.data import Bools, Floats
from training.recommender.ranking import Ranked
from training.recommender.slices import SIZES, UNKNOWN, Slices


@dataclass(frozen=True)
class Reach:
    """Exposure of one model on one window.

    `posts` and `authors`: exposure of everyone in the catalogue, zeros included; posts without a known author have
    none among `authors`. `shown`, `available` and `acted`: shares by author size of the exposure, of the posts
    available (mean over showings: the exposure that lists drawn at random would give), and of the held-out actions on
    posts that could be shown (what users found relevant).
    """

    posts: Floats
    authors: Floats
    shown: dict[str, float]
    available: dict[str, float]
    acted: dict[str, float]


def exposure(top: Ints) -> Floats:
    """[lists, TOP] exposure of each position of each list, a unit a list; none where `top` is -1."""
    weights = np.where(top >= 0, 1.0 / np.log2(2.0 + np.arange(top.shape[1])), 0.0)
    return np.divide(weights, weights.sum(axis=1, keepdims=True), out=weights, where=weights > 0)


def exposure_by_size(ranked: Ranked, slices: Slices) -> dict[str, Floats]:
    """[events] share of each list's exposure that goes to authors of a size, by size."""
    weights = exposure(ranked.top)
    sizes = slices.authors.sizes(ranked.feed.names)
    # One more, of no size, for the empty places (-1).
    return {size: (weights * np.r_[sizes == size, False][ranked.top]).sum(axis=1) for size in SIZES}


def reach_of(ranked: Ranked, slices: Slices) -> Reach:
    """The reach of one model's lists for the events that `slices` describe."""
    known, names = ranked.feed.known, ranked.feed.names
    n = int(known.max(initial=0))
    weights = exposure(ranked.top)
    held = ranked.top >= 0
    posts: Floats = np.bincount(ranked.top[held], weights[held], minlength=n).astype(np.float64)
    owners = [slices.authors.owner.get(str(name)) for name in names[:n]]
    authors, author = np.unique(np.array([owner or "" for owner in owners], dtype=str), return_inverse=True)
    by_author = np.bincount(author, posts, minlength=len(authors))
    sizes = slices.authors.sizes(names[:n])
    shown = {size: float(share.mean()) for size, share in exposure_by_size(ranked, slices).items()}
    rankable = np.isfinite(ranked.rank)
    acted = slices.values["author_size"][rankable]
    return Reach(
        posts=posts,
        authors=by_author[authors != ""],
        shown=_shares(shown),
        available=_shares({size: _available(sizes == size, known) for size in SIZES}),
        acted=_shares({size: float((acted == size).sum()) for size in SIZES}),
    )


def _available(belongs: Bools, known: Ints) -> float:
    """Mean over events of the share of the posts known then that belong; posts are in order of appearance."""
    so_far = np.r_[0, np.cumsum(belongs)][known]
    return float(np.mean(so_far / np.maximum(known, 1)))


def _shares(parts: dict[str, float]) -> dict[str, float]:
    """Adding up to one; only those that exist."""
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items() if part > 0} if total else {}


def gini(values: Floats, population: int | None = None) -> float:
    """Gini coefficient: 0 when all have the same, towards 1 when one has everything. 0 for nothing at all.

    With values x in ascending order, n of them: 2 * sum(i * x_i) / (n * sum(x)) - (n + 1) / n. With `population`, those
    that `values` leaves out have zero.
    """
    n, total = population or len(values), float(values.sum())
    if not total:
        return 0.0
    ranks = np.arange(n - len(values) + 1, n + 1)
    return float(2.0 * (ranks @ np.sort(values)) / (n * total) - (n + 1) / n)


def gini_slope(values: Floats, population: int) -> Floats:
    """Derivative of `gini` by each of `values`: all above zero, the rest of the population has zero; ties share ranks.

    Up to scale the linearised variable of Langel and Tillé, "Variance estimation of the Gini index" (Journal of the
    Royal Statistical Society A 176, 2013).
    """
    _, tied, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[tied] + population - len(values)
    level = gini(values, population) + (population + 1) / population
    return np.asarray((2.0 * ranks / population - level) / values.sum())


def lorenz(values: Floats, points: int = 200) -> tuple[Floats, Floats]:
    """Lorenz curve: (share of the members, least exposed first; the share of the exposure that is theirs)."""
    held = np.r_[0.0, np.cumsum(np.sort(values))]
    at = np.unique(np.linspace(0, len(values), points).astype(int))
    return at / max(len(values), 1), held[at] / (held[-1] or 1.0)


def metrics(ranked: Ranked, reach: Reach, window: str, by_size: bool) -> dict[str, float]:
    """Metrics of one model's reach, named as in MLflow.

    `coverage_at_10`: share of the catalogue that was shown to anybody. `gini_posts_at_10`, `gini_authors_at_10`: of the
    exposure. `popularity_lift_at_10`: how many times more popular, in doublings (log2), the shown posts are than those
    that users acted on; `..._over_catalogue`: than all posts available. Popularity is the number of users so far plus
    one; the lift of Abdollahpouri et al., "The Unfairness of Popularity Bias in Recommendation" (RMSE 2019), taken in
    logarithms so that a few very popular posts do not decide it. By author size: the share of exposure; over the
    share of posts (demographic parity, 1: as lists drawn at random); over the share of actions (disparate
    treatment, 1: as users find them relevant); `..._ratio`: the same for small authors divided by that for all other
    known ones (Singh and Joachims 2018). A ratio without a denominator is left out.
    """
    feed, known = ranked.feed, np.isfinite(ranked.rank)
    out = {
        f"{window}/coverage_at_10": float((reach.posts > 0).mean()) if len(reach.posts) else 0.0,
        f"{window}/gini_posts_at_10": gini(reach.posts),
        f"{window}/popularity_lift_over_catalogue_at_10": float((feed.mean_bits - ranked.bits).mean()),
        f"{window}/novelty_at_10": float(ranked.bits.mean()),
    }
    if known.any():
        lift = feed.acted_bits[known] - ranked.bits[known]
        out[f"{window}/popularity_lift_at_10"] = float(lift.mean())
    if len(reach.authors):
        out[f"{window}/gini_authors_at_10"] = gini(reach.authors)
    if not by_size:
        return out
    for size in SIZES:
        if size in reach.available:
            out[f"{window}/exposure_at_10/author_size/{size}"] = reach.shown.get(size, 0.0)
    for name, share in (("parity", reach.available), ("treatment", reach.acted)):
        relative = {size: reach.shown.get(size, 0.0) / part for size, part in share.items()}
        out |= {f"{window}/exposure_{name}_at_10/author_size/{size}": x for size, x in relative.items()}
        ratio = _small_over_others(reach.shown, share)
        if ratio is not None:
            out[f"{window}/exposure_{name}_ratio_at_10"] = ratio
    return out


def _small_over_others(shown: dict[str, float], share: dict[str, float]) -> float | None:
    """Exposure of small authors over their share, divided by that of all other known authors."""
    got, due = shown.get("small", 0.0), share.get("small", 0.0)
    others = [size for size in SIZES if size not in ("small", UNKNOWN)]
    other_got, other_due = (sum(part.get(size, 0.0) for size in others) for part in (shown, share))
    return (got / due) / (other_got / other_due) if due and other_got and other_due else None

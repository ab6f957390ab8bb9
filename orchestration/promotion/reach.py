"""Two score tables of the same held-out rows in, whom the two models show out: exposure by author size, and its spread.

Exposure is defined in `training.recommender.reach`. Units are users: shares of exposure by paired bootstrap, Gini
coefficients by linearisation, because resampling users by itself concentrates the exposure.
"""

from datetime import UTC, datetime
from math import sqrt
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orchestration.promotion.bootstrap import paired_bootstrap
from orchestration.promotion.compare import Scored, same_rows
from orchestration.promotion.evidence import EXPOSURE_DUE, EXPOSURE_SMALL, GINIS, ReachEvidence, ReachMeasure
from orchestration.promotion.policy import Policy, ReachPolicy
from training.recommender.arrays import Ints
from training.recommender.data import Floats
from training.recommender.reach import exposure, gini, gini_slope
from training.recommender.slices import SIZES

_COLUMNS = {"posts": ("recommended", "known_posts"), "authors": ("recommended_authors", "known_authors")}
"""Whom the lists show, and how many of them could have been shown."""


def compare_reach(candidate: Scored, champion: Scored, policy: Policy) -> ReachEvidence:
    """All measures of reach by the policy's confidence.

    Raises ValueError when the two were scored on different rows or on none, or when no held-out post could be shown.
    """
    same_rows(candidate, champion, policy)
    wanted = policy.reach
    if wanted is None:
        raise ValueError(f"the policy of the {policy.model} does not limit reach")
    left, right = candidate.rows, champion.rows
    exposures = [
        _measure(f"exposure_{size}", left, right[f"exposure_{size}"], wanted, policy.comparison.seed)
        for size in SIZES
    ]
    # A post that was not known yet could not be shown, so it says nothing of what was due.
    shown = left.filter(pc.greater(left["mrr"], 0.0))
    due = pc.cast(pc.equal(shown["author_size"], "small"), pa.float64())
    merit = _measure(EXPOSURE_DUE, shown, due, wanted, policy.comparison.seed, column=EXPOSURE_SMALL)
    ginis = [_gini(name, left, right, wanted.confidence) for name in GINIS]
    return ReachEvidence(
        champion_digest=champion.digest,
        candidate_digest=candidate.digest,
        n_units=pc.count_distinct(left["user_id"]).as_py(),
        n_rows=left.num_rows,
        n_posts=pc.max(left["known_posts"]).as_py(),
        n_authors=pc.max(left["known_authors"]).as_py(),
        confidence=wanted.confidence,
        measures=(*exposures, merit, *ginis),
        computed_at=datetime.now(UTC),
    )


def _measure(
    name: str, rows: pa.Table, other: pa.ChunkedArray, policy: ReachPolicy, seed: int, column: str = ""
) -> ReachMeasure:
    """The mean of a column of the candidate's rows against another, users resampled."""
    found = paired_bootstrap(
        rows[column or name].to_numpy(),
        other.to_numpy(),
        rows["user_id"].to_numpy().astype(str),
        resamples=policy.resamples,
        confidence=policy.confidence,
        seed=seed,
    )
    return ReachMeasure(name, found.candidate_mean, found.other_mean, found.gain, found.low, found.high)


def _gini(name: str, candidate: pa.Table, other: pa.Table, confidence: float) -> ReachMeasure:
    """A Gini coefficient of both; the gain, by how much the candidate's is lower, has a normal interval.

    Its variance is the sum over users of the squared derivative by the user's weight (infinitesimal jackknife: Efron,
    The Jackknife, the Bootstrap and Other Resampling Plans, 1982, chapter 6); both models keep the same users.
    """
    shown, known = _COLUMNS[GINIS[name]]
    _, user = np.unique(candidate["user_id"].to_numpy().astype(str), return_inverse=True)
    population = int(pc.max(candidate[known]).as_py())
    (left, left_pull), (right, right_pull) = (
        _pulls(rows[shown], user, population) for rows in (candidate, other)
    )
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * sqrt(float(np.square(left_pull - right_pull).sum()))
    gain = right - left
    return ReachMeasure(name, left, right, gain, gain - reach, gain + reach)


def _pulls(lists: pa.ChunkedArray, user: Ints, population: int) -> tuple[float, Floats]:
    """Gini coefficient of the exposure in these lists, and its derivative by the weight of each user.

    What a list shows of nobody known takes its place and its exposure, but belongs to none of the population.
    """
    lengths = pc.list_value_length(lists).to_numpy()
    top = np.where(np.arange(max(lengths.max(initial=0), 1)) < lengths[:, None], 0, -1)
    held = top >= 0
    names = np.array(pc.list_flatten(lists).to_pylist(), dtype=object)
    known = np.array([name is not None for name in names], dtype=bool)
    weights = exposure(top)[held][known]
    who = np.repeat(user, lengths)[known]
    members, member = np.unique(names[known].astype(str), return_inverse=True)
    pulls = np.zeros(int(user.max()) + 1)
    if not len(members):
        return 0.0, pulls
    values: Floats = np.bincount(member, weights).astype(np.float64)
    np.add.at(pulls, who, weights * gini_slope(values, population)[member])
    return gini(values, population), pulls

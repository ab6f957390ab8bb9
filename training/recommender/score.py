"""Scoring a bundle on a window it has not learned from: what the gate compares champions and candidates by."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from training.bundle import Bundle
from training.recommender.data import RecommenderTables
from training.recommender.models.registry import read_model
from training.recommender.ranking import Ranked, mrr, ndcg, rank_events, recall
from training.recommender.reach import exposure_by_size
from training.recommender.replay import Replay
from training.recommender.slices import Slices, slices_of
from training.recommender.value.order import read_heads, scorer_of
from training.recommender.value.weights import Weights, read_weights


def score_bundle(
    bundle: Bundle,
    tables: RecommenderTables,
    window: tuple[datetime, datetime],
    refresh_s: float,
    weights: Weights | None = None,
) -> pa.Table:
    """One row per held-out event of the half-open `window`, in time order; ranked as served by `weights` of actions
    (None: the project's own).

    Columns: user_id, item_id, occurred_at, ndcg_at_10, recall_at_10, mrr; the slices of `SLICES`; of the list shown,
    `recommended` and `recommended_authors` (best first, null where not known) and `exposure_SIZE`, the share of its
    exposure for each of SIZES; `known_posts` and `known_authors`, how many there were to show.

    A held-out event is a user's first positive one on a post of somebody else, ranked among all posts known
    at the refresh before it. Equal tables and windows give equal rows in equal order: two bundles pair up by
    row.

    Raises BundleError when the window begins before `bundle.trained_until` or the bundle is no recommender, ValueError
    for a window without a time zone or that ends before it begins, UserError for a missing column.
    """
    bundle.must_not_have_seen(window)
    start, end = window
    model = read_model(bundle)
    replay = Replay(tables)
    rows = replay.rows_in(start.timestamp(), end.timestamp())
    scorer = scorer_of(model, read_heads(bundle), weights or read_weights())
    ranked = rank_events(replay, rows, refresh_s, {"model": scorer})["model"]
    rank, events = ranked.rank, replay.events
    columns: dict[str, pa.Array] = {
        "user_id": pa.array(events.user[rows], pa.string()),
        "item_id": pa.array(events.item[rows], pa.string()),
        "occurred_at": pa.array(np.round(events.t[rows] * 1e6).astype(np.int64), pa.int64()).cast(
            pa.timestamp("us", tz="UTC")
        ),
        "ndcg_at_10": pa.array(ndcg(rank, 10)),
        "recall_at_10": pa.array(recall(rank, 10)),
        "mrr": pa.array(mrr(rank)),
    }
    slices = slices_of(replay, rows, start.astimezone(UTC).timestamp())
    columns |= {name: pa.array(values, pa.string()) for name, values in slices.values.items()}
    return pa.table(columns | _shown(ranked, slices))


def _shown(ranked: Ranked, slices: Slices) -> dict[str, pa.Array]:
    """The columns about lists and catalogue."""
    names = ranked.feed.names
    owners = [slices.authors.owner.get(str(name)) for name in names]
    lists = [[code for code in row if code >= 0] for row in ranked.top.tolist()]
    first = {owner: code for code, owner in reversed([*enumerate(owners)]) if owner is not None}
    so_far = np.r_[0, np.cumsum(np.bincount([*first.values()], minlength=len(names)))]
    kind = pa.list_(pa.string())
    return {
        "recommended": pa.array([[names[code] for code in row] for row in lists], kind),
        "recommended_authors": pa.array([[owners[code] for code in row] for row in lists], kind),
        "known_posts": pa.array(ranked.feed.known),
        "known_authors": pa.array(so_far[ranked.feed.known]),
        **{f"exposure_{size}": pa.array(share) for size, share in exposure_by_size(ranked, slices).items()},
    }

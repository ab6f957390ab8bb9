"""The marts as the recommender reads them: Arrow tables in, plain sorted numpy columns out.

Order is by time, then by event id, so that any permutation of the rows gives the same columns. Nothing here looks at
the engagement counters of `posts`: they are totals up to the end of the table and would leak the future.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.errors import NotEnoughDataError, UserError
from training.recommender.terms import hashed_terms

ANONYMOUS = "anonymous"
"""Reserved user id: votes without a user. Counts for popularity; has no profile, sequence or evaluation."""

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Objects = npt.NDArray[np.object_]

_EVENT_COLUMNS = (
    "occurred_at",
    "user_id",
    "item_id",
    "weight",
    "is_positive",
    "is_negative",
    "is_impression",
    "is_own_item",
)
_POST_COLUMNS = ("post_id", "item_id", "created_at", "author_id", "lang", "topics", "community")


@dataclass(frozen=True)
class RecommenderTables:
    """The three marts, read at one lake snapshot (columns as the dbt contracts state them)."""

    interactions: pa.Table
    posts: pa.Table
    users: pa.Table


@dataclass(frozen=True)
class EventLog:
    """Interactions in time order: equally long columns. `t` is seconds since 1970 (UTC)."""

    t: Floats
    user: Objects
    item: Objects
    weight: Floats
    positive: Bools
    negative: Bools
    impression: Bools
    own: Bools

    def __len__(self) -> int:
        return len(self.t)

    def rows(self, which: slice | npt.NDArray[Any]) -> "EventLog":
        """The events picked by a slice, mask or index array."""
        return EventLog(*(getattr(self, field.name)[which] for field in fields(self)))


@dataclass(frozen=True)
class PostLog:
    """Root posts (items) by time of creation; `deleted` is when they were taken down, infinite where they stand.
    Missing authors, languages, communities are None; topics are tuples,
    `terms` the term numbers of the text (see `terms.hashed_terms`)."""

    t: Floats
    deleted: Floats
    item: Objects
    author: Objects
    lang: Objects
    community: Objects
    topics: Objects
    terms: Objects

    def __len__(self) -> int:
        return len(self.t)

    def rows(self, which: slice | npt.NDArray[Any]) -> "PostLog":
        """The posts picked by a slice, mask or index array."""
        return PostLog(*(getattr(self, field.name)[which] for field in fields(self)))


def _require(table: pa.Table, columns: tuple[str, ...], name: str) -> None:
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise UserError(f"table {name} lacks the column {missing[0]}")


def seconds(column: pa.ChunkedArray) -> Floats:
    """UTC seconds since 1970 as float64 (exact to the microsecond); nulls become NaN."""
    micros = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return np.asarray(pc.divide(micros.cast(pa.float64()), 1e6).to_numpy(), dtype=np.float64)


def _objects(column: pa.ChunkedArray) -> Objects:
    out = np.empty(len(column), dtype=object)
    out[:] = column.to_pylist()
    return out


def flags(column: pa.ChunkedArray) -> Bools:
    """Booleans; null is False."""
    return np.asarray(pc.fill_null(column, False).to_numpy(zero_copy_only=False), dtype=bool)


def in_time_order(interactions: pa.Table) -> pa.Table:
    """The rows of the mart in the order of the event log."""
    keys = ["occurred_at", *(c for c in ("event_id", "user_id", "item_id") if c in interactions.column_names)]
    return interactions.sort_by([(key, "ascending") for key in keys])


def read_events(interactions: pa.Table) -> EventLog:
    """The event log in time order. Raises UserError for a missing column, NotEnoughDataError for an empty table."""
    _require(interactions, _EVENT_COLUMNS, "interactions")
    if interactions.num_rows == 0:
        raise NotEnoughDataError("the recommender needs interactions, and there are none")
    table = in_time_order(interactions)
    return EventLog(
        t=seconds(table["occurred_at"]),
        user=_objects(table["user_id"]),
        item=_objects(table["item_id"]),
        weight=np.asarray(pc.fill_null(table["weight"], 0.0).to_numpy(), dtype=np.float64),
        positive=flags(table["is_positive"]),
        negative=flags(table["is_negative"]),
        impression=flags(table["is_impression"]),
        own=flags(table["is_own_item"]),
    )


def with_terms(posts: pa.Table) -> pa.Table:
    """The table with its `text`, if any, replaced by `terms` (list of uint16): what of a text leaves the lake."""
    if "terms" in posts.column_names:
        return posts
    texts = posts["text"].to_pylist() if "text" in posts.column_names else [None] * posts.num_rows
    terms = pa.array(hashed_terms(texts), pa.list_(pa.uint16()))
    return posts.drop_columns([name for name in ("text",) if name in posts.column_names]).append_column(
        "terms", terms
    )


def read_posts(posts: pa.Table) -> PostLog:
    """Root posts by time of creation; replies are left out. Raises UserError for a missing column."""
    _require(posts, _POST_COLUMNS, "posts")
    roots = with_terms(posts.filter(pc.equal(posts["post_id"], posts["item_id"])))
    table = roots.filter(pc.is_valid(roots["created_at"])).sort_by(
        [("created_at", "ascending"), ("post_id", "ascending")]
    )
    topics = np.empty(table.num_rows, dtype=object)
    topics[:] = [tuple(t for t in row or () if t) for row in table["topics"].to_pylist()]
    lists = table["terms"].combine_chunks()
    ends = np.cumsum(pc.fill_null(pc.list_value_length(lists), 0).to_numpy())
    terms = np.fromiter(np.split(lists.flatten().to_numpy(), ends[:-1]), dtype=object, count=table.num_rows)
    return PostLog(
        t=seconds(table["created_at"]),
        deleted=_deletions(table),
        item=_objects(table["post_id"]),
        author=_objects(table["author_id"]),
        lang=_objects(table["lang"]),
        community=_objects(table["community"]),
        topics=topics,
        terms=terms,
    )


def read_profiles(users: pa.Table) -> dict[str, tuple[str | None, str | None]]:
    """Region and language of each user, None where not known; nobody's are where the table has no such column."""
    nothing = [None] * users.num_rows
    region, language = (
        users[name].to_pylist() if name in users.column_names else nothing for name in ("region", "language")
    )
    return dict(zip(users["user_id"].to_pylist(), zip(region, language, strict=True), strict=True))


def _deletions(posts: pa.Table) -> Floats:
    """Tables made before posts could be deleted lack the column."""
    if "deleted_at" not in posts.column_names:
        return np.full(posts.num_rows, np.inf)
    return np.nan_to_num(seconds(posts["deleted_at"]), nan=np.inf)


def read_languages(users: pa.Table) -> dict[str, str]:
    """User -> language that the profile states; users without one, and tables without the column, are left out."""
    if "stated_language" not in users.column_names:
        return {}
    stated = users.filter(pc.is_valid(users["stated_language"]))
    return dict(zip(stated["user_id"].to_pylist(), stated["stated_language"].to_pylist(), strict=True))


def read_roots(posts: pa.Table) -> dict[str, str]:
    """Reply -> opening post of its thread, for live events that name a reply."""
    replies = posts.filter(pc.not_equal(posts["post_id"], posts["item_id"]))
    return dict(zip(replies["post_id"].to_pylist(), replies["item_id"].to_pylist(), strict=True))

"""Which columns of the marts are watched for drift, and how the frames that hold them are made.

A frame has a column for each spec, and `_unit` (who the row belongs to) and `_at` (when).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from orchestration.quality.drift_model import AT, UNIT, FeatureSpec
from orchestration.quality.drift_text import describe_texts

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_BEHAVIOUR = (
    FeatureSpec("interactions", "action", "categorical", describes="mix of actions"),
    FeatureSpec("interactions", "hour", "categorical", describes="hour of the day, UTC"),
    FeatureSpec(
        "interactions", "position", "numeric", log=True, describes="position in the list it was seen at"
    ),
    FeatureSpec("interactions", "surface", "categorical", describes="surface it was seen on"),
    FeatureSpec("views", "dwell", "numeric", log=True, describes="dwell seconds of a view"),
    FeatureSpec("user_days", "n_events", "numeric", log=True, describes="events of a user on an active day"),
    FeatureSpec(
        "user_days", "n_positive", "numeric", log=True, describes="positive actions of a user on a day"
    ),
)
_POSTS = (
    FeatureSpec("posts", "lang", "categorical", describes="language of a post"),
    FeatureSpec("posts", "community", "categorical", describes="first topic of a post"),
    FeatureSpec("posts", "n_chars", "numeric", log=True, describes="length of a post"),
    FeatureSpec("posts", "has_link", "categorical", describes="whether a post links"),
    FeatureSpec("posts", "n_hashtags", "numeric", describes="hashtags of a post"),
)
_TEXT = (
    FeatureSpec("documents", "lang", "categorical", describes="language of a document"),
    FeatureSpec("documents", "community", "categorical", describes="community of a document"),
    FeatureSpec("documents", "length", "numeric", log=True, describes="code points"),
    FeatureSpec("documents", "share_cjk", "numeric", describes="share of CJK characters"),
    FeatureSpec("documents", "share_emoji", "numeric", describes="share of emoji"),
    FeatureSpec("documents", "share_digits", "numeric", describes="share of digits"),
    FeatureSpec("documents", "share_punctuation", "numeric", describes="share of punctuation"),
    FeatureSpec("documents", "mean_word_length", "numeric", describes="letters an alphabetic word"),
    FeatureSpec("documents", "has_link", "categorical", describes="whether it holds a link"),
    FeatureSpec("documents", "n_hashtags", "numeric", describes="hashtags"),
    FeatureSpec("documents", "type_token_ratio", "numeric", describes="distinct words of the first 64"),
)

FEATURE_SPECS: dict[str, tuple[FeatureSpec, ...]] = {
    "recommender": _BEHAVIOUR + _POSTS,
    "generator": _TEXT,
}
"""Columns watched for each model family."""

MARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "recommender": {
        "marts.interactions": ("user_id", "occurred_at", "action", "value", "position", "surface"),
        "marts.posts": ("author_id", "created_at", "lang", "community", "n_chars", "has_link", "n_hashtags"),
        "marts.user_days": ("user_id", "occurred_on", "n_events", "n_positive"),
    },
    "generator": {
        "marts.corpus_documents": ("author_id", "created_at", "text", "lang", "community"),
    },
}
"""Marts, and their columns, that the frames of a family are made of."""


def feature_frames(model: str, tables: "dict[str, pa.Table]") -> "dict[str, pd.DataFrame]":
    """Frames by table name of FEATURE_SPECS[model], from the marts in `tables` (keys as in MARTS).

    A mart that is absent leaves its frames out, a column that is absent stays out of its frame: the comparison names
    both. Raises KeyError for an unknown model.
    """
    frames: dict[str, pd.DataFrame] = {}
    for mart in MARTS[model]:
        if mart in tables:
            frames |= _BUILDERS[mart](tables[mart])
    return frames


def _pick(table: "pa.Table", unit: str, at: str, columns: tuple[str, ...]) -> "pd.DataFrame":
    import pandas as pd

    wanted = [name for name in dict.fromkeys((unit, at, *columns)) if name in table.column_names]
    frame = table.select(wanted).to_pandas()
    frame = frame.rename(columns={unit: UNIT, at: AT})
    frame[AT] = pd.to_datetime(frame[AT], utc=True)
    return frame


def _interactions(table: "pa.Table") -> "dict[str, pd.DataFrame]":
    frame = _pick(table, "user_id", "occurred_at", ("action", "position", "surface", "value"))
    frame["hour"] = frame[AT].dt.hour.map("{:02d}".format)
    result = {"interactions": frame.drop(columns="value", errors="ignore")}
    if {"action", "value"} <= set(frame):
        views = frame.loc[frame["action"] == "view", [UNIT, AT, "value"]]
        result["views"] = views.rename(columns={"value": "dwell"})
    return result


def _posts(table: "pa.Table") -> "dict[str, pd.DataFrame]":
    frame = _pick(
        table, "author_id", "created_at", ("lang", "community", "n_chars", "has_link", "n_hashtags")
    )
    return {"posts": frame}


def _user_days(table: "pa.Table") -> "dict[str, pd.DataFrame]":
    import pandas as pd

    frame = _pick(table, "user_id", "occurred_on", ("n_events", "n_positive"))
    # A day's row stands for all of it; its middle lies in the window that holds most of the day.
    frame[AT] = frame[AT] + pd.Timedelta(hours=12)
    return {"user_days": frame}


def _documents(table: "pa.Table") -> "dict[str, pd.DataFrame]":
    import pandas as pd

    frame = _pick(table, "author_id", "created_at", ("lang", "community"))
    texts = [text or "" for text in table["text"].to_pylist()]
    described = describe_texts(texts).set_index(frame.index)
    return {"documents": pd.concat([frame, described], axis=1)}


_BUILDERS: "dict[str, Callable[[pa.Table], dict[str, pd.DataFrame]]]" = {
    "marts.interactions": _interactions,
    "marts.posts": _posts,
    "marts.user_days": _user_days,
    "marts.corpus_documents": _documents,
}


def time_span(frames: "dict[str, pd.DataFrame]") -> "tuple[pd.Timestamp, pd.Timestamp] | None":
    """First instant and the instant just after the last one over all frames, or None without a dated row."""
    import pandas as pd

    stamps = [frame[AT].dropna() for frame in frames.values()]
    stamps = [column for column in stamps if len(column)]
    if not stamps:
        return None
    first = min(column.min() for column in stamps)
    last = max(column.max() for column in stamps)
    return first, last + np.timedelta64(1, "us") if isinstance(last, pd.Timestamp) else last

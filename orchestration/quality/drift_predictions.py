"""Do two models answer the same users, or the same documents, differently? Lists, scores and popularity compared.

The champion is the reference and the candidate the current side; a user's lists are paired, so the calibration swaps
the two models within a user.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from orchestration.quality.drift import compare
from orchestration.quality.drift_model import UNIT, DriftReport, DriftSettings, FeatureSpec

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ANSWER_SPECS = (
    FeatureSpec(
        "answers", "score", "numeric", describes="scores of the lists, standardised within each model"
    ),
    FeatureSpec("top_answers", "popularity", "numeric", log=True, describes="popularity of the first item"),
    FeatureSpec("top_answers", "lang", "categorical", describes="language of the first item"),
    FeatureSpec("top_answers", "community", "categorical", describes="community of the first item"),
)
SCORE_SPECS = (
    FeatureSpec("scores", "bits_per_byte", "numeric", describes="bits a byte of a held-out document"),
)


@dataclass(frozen=True)
class Disagreement:
    """How differently two models answer, 0 (alike) to 1 (nothing in common), with a 95 % interval over units."""

    measure: str
    value: float
    low: float
    high: float
    n_units: int


def list_disagreement(
    champion: "pa.Table", candidate: "pa.Table", *, k: int = 10, seed: int = 0, resamples: int = 1000
) -> Disagreement | None:
    """1 minus the mean share of items that two top-k lists of the same user have in common; None without shared users.

    The tables have `user_id`, `rank` (0-based) and `item_id`. A list shorter than k is compared at its own length.
    """
    left, right = _lists(champion, k), _lists(candidate, k)
    shared = sorted(set(left) & set(right))
    if not shared:
        return None
    apart = np.array(
        [1 - len(left[user] & right[user]) / max(len(left[user]), len(right[user])) for user in shared]
    )
    draws = np.random.default_rng(seed).integers(0, apart.size, size=(resamples, apart.size))
    low, high = np.quantile(apart[draws].mean(axis=1), [0.025, 0.975])
    return Disagreement(f"1 - overlap of top {k}", float(apart.mean()), float(low), float(high), apart.size)


def score_disagreement(
    champion: "pd.Series", candidate: "pd.Series", *, seed: int = 0, resamples: int = 200
) -> Disagreement | None:
    """1 minus the rank correlation (Spearman, cut at 0) of two score series over their shared index; None below 3
    units.
    """
    shared = champion.index.intersection(candidate.index)
    if len(shared) < 3:
        return None
    left = champion.loc[shared].rank().to_numpy(dtype=np.float64)
    right = candidate.loc[shared].rank().to_numpy(dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, left.size, size=(resamples, left.size))
    samples = [1 - max(0.0, _correlation(left[draw], right[draw])) for draw in draws]
    low, high = np.quantile(samples, [0.025, 0.975])
    value = 1 - max(0.0, _correlation(left, right))
    return Disagreement("1 - rank correlation", value, float(low), float(high), left.size)


def answer_drift(champion: "pa.Table", candidate: "pa.Table", settings: DriftSettings) -> DriftReport:
    """Drift of the champion's answers to the candidate's: scores, and popularity, language and community of first
    items.

    Columns beyond `user_id`, `rank`, `item_id`, `score` (`popularity`, `lang`, `community`) are compared where given.
    """
    pairs = [_answer_frames(table) for table in (champion, candidate)]
    frames = {name: (pairs[0][name], pairs[1][name]) for name in ("answers", "top_answers")}
    specs = [
        spec for spec in ANSWER_SPECS if spec.table == "answers" or spec.column in candidate.column_names
    ]
    return compare(frames, specs, settings, name="answers of candidate against champion")


def score_drift(champion: "pd.Series", candidate: "pd.Series", settings: DriftSettings) -> DriftReport:
    """Drift of per-document bits a byte, champion to candidate, over the documents that both scored."""
    import pandas as pd

    shared = champion.index.intersection(candidate.index)
    frames = {
        "scores": (
            pd.DataFrame({UNIT: shared, "bits_per_byte": champion.loc[shared].to_numpy()}),
            pd.DataFrame({UNIT: shared, "bits_per_byte": candidate.loc[shared].to_numpy()}),
        )
    }
    return compare(frames, SCORE_SPECS, settings, name="scores of candidate against champion")


def _lists(table: "pa.Table", k: int) -> dict[str, set[str]]:
    lists: dict[str, set[str]] = {}
    columns = (table[name].to_pylist() for name in ("user_id", "rank", "item_id"))
    for user, rank, item in zip(*columns, strict=True):
        if rank < k:
            lists.setdefault(user, set()).add(item)
    return lists


def _answer_frames(table: "pa.Table") -> "dict[str, pd.DataFrame]":
    frame = table.to_pandas().rename(columns={"user_id": UNIT})
    # Two models' scores have no common scale; their shape may be compared, their size may not.
    spread = float(frame["score"].std(ddof=0)) or 1.0
    frame["score"] = (frame["score"] - frame["score"].mean()) / spread
    return {"answers": frame, "top_answers": frame[frame["rank"] == 0]}


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / size if size else 0.0

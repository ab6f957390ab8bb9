"""Fitting two classifiers on disjoint halves of the labels: one filters, the other judges what came of it.

Each is measured and calibrated on the half that the other was fitted on, so no figure is about labels it has seen.
"""

import zlib
from dataclasses import dataclass, field

import numpy as np

from training.abuse.config import AbuseConfig
from training.abuse.features import BUCKETS, rows
from training.abuse.labels import Labelled
from training.abuse.model import AbuseModel, Facts
from training.result import Progress


@dataclass(frozen=True)
class AbuseModels:
    """The `guard` filters training text and answers, the `judge` measures; None each where labels do not suffice."""

    guard: AbuseModel | None = None
    judge: AbuseModel | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def metrics(self) -> dict[str, float]:
        """Finite measures for the run; empty without classifiers."""
        if self.guard is None or self.judge is None:
            return {}
        return {
            f"abuse/{name}_auc{end}": getattr(model.facts, f"auc{end}")
            for name, model in (("guard", self.guard), ("judge", self.judge))
            for end in ("", "_low", "_high")
        } | {"abuse/positives": float(self.guard.facts.n_positive + self.judge.facts.n_positive)}


def halves(data: Labelled) -> tuple[Labelled, Labelled]:
    """Two disjoint halves that depend on the texts alone."""
    side = np.array([zlib.crc32(text.encode("utf-8", "replace")) >> 16 & 1 for text in data.texts], bool)
    return data.take(np.flatnonzero(side)), data.take(np.flatnonzero(~side))


def fit_models(data: Labelled, config: AbuseConfig, progress: Progress) -> AbuseModels:
    """Guard and judge, or neither with a note that says why: too few examples, or below the bar on unseen labels."""
    n_positive = int(data.labels.sum())
    if min(n_positive, len(data) - n_positive) < config.min_positives:
        return _without(
            f"{n_positive} abusive and {len(data) - n_positive} other examples; {config.min_positives} of each "
            "are needed",
            progress,
        )
    first, second = halves(data)
    guard, judge = _fit(first, second, config), _fit(second, first, config)
    low = min(guard.facts.auc_low, judge.facts.auc_low)
    if not low >= config.min_auc:
        return _without(
            f"it tells unseen labels apart with AUC {guard.facts.auc:.3f} and {judge.facts.auc:.3f} (lower end "
            f"{low:.3f}); {config.min_auc:g} are needed",
            progress,
        )
    progress(
        f"abuse classifier: AUC {guard.facts.auc:.3f} on {n_positive} abusive of {len(data)} labelled texts"
    )
    return AbuseModels(guard, judge)


def _without(why: str, progress: Progress) -> AbuseModels:
    note = f"No abuse classifier, only the lexicon: {why}."
    progress(note)
    return AbuseModels(notes=[note])


def _fit(seen: Labelled, unseen: Labelled, config: AbuseConfig) -> AbuseModel:
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    found, ends = rows(seen.texts)
    ratios = _ratios(found, ends, seen)
    values = ratios[found]
    lengths = np.sqrt(np.add.reduceat(np.append(values * values, 0.0), ends[:-1]) * (np.diff(ends) > 0))
    values = values / np.repeat(np.maximum(lengths, 1e-9), np.diff(ends))
    matrix = csr_matrix((values.astype(np.float32), found, ends), shape=(len(seen), BUCKETS))
    fitted = LogisticRegression(C=config.regularisation, max_iter=200).fit(matrix, seen.labels, seen.weights)
    weights = fitted.coef_[0].astype(np.float32)
    facts = Facts(float(fitted.intercept_[0]), 1.0, 0.0, config.threshold, 0, 0, 0.0, 0.0, 0.0)
    scores = np.array([AbuseModel(ratios, weights, facts).score(text) for text in unseen.texts])
    slope, offset = _calibrated(scores, unseen)
    share = float(unseen.weights[unseen.labels == 1].sum() / unseen.weights.sum())
    auc, low, high = _auc(scores, unseen.labels)
    facts = Facts(
        facts.intercept,
        slope,
        # Odds move with the share of abusive texts (Saerens et al. 2002): files of labels hold far more than feeds.
        offset + _log_odds(config.expected_share) - _log_odds(share),
        config.threshold,
        int(seen.labels.sum()),
        int(len(seen) - seen.labels.sum()),
        auc,
        low,
        high,
    )
    return AbuseModel(ratios, weights, facts)


def _ratios(found: np.ndarray, ends: np.ndarray, data: Labelled) -> np.ndarray:
    """Log ratio of the smoothed shares of n-grams in abusive and other texts, float32 [BUCKETS]; 0 for unseen ones."""
    weight = np.repeat(data.weights, np.diff(ends))
    abusive = np.repeat(data.labels == 1, np.diff(ends))
    p, q = (np.bincount(found[side], weight[side], BUCKETS) for side in (abusive, ~abusive))
    ratios = np.log((p + 1) / (p + 1).sum()) - np.log((q + 1) / (q + 1).sum())
    return np.where(p + q > 0, ratios, 0.0).astype(np.float32)


def _calibrated(scores: np.ndarray, data: Labelled) -> tuple[float, float]:
    """Platt's slope and offset (Platt 1999) on labels that the scores know nothing of."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6).fit(scores[:, None], data.labels, data.weights)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def _log_odds(share: float) -> float:
    return float(np.log(share / (1 - share)))


def _auc(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float, float]:
    """AUC with its 95 % interval (Hanley & McNeil 1982)."""
    from scipy.stats import rankdata

    n, m = int(labels.sum()), int(len(labels) - labels.sum())
    if not n or not m:
        return 0.5, 0.0, 1.0
    auc = float((rankdata(scores)[labels == 1].sum() - n * (n + 1) / 2) / (n * m))
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = (auc * (1 - auc) + (n - 1) * (q1 - auc**2) + (m - 1) * (q2 - auc**2)) / (n * m)
    wide = 1.96 * float(np.sqrt(max(variance, 0.0)))
    return auc, max(auc - wide, 0.0), min(auc + wide, 1.0)

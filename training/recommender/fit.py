"""Fitting every model on one replay: from the cheapest to the blend, each standing on the ones before it.

Weights of als, slist and sasrec and the text space of content come from before the cut; half-lives, mixtures and the
blend from up to the end of the validation window. Nothing here looks at the test window.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from training.recommender.arrays import Ints
from training.recommender.blas import one_blas_thread
from training.recommender.config import RecommenderConfig
from training.recommender.models.als import fit_als
from training.recommender.models.base import Recommender, Signal
from training.recommender.models.blend_fit import FittedBlend, fit_blend, fold_of
from training.recommender.models.content import ContentSignal
from training.recommender.models.knn import KnnSignal
from training.recommender.models.lifted import Lifted
from training.recommender.models.popularity import Popularity
from training.recommender.models.slist import fit_slist
from training.recommender.models.text_space import fit_text_space
from training.recommender.ranking import TOP, Ranked, Scorer, Scores, ndcg, rank_events
from training.recommender.replay import Replay
from training.recommender.sequences import sequences_before
from training.recommender.sequential.config import SequentialConfig
from training.recommender.split import Split, sample, split_in_time
from training.recommender.value.fit import FittedActions, fit_actions
from training.recommender.value.heads import ActionHeads
from training.recommender.view import FeedView, UserBatch
from training.result import Progress, Report, no_report


@dataclass(frozen=True)
class Fitted:
    """One fitted model with what is worth telling of it."""

    model: Recommender
    params: dict[str, Any]
    seconds: float
    curves: list[dict[str, float]] = field(default_factory=list)
    signal: Signal | None = None
    actions: FittedActions | None = None

    @property
    def heads(self) -> ActionHeads | None:
        """The action heads, where it has any."""
        return self.actions.heads if self.actions else None


@dataclass(frozen=True)
class Trainer:
    """What all fits share."""

    replay: Replay
    split: Split
    config: RecommenderConfig
    progress: Progress
    validation: Ints
    """The validation events that are ranked: the same sample for every model."""
    report: Report = no_report

    @classmethod
    def of(cls, replay: Replay, config: RecommenderConfig, progress: Progress) -> "Trainer":
        """Split in time and draw the validation events. Raises NotEnoughDataError saying what is missing."""
        split = split_in_time(replay, config.split)
        rows = replay.rows_in(split.cut, split.test)
        validation = sample(rows, config.split.max_validation_events, config.seed)
        return cls(replay, split, config, progress, validation)

    @property
    def refresh_s(self) -> float:
        """Seconds between two refreshes."""
        return self.config.split.refresh_s

    def popularity(self) -> Fitted:
        """The half-life and birth weight with the best NDCG@10."""
        began = time.monotonic()
        config = self.config.popularity
        best = self._best(Popularity(h, b) for h in config.half_lives_h for b in config.births)
        return self._done(best, best.parts().config, began)

    def item_knn(self, popularity: Popularity) -> Fitted:
        """The mixture of popularity and co-occurrence with the best NDCG@10."""
        config = self.config.item_knn
        signal = KnnSignal(config.shrinkage, config.recency)
        return self._lifted(popularity, signal, config, time.monotonic())

    def content(self, popularity: Popularity) -> Fitted:
        """The space of the texts written before the cut, and the mixture with the best NDCG@10."""
        began, config = time.monotonic(), self.config.content
        posts = self.replay.posts
        space = fit_text_space(
            posts.terms[posts.t < self.split.cut].tolist(), config.dimensions, self.config.seed
        )
        signal = ContentSignal(space, config.text_share, config.recency)
        return self._lifted(popularity, signal, config, began)

    def als(self, popularity: Popularity) -> Fitted:
        """The factors, and the mixture with the best NDCG@10."""
        began, config = time.monotonic(), self.config.als
        signal = fit_als(
            sequences_before(self.replay.events, self.split.cut),
            factors=config.factors,
            ridge=config.ridge,
            alpha=config.alpha,
            iterations=config.iterations,
            seed=self.config.seed,
        )
        return self._lifted(popularity, signal, config, began)

    def slist(self, popularity: Popularity) -> Fitted:
        """The closed-form weights, and the mixture with the best NDCG@10."""
        began, config = time.monotonic(), self.config.slist
        signal = fit_slist(
            sequences_before(self.replay.events, self.split.cut),
            self.split.cut,
            window=config.window,
            decay=config.decay,
            ridge=config.ridge,
            half_life_days=config.half_life_days,
            max_posts=config.max_posts,
            keep=config.keep,
        )
        return self._lifted(popularity, signal, config, began)

    def sequential(self, popularity: Popularity) -> Fitted | None:
        """The transformer over transition counts; None when nobody acted on two posts, or it is switched off."""
        if not self.config.sequential.enabled:
            return None
        from training.recommender.models.sequential import fit_sequential_signal

        began, config = time.monotonic(), self.config.sequential
        sequences = sequences_before(self.replay.events, self.split.cut)
        core = SequentialConfig.model_validate(config.model_dump(include=set(SequentialConfig.model_fields)))
        core = core.model_copy(update={"seed": self.config.seed})
        fitted = fit_sequential_signal(sequences, core, config.seconds, self.progress, config.threads)
        if fitted is None:
            return None
        signal, curves = fitted
        lifted = self._lifted(popularity, signal, config, began)
        return replace(lifted, curves=curves)

    def sasrec(self) -> Fitted | None:
        """The transformer; None when no user acted on two posts before the cut, or it is switched off."""
        if not self.config.sasrec.enabled:
            return None
        from training.recommender.models.sasrec import Sasrec
        from training.recommender.models.sasrec_data import gather
        from training.recommender.models.sasrec_fit import fit_sasrec

        began, config = time.monotonic(), self.config.sasrec
        examples = gather(self.replay, self.split.cut, self.split.test, self.refresh_s, config)
        if examples is None:
            return None
        signal, curves = fit_sasrec(examples, config, self.config.seed, self.progress, self.report)
        params = config.model_dump(exclude={"enabled"}) | {
            "epochs": len(curves) - 1,
            "posts": examples.trained,
        }
        return self._done(Sasrec(signal), params, began, curves, signal)

    def blend(self, signals: dict[str, Signal]) -> tuple[Fitted, FittedBlend] | None:
        """The conditional logit; None when no event of the windows could be ranked."""
        began, config, seed = time.monotonic(), self.config.blend, self.config.seed
        late = sample(self.validation, config.max_groups // 2, seed)
        early = sample(
            self.replay.rows_in(self.split.warm, self.split.cut), config.max_groups - len(late), seed
        )
        with one_blas_thread():
            fitted = fit_blend(
                self.replay, np.r_[early, late], self.split.cut, self.refresh_s, signals, config, seed
            )
        if fitted is None:
            return None
        params = {
            "penalty": fitted.penalty,
            "groups": fitted.groups,
            "candidates": config.candidates,
            "signals": ",".join(fitted.blend.signals),
            "validation_log_likelihood": round(fitted.log_likelihood, 4),
        }
        return self._done(fitted.blend, params, began), fitted

    def with_actions(self, entry: Fitted, interactions: pa.Table) -> Fitted:
        """The same with the probabilities of single actions, where the data have any.

        Popularity stays what its name says: the same for everybody.
        """
        if isinstance(entry.model, Popularity):
            return entry
        fitted = fit_actions(interactions, self.replay, self.split, self.config, entry.model)
        if fitted is None:
            return entry
        self.progress(f"{', '.join(fitted.heads.base.actions)}: heads fitted in {fitted.seconds:.1f} s")
        return replace(entry, actions=fitted, params=entry.params | fitted.params)

    def rank(self, fitted: dict[str, Fitted], folds: FittedBlend | None) -> dict[str, Ranked]:
        """Rank the validation events by every model; the blend judges each user by weights fitted on the others."""
        scorers: dict[str, Scorer] = {name: entry.model.score for name, entry in fitted.items()}
        if folds is not None:
            scorers["blend"] = _by_fold(folds)
        return rank_events(self.replay, self.validation, self.refresh_s, scorers)

    def _lifted(self, popularity: Popularity, signal: Signal, config: Any, began: float) -> Fitted:
        grid = (Lifted(popularity, signal, a, s) for a in config.strengths for s in config.scales)
        best = self._best(grid)
        params = config.model_dump(exclude={"strengths", "scales"})
        params |= {"strength": best.strength, "scale": best.scale}
        return self._done(best, params, began, signal=signal)

    def _best(self, models: Iterable[Any]) -> Any:
        """The one with the best NDCG@10 on the validation events, the first of equals."""
        tried = list(models)
        scorers = {str(index): model.score for index, model in enumerate(tried)}
        ranked = rank_events(self.replay, self.validation, self.refresh_s, scorers, lists=False)
        return tried[int(np.argmax([ndcg(entry.rank, TOP).mean() for entry in ranked.values()]))]

    def _done(
        self, model: Any, params: dict[str, Any], began: float, curves: Any = None, signal: Any = None
    ) -> Fitted:
        seconds = time.monotonic() - began
        self.progress(f"{model.name}: fitted in {seconds:.1f} s")
        return Fitted(model, params, seconds, curves or [], signal)


def _by_fold(fitted: FittedBlend) -> Scorer:
    def score(view: FeedView, users: UserBatch) -> Scores:
        fold = np.array([fold_of(user, len(fitted.by_fold)) for user in users.ids])
        every = np.stack([blend.score(view, users) for blend in fitted.by_fold])
        return np.asarray(every[fold, np.arange(len(users))])

    return score


def fit_all(trainer: Trainer) -> tuple[dict[str, Fitted], dict[str, Ranked], list[str]]:
    """Every model that the data allow; their ranks on the validation events; notes on what is missing."""
    notes = []
    fitted = {"popularity": trainer.popularity()}
    popularity: Any = fitted["popularity"].model
    for fit in (trainer.item_knn, trainer.content, trainer.als, trainer.slist):
        entry = fit(popularity)
        fitted[entry.model.name] = entry
    for name, neural in (("sequential", trainer.sequential(popularity)), ("sasrec", trainer.sasrec())):
        if neural is None:
            notes.append(
                f"{name} was not trained: it is switched off, or no user acted on two posts before the cut."
            )
        else:
            fitted[name] = neural
    blended = trainer.blend({name: entry.signal for name, entry in fitted.items() if entry.signal})
    if blended is None:
        notes.append("the blend was not trained: no held-out post was known at the refresh before its event.")
        return fitted, trainer.rank(fitted, None), notes
    fitted["blend"], folds = blended
    return fitted, trainer.rank(fitted, folds), notes

"""One training cycle of the recommender: tables in, a candidate with metrics and a bundle for every model out."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.recommender.config import RecommenderConfig
from training.recommender.data import RecommenderTables
from training.recommender.evaluate import Difference, choose, metrics_of, paired
from training.recommender.export import export, read_state, write_state
from training.recommender.fit import Fitted, Trainer, fit_all
from training.recommender.ranking import TOP, Ranked, Scorer, ndcg, rank_events
from training.recommender.reach import Reach, reach_of
from training.recommender.replay import Replay
from training.recommender.report import (
    comparison,
    exposure_by_author_size,
    lorenz_curves,
    loss_curves,
    metric_by_model,
    metric_by_slice,
    reliability,
    weights_figure,
)
from training.recommender.slices import Slices, slices_of
from training.recommender.split import Split
from training.recommender.value.exposures import done_after
from training.recommender.value.order import order_metrics, scorer_of, worth
from training.recommender.value.weights import read_weights
from training.result import Candidate, Progress, TrainingOutcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Metrics = dict[str, dict[str, float]]
_ALONE = "the chosen model's own order"


def train(
    tables: RecommenderTables,
    config: RecommenderConfig,
    out_dir: Path,
    progress: Progress,
    lineage: dict[str, Any] | None = None,
) -> TrainingOutcome:
    """Fit, choose and measure every model; bundles are written to `out_dir`/<model>.

    The test window is ranked as it would be served: the chosen model's best posts by the weighted sum of its action
    probabilities (`value`), `..._unweighted` being its own order; the others are baselines and keep theirs.

    Raises NotEnoughDataError saying what is missing, UserError for a table that lacks a column or wrong action weights,
    ValueError for a configuration that does not hold together, BundleError when `out_dir` already holds a bundle.
    """
    weights = read_weights(Path(config.actions.weights) if config.actions.weights else None)
    replay = Replay(tables)
    trainer = Trainer.of(replay, config, progress)
    split, validation = trainer.split, trainer.validation
    test = replay.rows_in(split.test, split.end)
    progress(
        f"{len(replay.heldout)} first interactions: {len(validation)} validation events ranked, {len(test)} test"
    )
    fitted, ranked, notes = fit_all(trainer)
    best = _choose(replay, trainer, ranked)
    progress(f"chosen on the validation window: {best}")
    fitted[best] = trainer.with_actions(fitted[best], tables.interactions)
    scorers: dict[str, Scorer] = {name: entry.model.score for name, entry in fitted.items()}
    served = {best: scorer_of(fitted[best].model, fitted[best].heads, weights)}
    tested = rank_events(replay, test, config.split.refresh_s, scorers | served | {_ALONE: scorers[best]})
    alone = {name: entry.rank for name, entry in tested.items()} | {best: tested.pop(_ALONE).rank}
    late, now = slices_of(replay, validation, split.cut), slices_of(replay, test, split.test)
    reaches = {name: reach_of(entry, now) for name, entry in tested.items()}
    metrics, gaps = _measure(trainer, ranked, late, tested, now, reaches)
    done = done_after(tables.interactions, test, 3600.0 * config.actions.attribution_h)
    for name, own in metrics.items():
        own |= order_metrics(tested[name].rank, alone[name], worth(done, weights), "test")
    candidates = _hand_over(
        tables, config, split, out_dir, fitted, metrics, gaps, reaches, best, notes, lineage or {}
    )
    order = list(fitted)
    baselines = sorted(order[: order.index(best)], key=lambda name: -metrics[name]["test/ndcg_at_10"])
    return TrainingOutcome(
        candidates, best, baselines, split.window, [*notes, *_remarks(test, tested, split)]
    )


def _choose(replay: Replay, trainer: Trainer, ranked: dict[str, Ranked]) -> str:
    gains = {name: ndcg(entry.rank, TOP) for name, entry in ranked.items()}
    _, user = np.unique(replay.events.user[trainer.validation].astype(str), return_inverse=True)
    return choose(gains, user, trainer.config.split.bootstrap, trainer.config.seed)


def _measure(
    trainer: Trainer,
    validated: dict[str, Ranked],
    late: Slices,
    tested: dict[str, Ranked],
    now: Slices,
    reaches: dict[str, Reach],
) -> tuple[Metrics, dict[str, Difference]]:
    """All metrics by model, and each model's paired difference to popularity on the test window."""
    resamples, seed = trainer.config.split.bootstrap, trainer.config.seed
    metrics, gaps = {}, {}
    floor = ndcg(tested["popularity"].rank, TOP)
    for name in tested:
        before = validated[name]
        metrics[name] = metrics_of(before, late, reach_of(before, late), "validation", resamples, seed, False)
        metrics[name] |= metrics_of(tested[name], now, reaches[name], "test", resamples, seed, True)
        gaps[name] = paired(ndcg(tested[name].rank, TOP), floor, now.user, resamples, seed)
        metrics[name] |= {
            "test/ndcg_at_10_minus_popularity": gaps[name].mean,
            "test/ndcg_at_10_minus_popularity_low": gaps[name].low,
            "test/ndcg_at_10_minus_popularity_high": gaps[name].high,
        }
    return metrics, gaps


def _hand_over(
    tables: RecommenderTables,
    config: RecommenderConfig,
    split: Split,
    out_dir: Path,
    fitted: dict[str, Fitted],
    metrics: Metrics,
    gaps: dict[str, Difference],
    reaches: dict[str, Reach],
    best: str,
    notes: list[str],
    lineage: dict[str, Any],
) -> list[Candidate]:
    state = out_dir / ".state"
    shutil.rmtree(state, ignore_errors=True)
    write_state(state, tables, config.snapshot_events, config.snapshot_events)
    known = read_state(state)
    table = comparison(metrics, gaps, best, notes)
    split_params = {"seed": config.seed, **config.split.model_dump()}
    try:
        return [
            Candidate(
                name=name,
                params=entry.params | split_params,
                metrics=metrics[name] | (entry.actions.metrics if entry.actions else {}),
                bundle=export(
                    out_dir / name, entry.model, state, known, split.window[0], lineage, entry.heads
                ),
                curves=entry.curves,
                plots=_plots(name, entry, metrics, reaches),
                texts={"comparison.md": table},
                seconds=entry.seconds,
            )
            for name, entry in fitted.items()
        ]
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _plots(name: str, entry: Fitted, metrics: Metrics, reaches: dict[str, Reach]) -> dict[str, "Figure"]:
    plots = {
        "ndcg_by_model.png": metric_by_model(metrics, "test/ndcg_at_10"),
        "ndcg_by_slice.png": metric_by_slice(name, metrics[name], "test/ndcg_at_10"),
        "exposure_lorenz.png": lorenz_curves(reaches, name),
        "exposure_by_author_size.png": exposure_by_author_size(reaches, name),
    }
    if entry.actions and entry.actions.calibrations:
        given = entry.actions.heads.base.given
        plots["action_reliability.png"] = reliability(entry.actions.calibrations, given)
    if entry.curves:
        plots["loss.png"] = loss_curves(name, entry.curves)
    weights = entry.model.parts().config.get("weights")
    if weights:
        plots["weights.png"] = weights_figure(weights)
    return plots


def _remarks(test: Any, tested: dict[str, Ranked], split: Split) -> list[str]:
    rankable = np.isfinite(tested["popularity"].rank).mean()
    start, end = split.window
    return [
        f"Test window {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {len(test)} first interactions; "
        f"for {rankable:.1%} of them the post was known at the refresh before: the bound of any model's recall.",
        "Popularity's half-life and the mixtures were tuned on the validation events on which they are then compared.",
    ]

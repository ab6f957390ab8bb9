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
from training.recommender.ranking import TOP, Ranked, ndcg, rank_events
from training.recommender.reach import Reach, reach_of
from training.recommender.replay import Replay
from training.recommender.report import (
    comparison,
    exposure_by_author_size,
    lorenz_curves,
    loss_curves,
    metric_by_model,
    metric_by_slice,
    weights_figure,
)
from training.recommender.slices import Slices, slices_of
from training.recommender.split import Split
from training.result import Candidate, Progress, TrainingOutcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Metrics = dict[str, dict[str, float]]


def train(
    tables: RecommenderTables,
    config: RecommenderConfig,
    out_dir: Path,
    progress: Progress,
    lineage: dict[str, Any] | None = None,
) -> TrainingOutcome:
    """Fit, choose and measure every model; bundles are written to `out_dir`/<model>.

    Raises NotEnoughDataError saying what is missing, UserError for a table that lacks a column, ValueError for a
    configuration that does not hold together, BundleError when `out_dir` already holds a bundle.
    """
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
    tested = rank_events(
        replay, test, config.split.refresh_s, {name: entry.model.score for name, entry in fitted.items()}
    )
    late, now = slices_of(replay, validation, split.cut), slices_of(replay, test, split.test)
    reaches = {name: reach_of(entry, now) for name, entry in tested.items()}
    metrics, gaps = _measure(trainer, ranked, late, tested, now, reaches)
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
                metrics=metrics[name],
                bundle=export(out_dir / name, entry.model, state, known, split.window[0], lineage),
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

"""Recommender candidates: baselines, sequence models and their blend."""

from orchestration.defs.sweep_asset import sweep_asset
from orchestration.defs.training_asset import training_asset
from training.recommender.config import RecommenderConfig
from training.recommender.space import RecommenderSweepConfig

_SHOWN = (
    "validation/ndcg_at_10",
    *(f"test/{name}_at_10" for name in ("ndcg", "value_ndcg", "recall", "coverage")),
    "test/mrr",
)

recommender_candidates = training_asset(
    "recommender",
    RecommenderConfig,
    _SHOWN,
    "Popularity, item-kNN, content, implicit ALS, sequential-linear and neural sequential models and their blend, "
    "trained on one snapshot, scored on a held-out window in time, logged to MLflow; the best on validation asks "
    "the gate to be promoted.",
)

recommender_trials = sweep_asset(
    "recommender",
    RecommenderSweepConfig,
    _SHOWN,
    "Hyper-parameter search by NDCG@10 on the validation window, within a budget of trials and minutes, each trial a "
    "child run in MLflow; the best configuration is then trained like any candidate and asks the gate.",
)

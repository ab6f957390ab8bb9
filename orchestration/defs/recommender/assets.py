"""Recommender candidates: baselines, sequence models and their blend."""

from orchestration.defs.training_asset import training_asset
from training.recommender.config import RecommenderConfig

recommender_candidates = training_asset(
    "recommender",
    RecommenderConfig,
    ("validation/ndcg_at_10", "test/ndcg_at_10", "test/recall_at_10", "test/mrr", "test/coverage_at_10"),
    "Popularity, item-kNN, content, implicit ALS, sequential-linear and neural sequential models and their blend, "
    "trained on one snapshot, scored on a held-out window in time, logged to MLflow; the best on validation asks "
    "the gate to be promoted.",
)

"""What a sweep of the recommender searches, unless the Launchpad says otherwise. Forms: see `training.sweep.space`."""

from typing import ClassVar

from pydantic import Field

from training.recommender.config import RecommenderConfig
from training.sweep.config import BASE_HELP, SPACE_HELP, SweepConfig

SPACE = {
    "item_knn.shrinkage": "0.5 to 50 log",
    "content.text_share": "0.0 to 0.9",
    "content.recency": "0.5 to 1.0",
    "als.ridge": "1 to 100 log",
    "slist.decay": "0.4 to 1.0",
    "slist.ridge": "1 to 300 log",
    "sequential.learning_rate": "1e-3 to 2e-2 log",
    "sequential.dropout": "0.0 to 0.5",
    "sasrec.learning_rate": "5e-4 to 1e-2 log",
    "sasrec.drop_id": "0.1 to 0.8",
}


class RecommenderSweepConfig(SweepConfig):
    """Budget, objective, space and fixed hyper-parameters of one sweep of the recommender."""

    fixed: ClassVar[tuple[str, ...]] = ("seed", "sequential.seed", "split", "snapshot_events")
    """What trials are measured on, and what no metric depends on."""

    space: dict[str, str] = Field(SPACE, description=SPACE_HELP)
    base: RecommenderConfig = Field(default_factory=RecommenderConfig, description=BASE_HELP)

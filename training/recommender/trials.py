"""One configuration of the recommender, measured on the validation window: a trial of a sweep."""

from dataclasses import replace

from training.recommender.config import RecommenderConfig
from training.recommender.data import RecommenderTables
from training.recommender.fit import Trainer, fit_all
from training.recommender.ranking import TOP, ndcg
from training.recommender.replay import Replay
from training.result import Progress, Report
from training.sweep.study import Direction


class RecommenderTrials:
    """Replay, split and validation events once; every trial fits all models on them. No trial sees the test window."""

    metric = "validation/ndcg_at_10"
    direction: Direction = "maximize"

    def __init__(self, tables: RecommenderTables, config: RecommenderConfig, progress: Progress) -> None:
        """Raises UserError for a missing column, NotEnoughDataError saying what is missing."""
        self._trainer = Trainer.of(Replay(tables), config, progress)

    def measure(self, config: RecommenderConfig, report: Report) -> dict[str, float]:
        """NDCG@10 by model."""
        _, ranked, _ = fit_all(replace(self._trainer, config=config, report=report))
        return {name: float(ndcg(entry.rank, TOP).mean()) for name, entry in ranked.items()}

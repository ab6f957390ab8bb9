"""One small world through the real Dagster, dbt, MLflow, gate and API, once for all tests that look at it."""

from dataclasses import dataclass
from typing import Any

import pytest

from serving.settings import Settings, get_settings

QUICK: dict[str, Any] = {
    "ops": {
        "recommender_candidates": {
            "config": {
                "sequential": {"seconds": 3.0, "width": 16, "narrow": 16, "heads": 2},
                "sasrec": {"max_epochs": 2, "width": 16, "blocks": 1},
                "blend": {"max_groups": 600, "candidates": 64, "penalties": [30.0], "folds": 2},
            }
        },
        "generator_candidates": {
            "config": {
                "tokenizer": {"vocabulary": 700},
                "lstm": {"max_seconds": 6.0, "width": 64, "embedding": 48},
                "transformer": {"max_seconds": 6.0, "width": 32, "layers": 1, "feed_forward": 64},
            }
        },
    }
}
"""Launchpad config: models that are trained in seconds."""
LEARN: dict[str, Any] = {
    "ops": {"generator_preferences": {"config": {"dpo": {"max_epochs": 6.0, "learning_rate": 0.002}}}}
}
"""The same of a training from feedback."""


@dataclass(frozen=True)
class Looped:
    """A home in which the loop ran once."""

    settings: Settings
    outcome: Any
    said: list[str]

    def again(self) -> Any:
        """Run the loop once more."""
        from orchestration.loop import run_loop

        return run_loop(self.settings, self.said.append, QUICK)


@pytest.fixture(scope="session")
def looped() -> Looped:
    """The loop on the embedded world, in this process."""
    from orchestration.home import prepare_home
    from orchestration.loop import run_loop

    settings = get_settings()
    prepare_home(settings)
    said: list[str] = []
    return Looped(settings, run_loop(settings, said.append, QUICK), said)

"""What a training job hands over: candidates with metrics and bundles, and which of them asks to be promoted."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from training.bundle import Bundle

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Progress = Callable[[str], None]
"""Receives one line of text for the log."""

Report = Callable[[str, int, float], None]
"""Receives model, step and value of the validation metric while it is fitted; may raise to end the fit."""


def no_report(model: str, step: int, value: float) -> None:
    """For fits that nobody watches."""


@dataclass(frozen=True)
class Candidate:
    """One trained model. Baselines are candidates too, each with a bundle that can be scored again."""

    name: str
    params: dict[str, Any]
    metrics: dict[str, float]
    """MLflow metric names, e.g. `test/ndcg_at_10`, `test/ndcg_at_10_low` and `_high` (95 % interval)."""
    bundle: Bundle
    curves: list[dict[str, float]] = field(default_factory=list)
    """One entry a step or epoch: `step` and the values then, e.g. `train/loss`."""
    plots: dict[str, "Figure"] = field(default_factory=dict)
    """File name (`loss.png`) to figure."""
    texts: dict[str, str] = field(default_factory=dict)
    """File name (`samples.md`) to text."""
    seconds: float = 0.0
    """Wall time of fitting, without evaluation."""


@dataclass(frozen=True)
class TrainingOutcome:
    """All candidates of one training cycle, the chosen one, and the window they are to be judged on."""

    candidates: list[Candidate]
    best: str
    """Name of the candidate chosen on the validation window."""
    baselines: list[str]
    """Names of the cheaper candidates which the chosen one has to beat."""
    window: tuple[datetime, datetime]
    """Held-out window, UTC, half-open; no weight has seen anything at or after its start."""
    notes: list[str] = field(default_factory=list)
    """Sentences a reviewer should read: what was skipped, cut or unusual."""

    def candidate(self, name: str) -> Candidate:
        """The candidate called `name`. Raises KeyError."""
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        raise KeyError(name)

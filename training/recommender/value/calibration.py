"""How good predicted probabilities are: log-loss against the base rate, expected calibration error, reliability.

Expected calibration error after Naeini et al. 2015: |mean prediction - share of cases|, averaged over bins by
their size. The bins have equal counts: of equal widths, one would hold nearly all that is known of a rare action.
"""

from dataclasses import dataclass

import numpy as np

from training.recommender.data import Floats
from training.recommender.evaluate import metric_name

BINS = 10
_EDGE = 1e-7


@dataclass(frozen=True)
class Calibration:
    """One action on one set of chances. `bins` [bins, 3]: mean prediction, share of cases, number of chances."""

    action: str
    cases: int
    log_loss: float
    base_log_loss: float
    error: float
    bins: Floats

    @property
    def metrics(self) -> dict[str, float]:
        """As MLflow shows them: `actions/like/log_loss`, ... Not under `test/`, whose names all candidates share."""
        known = {
            "cases": float(self.cases),
            "log_loss": self.log_loss,
            "log_loss_base_rate": self.base_log_loss,
            "calibration_error": self.error,
        }
        return {f"actions/{metric_name(self.action)}/{name}": value for name, value in known.items()}


def calibration(action: str, predicted: Floats, happened: Floats, base_rate: float) -> Calibration:
    """Judge `predicted` [chances] by what `happened` (0 or 1); `base_rate` is that of the data fitted on.

    Raises ValueError without chances.
    """
    if len(predicted) == 0:
        raise ValueError("no chances to judge probabilities by")
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    bins = np.array([[predicted[part].mean(), happened[part].mean(), len(part)] for part in parts])
    error = float(np.abs(bins[:, 0] - bins[:, 1]) @ bins[:, 2] / len(predicted))
    base = np.full(len(predicted), base_rate)
    return Calibration(
        action, int(happened.sum()), _log_loss(predicted, happened), _log_loss(base, happened), error, bins
    )


def _log_loss(predicted: Floats, happened: Floats) -> float:
    p = np.clip(predicted, _EDGE, 1 - _EDGE)
    return float(-np.mean(happened * np.log(p) + (1 - happened) * np.log1p(-p)))

"""The loop of trials: Optuna proposes, a family measures on its validation window, MLflow remembers.

A sweep is known by its name. Launched again under the same name it goes on where it ended: a trial that was cut short
is run again, finished ones count.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, Protocol

from training.errors import UserError
from training.result import Progress, Report
from training.sweep.config import SweepConfig
from training.sweep.log import SweepLog, TrialLog
from training.sweep.space import contains, value_of, with_values

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Direction = Literal["maximize", "minimize"]

_SETTLED_TRIALS, _FIRST_STEP = 4, 3
"""Trials are stopped early only when so many were measured, and from this step of the curve on."""


class Trials(Protocol):
    """A family's measurement of one configuration; everything that trials share is read before the first."""

    metric: str
    """Name in MLflow, e.g. `validation/ndcg_at_10`."""
    direction: Direction

    def measure(self, config: Any, report: Report) -> Mapping[str, float]:
        """Fit every model with `config`; the metric on the validation window by model."""


@dataclass(frozen=True)
class Sweep:
    """One search: where it is kept, what is tried, and who measures."""

    name: str
    storage: str
    """SQLAlchemy URL of Optuna's store."""
    trials: Trials
    config: SweepConfig
    space: "Mapping[str, BaseDistribution]"
    seed: int
    log: SweepLog
    progress: Progress

    def run(self) -> "Study":
        """Run trials until the budget is spent and return the study, which has at least one measured trial.

        A trial that fails is recorded and the next begins. Raises UserError when none could be measured, or for an
        objective that is no model of the trials.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            storage=self.storage,
            study_name=self.name,
            direction=self.trials.direction,
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(_SETTLED_TRIALS, _FIRST_STEP),
        )
        self._take_up(study)
        deadline = time.monotonic() + 60 * self.config.minutes
        while (number := len(ended(study))) < self.config.trials:
            left, longest = deadline - time.monotonic(), _longest(study)
            if longest and left < longest:
                self.progress(
                    f"{left:.0f} s are left and the longest trial took {longest:.0f} s: no more trials"
                )
                break
            # By trial, so that a sweep that is taken up does not propose again what it began with.
            study.sampler = optuna.samplers.TPESampler(seed=self.seed + len(study.trials))
            self._try(study, number)
        if not measured(study):
            failed = [trial.user_attrs.get("error", "") for trial in ended(study)]
            raise UserError(f"all {len(failed)} trials of the sweep failed; the last: {failed[-1]}")
        if len(measured(study)) > 1 and len({trial.value for trial in measured(study)}) == 1:
            self.progress(
                "nothing searched moved the objective: search its model, or make another the objective"
            )
        return study

    def _take_up(self, study: "Study") -> None:
        """Queue the trials that were cut short; in a new study, the configuration that is there already."""
        from optuna.trial import TrialState

        for trial in study.get_trials(states=[TrialState.RUNNING]):
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)
            self.progress(f"trial {trial.number:03} was cut short and is run again")
        if study.trials:
            return
        base = {name: value_of(self.config.base, name) for name in self.space}
        outside = [name for name, value in base.items() if not contains(self.space[name], value)]
        if outside:
            self.progress(f"the base configuration is not tried: its {outside[0]} lies outside the space")
        else:
            study.enqueue_trial(base)

    def _try(self, study: "Study", number: int) -> None:
        import optuna
        from optuna.trial import TrialState

        trial = study.ask(dict(self.space))
        told = ", ".join(f"{name} {_short(value)}" for name, value in trial.params.items())
        label = f"trial {trial.number:03} ({number + 1} of {self.config.trials})"
        self.progress(f"{label}: {told}")
        with self.log.trial(trial.number, trial.params) as log:
            try:
                config = with_values(self.config.base, trial.params)
                values = self.trials.measure(config, self._watcher(trial, log))
                value = self._objective(values)
            except optuna.TrialPruned:
                study.tell(trial, state=TrialState.PRUNED)
                log.end("stopped early", {})
            except UserError:
                raise
            except Exception as error:  # noqa: BLE001 - a configuration that cannot be trained is a finding
                text = _one_line(error)
                trial.set_user_attr("error", text)
                study.tell(trial, state=TrialState.FAIL)
                log.end("failed", {}, text)
                self.progress(f"{label} failed: {text}")
            else:
                study.tell(trial, value)
                metrics = {f"{self.trials.metric}/{name}": found for name, found in values.items()}
                log.end("measured", {self.trials.metric: value} | metrics)
                told = ", ".join(f"{name} {found:.4f}" for name, found in values.items())
                self.progress(f"{label}: {self.trials.metric} {value:.4f} ({told})")

    def _objective(self, values: Mapping[str, float]) -> float:
        wanted = self.config.objective
        if wanted != "best" and wanted not in values:
            raise UserError(f"objective {wanted} is no model of the trials: best, {', '.join(values)}")
        best = max if self.trials.direction == "maximize" else min
        value = best(values.values()) if wanted == "best" else values[wanted]
        if not isfinite(value):
            raise ValueError(f"{self.trials.metric} is not a finite number")
        return value

    def _watcher(self, trial: "Trial", log: TrialLog) -> Report:
        """Curves go to MLflow. A model's curve may end the trial where nothing but that model is searched."""
        import optuna

        def report(model: str, step: int, value: float) -> None:
            log.step(f"{self.trials.metric}/{model}/while_fitting", value, step)
            if all(name.startswith(f"{model}.") for name in self.space):
                trial.report(value, step)
                if trial.should_prune():
                    self.progress(
                        f"stopped early at step {step} of {model}: {value:.4f} is worse than the median"
                    )
                    raise optuna.TrialPruned

        return report


def measured(study: "Study") -> "list[FrozenTrial]":
    """Trials that were measured to the end."""
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])


def ended(study: "Study") -> "list[FrozenTrial]":
    """Trials that came to their own end: not those that wait, run or were cut short."""
    from optuna.trial import TrialState

    return [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or "error" in trial.user_attrs
    ]


def _longest(study: "Study") -> float:
    """Seconds of the longest trial so far."""
    return max((trial.duration.total_seconds() for trial in ended(study) if trial.duration), default=0.0)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"

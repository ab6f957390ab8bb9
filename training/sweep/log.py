"""A sweep in MLflow: one parent run, a child run a trial, the same parameter and metric names in every child."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from training.tracking import Tracker

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STATUS = {"measured": "FINISHED", "stopped early": "KILLED", "failed": "FAILED"}


class SweepLog:
    """Writes one sweep; a context whose end closes the parent run. Taken up again it writes on in the same run."""

    def __init__(self, tracker: Tracker, experiment: str, name: str, tags: Mapping[str, str]) -> None:
        """Opens the parent run, and closes what a killed process left open in it."""
        self._tracker, self._experiment, self._tags = tracker, experiment, dict(tags)
        own = {"tidegate.role": "sweep", "sweep.name": name}
        found = tracker.runs(experiment, own)
        self.parent = found[0] if found else tracker.open_run(experiment, f"sweep {name}", self._tags | own)
        tracker.client.update_run(self.parent, status="RUNNING")
        for run in tracker.runs(experiment, {"mlflow.parentRunId": self.parent}, status="RUNNING"):
            tracker.client.set_tag(run, "sweep.state", "cut short")
            tracker.client.set_terminated(run, "KILLED")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tracker.client.set_terminated(self.parent, "FINISHED" if kind is None else "FAILED")

    @contextmanager
    def trial(self, number: int, params: Mapping[str, Any]) -> Iterator["TrialLog"]:
        """A child run with the trial's parameters; KILLED when the body does not end it."""
        from mlflow.entities import Param

        tags = {"mlflow.parentRunId": self.parent, "tidegate.role": "trial", "sweep.trial": str(number)}
        run = self._tracker.open_run(self._experiment, f"trial {number:03}", self._tags | tags)
        try:
            self._tracker.client.log_batch(
                run, params=[Param(name, str(value)) for name, value in params.items()]
            )
            yield TrialLog(self._tracker, run)
        except BaseException:
            self._tracker.client.set_terminated(run, "KILLED")
            raise

    def hand_over(
        self, metrics: Mapping[str, float], texts: Mapping[str, str], figures: "Mapping[str, Figure]"
    ) -> None:
        """Metrics, text files and plots of the sweep as a whole, by name."""
        client = self._tracker.client
        for name, value in metrics.items():
            client.log_metric(self.parent, name, value)
        for name, text in texts.items():
            client.log_text(self.parent, text, name)
        for name, figure in figures.items():
            client.log_figure(self.parent, figure, f"plots/{name}")


class TrialLog:
    """Writes the run of one trial."""

    def __init__(self, tracker: Tracker, run: str) -> None:
        self._client, self._run, self._began = tracker.client, run, time.monotonic()

    def step(self, name: str, value: float, step: int) -> None:
        """One point of a curve."""
        self._client.log_metric(self._run, name, value, step=step)

    def end(self, state: str, metrics: Mapping[str, float], note: str = "") -> None:
        """Close the run as `measured`, `stopped early` or `failed`, with its metrics and a note to read."""
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        values = dict(metrics) | {"trial_seconds": time.monotonic() - self._began}
        tags = {"sweep.state": state} | ({"mlflow.note.content": note} if note else {})
        self._client.log_batch(
            self._run,
            metrics=[Metric(name, value, now, 0) for name, value in values.items()],
            tags=[RunTag(name, text) for name, text in tags.items()],
        )
        self._client.set_terminated(self._run, _STATUS[state])

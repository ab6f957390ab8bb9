"""The loop of trials through the real Optuna and MLflow, with models that are formulas."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from pydantic import BaseModel, Field

from serving.settings import get_settings
from training.errors import UserError
from training.result import Report
from training.sweep.config import SweepConfig
from training.sweep.log import SweepLog
from training.sweep.report import figures, trials_table
from training.sweep.space import parse_space
from training.sweep.study import Direction, Sweep
from training.tracking import Tracker

_EXPERIMENT = "behaviour"


class Net(BaseModel):
    """A model's hyper-parameters."""

    width: int = Field(8, ge=1)
    rate: float = Field(0.1, gt=0.0)


class Models(BaseModel):
    """A family's configuration."""

    seed: int = 7
    net: Net = Net()
    other: Net = Net()


class Formula:
    """Trials whose metric is `value(config)`; the curve of `net` rises to it in four steps."""

    metric = "validation/gain"

    def __init__(self, value: Callable[[Models], float], direction: Direction = "maximize") -> None:
        self.value, self.direction = value, direction
        self.tried: list[Models] = []

    def measure(self, config: Models, report: Report) -> Mapping[str, float]:
        self.tried.append(config)
        value = self.value(config)
        for step in range(1, 5):
            report("net", step, value * step / 4)
        return {"net": value, "cheap": 0.0}


@pytest.fixture(scope="module")
def tracker() -> Tracker:
    settings = get_settings()
    settings.mlflow_dir.mkdir(parents=True, exist_ok=True)
    return Tracker(settings.tracking_uri, settings.mlflow_dir)


class Bench:
    """One sweep by name that can be launched again and again."""

    def __init__(self, tracker: Tracker, storage: str, name: str) -> None:
        self.tracker, self.storage, self.name = tracker, storage, name
        self.said: list[str] = []

    def run(self, formula: Formula, space: Mapping[str, str] | None = None, **budget: Any) -> Any:
        space = space or {"net.rate": "0.1 to 1.0", "other.width": "1 to 64 log"}
        config = SweepConfig(**{"trials": 3, "space": space, "base": Models()} | budget)
        with SweepLog(self.tracker, _EXPERIMENT, self.name, {"lake.snapshot": "1"}) as log:
            parsed = parse_space(config.space, config.base, ())
            sweep = Sweep(self.name, self.storage, formula, config, parsed, 7, log, self.said.append)
            return sweep.run()

    def parent(self) -> Run:
        (run,) = self.tracker.runs(_EXPERIMENT, {"sweep.name": self.name})
        return self.tracker.client.get_run(run)

    def children(self) -> list[Run]:
        """Oldest first."""
        found = self.tracker.runs(_EXPERIMENT, {"mlflow.parentRunId": self.parent().info.run_id})
        return [self.tracker.client.get_run(run) for run in reversed(found)]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('sweeps') / 'optuna.db'}"


@pytest.fixture
def bench(tracker: Tracker, storage: str, tmp_path: Path) -> Bench:
    return Bench(tracker, storage, tmp_path.name)


def test_every_trial_is_a_child_run_with_the_same_names_and_the_best_wins(bench: Bench) -> None:
    study = bench.run(Formula(lambda config: 1 - config.net.rate))
    children = bench.children()
    assert len(children) == 3
    assert {frozenset(run.data.params) for run in children} == {frozenset({"net.rate", "other.width"})}
    assert {frozenset(run.data.metrics) for run in children} == {
        frozenset(
            {
                "validation/gain",
                "validation/gain/net",
                "validation/gain/cheap",
                "validation/gain/net/while_fitting",
                "trial_seconds",
            }
        )
    }
    assert {run.info.status for run in children} == {"FINISHED"}
    assert bench.parent().info.status == "FINISHED"
    assert study.best_value == max(run.data.metrics["validation/gain"] for run in children)


def test_the_first_trial_is_the_configuration_that_is_there(bench: Bench) -> None:
    trials = Formula(lambda config: 1 - config.net.rate)
    bench.run(trials, trials=1)
    assert trials.tried == [Models()]


def test_a_base_outside_the_space_is_told_and_not_tried(bench: Bench) -> None:
    trials = Formula(lambda config: config.net.rate)
    bench.run(trials, {"net.rate": "0.5 to 1.0"}, trials=1)
    assert trials.tried != [Models()]
    assert "its net.rate lies outside the space" in bench.said[0]


def test_the_lowest_wins_where_less_is_better(bench: Bench) -> None:
    study = bench.run(Formula(lambda config: config.net.rate - 5, "minimize"))
    assert study.best_value == pytest.approx(min(study.trials, key=lambda t: t.value).value)
    assert study.best_value < -4


def test_the_objective_may_be_one_model(bench: Bench) -> None:
    study = bench.run(Formula(lambda config: config.net.rate), objective="cheap", trials=1)
    assert study.best_value == 0.0
    bench.run(Formula(lambda config: config.net.rate), objective="cheap", trials=2)
    assert "nothing searched moved the objective" in bench.said[-1]
    with pytest.raises(UserError, match="objective nobody is no model of the trials: best, net, cheap"):
        bench.run(Formula(lambda config: config.net.rate), objective="nobody", trials=3)


def test_a_trial_that_fails_is_a_failed_run_and_the_sweep_goes_on(bench: Bench) -> None:
    def value(config: Models) -> float:
        if config == Models():
            raise ValueError("3 heads do not divide a width of 8\nmore")
        return config.net.rate

    study = bench.run(Formula(value))
    assert [run.info.status for run in bench.children()] == ["FAILED", "FINISHED", "FINISHED"]
    note = bench.children()[0].data.tags["mlflow.note.content"]
    assert note == "ValueError: 3 heads do not divide a width of 8"
    assert len(study.trials) == 3
    assert note in trials_table(study, "validation/gain")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_that_is_no_number_fails_the_trial(bench: Bench, value: float) -> None:
    with pytest.raises(UserError, match="not a finite number"):
        bench.run(Formula(lambda _: value), trials=1)


def test_a_sweep_of_failed_trials_alone_fails_in_one_line(bench: Bench) -> None:
    def value(config: Models) -> float:
        raise RuntimeError("out of memory")

    with pytest.raises(
        UserError, match="all 3 trials of the sweep failed; the last: RuntimeError: out of mem"
    ):
        bench.run(Formula(value))
    assert bench.parent().info.status == "FAILED"


def test_no_trial_starts_when_less_time_is_left_than_the_longest_took(bench: Bench) -> None:
    trials = Formula(lambda config: config.net.rate)
    bench.run(trials, trials=50, minutes=1e-6)
    assert len(trials.tried) == 1
    assert "no more trials" in bench.said[-1]


def test_a_killed_sweep_goes_on_where_it_was_cut_short(bench: Bench) -> None:
    def killed(config: Models) -> float:
        if config != Models():
            raise KeyboardInterrupt
        return config.net.rate

    first, second = Formula(killed), Formula(lambda config: config.net.rate)
    with pytest.raises(KeyboardInterrupt):
        bench.run(first)
    study = bench.run(second)
    assert second.tried[0] == first.tried[1]
    assert [run.info.status for run in bench.children()] == ["FINISHED", "KILLED", "FINISHED", "FINISHED"]
    assert len({trial.params["net.rate"] for trial in study.trials if trial.value}) == 3
    assert bench.parent().info.status == "FINISHED"


def test_what_a_killed_process_left_open_is_closed(bench: Bench) -> None:
    log = SweepLog(bench.tracker, _EXPERIMENT, bench.name, {})
    left_open = log.trial(0, {"net.rate": 0.1})
    left_open.__enter__()
    assert [run.info.status for run in bench.children()] == ["RUNNING"]
    bench.run(Formula(lambda config: config.net.rate), trials=1)
    assert [run.info.status for run in bench.children()] == ["KILLED", "FINISHED"]
    assert bench.parent().info.status == "FINISHED"


def test_a_sweep_that_is_done_tries_nothing_again_and_a_larger_budget_goes_on(bench: Bench) -> None:
    bench.run(Formula(lambda config: config.net.rate))
    again, more = Formula(lambda config: config.net.rate), Formula(lambda config: config.net.rate)
    bench.run(again)
    study = bench.run(more, trials=5)
    assert (len(again.tried), len(more.tried)) == (0, 2)
    assert len({trial.params["net.rate"] for trial in study.trials}) == 5


def test_a_poor_curve_ends_its_trial_only_where_nothing_else_is_searched(bench: Bench) -> None:
    def falling(trials: Formula) -> float:
        return 1.0 / len(trials.tried)

    trials = Formula(lambda _: falling(trials))
    study = bench.run(trials, {"net.rate": "0.1 to 1.0"}, trials=7)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 4 + ["PRUNED"] * 3
    last = bench.children()[-1]
    assert (last.info.status, last.data.tags["sweep.state"]) == ("KILLED", "stopped early")
    assert (
        len(bench.tracker.client.get_metric_history(last.info.run_id, "validation/gain/net/while_fitting"))
        < 4
    )


def test_where_more_is_searched_no_curve_ends_a_trial(bench: Bench) -> None:
    trials = Formula(lambda _: 1.0 / len(trials.tried))
    study = bench.run(trials, trials=6)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}


def test_plots_leave_the_style_of_others_alone(bench: Bench) -> None:
    import matplotlib

    matplotlib.use("agg")
    before = dict(matplotlib.rcParams)
    drawn = figures(bench.run(Formula(lambda config: config.net.rate)), "validation/gain")
    assert set(drawn) == {"parallel_coordinates.png", "history.png", "importance.png"}
    assert dict(matplotlib.rcParams) == before

"""A sweep at a glance: a table of its trials, parallel coordinates, importance of each hyper-parameter."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from training.sweep.study import ended, measured

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna import Study


def trials_table(study: "Study", metric: str) -> str:
    """All trials in Markdown, the best first, then those without a value."""
    names = list(study.best_trial.params)
    lines = ["| trial | " + " | ".join([*names, metric, "seconds", "state"]) + " |"]
    lines.append("|---" * (len(names) + 4) + "|")
    sign = -1 if study.direction.name == "MAXIMIZE" else 1
    for trial in sorted(
        ended(study), key=lambda t: (t.state.name != "COMPLETE", sign * (t.value or 0.0), t.number)
    ):
        cells = [_cell(trial.params.get(name, "")) for name in names]
        value = f"{trial.value:.5f}" if trial.state.name == "COMPLETE" else ""
        seconds = f"{trial.duration.total_seconds():.1f}" if trial.duration else ""
        state = trial.user_attrs.get("error", trial.state.name.lower())
        lines.append(f"| {trial.number} | " + " | ".join([*cells, value, seconds, state]) + " |")
    return "\n".join([*lines, ""])


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def figures(study: "Study", metric: str) -> "dict[str, Figure]":
    """Plots by file name. One measured trial has no plot; importance needs values that differ."""
    from optuna.visualization import matplotlib as plots

    found = [trial.value for trial in measured(study)]
    if len(found) < 2:
        return {}
    drawn = {
        "parallel_coordinates.png": _drawn(plots.plot_parallel_coordinate, study, target_name=metric),
        "history.png": _drawn(plots.plot_optimization_history, study, target_name=metric),
    }
    if len(set(found)) > 1:
        drawn["importance.png"] = _drawn(plots.plot_param_importances, study, target_name=metric)
    return drawn


def _drawn(plot: Callable[..., Any], study: "Study", **options: Any) -> "Figure":
    """Optuna draws with pyplot and in a style of its own: neither is to reach other figures of this process."""
    import matplotlib
    from matplotlib import pyplot
    from optuna.exceptions import ExperimentalWarning

    matplotlib.use("agg")
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        figure = plot(study, **options).figure
        pyplot.close(figure)
    figure.set_size_inches(10, 5)
    figure.subplots_adjust(bottom=0.25)
    return figure

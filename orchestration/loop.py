"""The whole loop or a sweep once, in this process, through the real Dagster job; ends with a table for a person."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, cast

from dagster import AssetCheckEvaluation, DagsterInstance

from orchestration.reaper import reap
from serving.pointers import KINDS, read_champions
from serving.settings import Settings
from training.bundle import Kind

_NEXT = "next: `tidegate up` (or `make up`) opens Dagster, MLflow and the API; `tidegate gate MODEL` shows every check"


@dataclass(frozen=True)
class LoopOutcome:
    """What one pass of the loop decided, and how it failed if it did."""

    rows: list[tuple[str, str, str, str]]
    """Model, decision, what was decided on, why."""
    failed: str = ""

    def table(self) -> str:
        """The rows as text, with the next command to type."""
        widths = [max(len(row[i]) for row in [_HEAD, *self.rows]) for i in range(3)]
        lines = []
        for row in [_HEAD, *self.rows]:
            head = "  ".join(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True))
            reasons = row[3].splitlines() or [""]
            lines.append(f"{head}  {reasons[0]}")
            lines += [" " * (sum(widths) + 6) + reason for reason in reasons[1:]]
        return "\n".join([*lines, "", _NEXT])


_LEARNT = "generator_preferences_gate"
_HEAD = ("model", "decision", "version", "why")


def run_loop(
    settings: Settings, progress: Callable[[str], None], run_config: dict[str, Any] | None = None
) -> LoopOutcome:
    """Run the job `full_loop` once and tell what was decided; see `run_job`."""
    return run_job(settings, "full_loop", KINDS, progress, run_config)


def run_job(
    settings: Settings,
    job: str,
    models: Sequence[Kind],
    progress: Callable[[str], None],
    run_config: dict[str, Any] | None = None,
) -> LoopOutcome:
    """Run a job that ends with the gates of `models`; `run_config` is what the Launchpad would take.

    Before it starts, runs whose process is gone are closed and a promotion that was cut short is completed from the
    ledger. Raises UserError for a user's mistake; `failed` names a failing step, with its own message, and an API that
    does not answer with the champions.
    """
    from orchestration.definitions import defs
    from orchestration.judge import reconcile_registry

    with DagsterInstance.get() as instance:
        for run_id in reap(instance):
            progress(f"closed run {run_id}: its process is gone")
        reconcile_registry(settings, progress)
        with _quiet(settings):
            result = defs.resolve_job_def(job).execute_in_process(
                instance=instance,
                raise_on_error=False,
                run_config={"loggers": {"console": {}}} | (run_config or {}),
            )
        failures = [_failure(event) for event in result.all_events if event.is_step_failure]
        blocked = [f"run {result.run_id} failed"] if not result.success and not failures else []
        failures += unserved(result.get_asset_check_evaluations())
        handed = {
            model: result.asset_value(f"{model}_gate")
            for model in models
            if _has_value(result, f"{model}_gate")
        }
        learnt = result.asset_value(_LEARNT) if _has_value(result, _LEARNT) else None
    rows = [_row(model, handed.get(model), settings) for model in models]
    if learnt is not None and learnt["fresh"]:
        rows.append(("generator (feedback)", *_row("generator", learnt, settings)[1:]))
    return LoopOutcome(rows, "; ".join(failures + blocked))


@contextmanager
def _quiet(settings: Settings) -> Iterator[None]:
    """What tools print to stdout (dbt, a line a model) goes to a file: the terminal shows what assets say."""
    path = settings.home / "logs" / "run.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as output, redirect_stdout(output):
        yield


def unserved(evaluations: Sequence[AssetCheckEvaluation]) -> list[str]:
    """How the API differs from the ledger, by the check that asked it; empty where it does not or was not asked."""
    return [
        f"{check.asset_key.path[-1]}: {'; '.join(cast(list[str], check.metadata['problems'].value))}"
        for check in evaluations
        if check.check_name == "answers_with_champions" and not check.passed
    ]


def _failure(event: object) -> str:
    data = event.step_failure_data  # type: ignore[attr-defined]
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    text = error.message.strip().splitlines()[0] if error is not None else "failed"
    return f"{event.step_key}: {text}"  # type: ignore[attr-defined]


def _has_value(result: object, asset: str) -> bool:
    events = result.get_asset_materialization_events()  # type: ignore[attr-defined]
    return any(event.asset_key.path[-1] == asset for event in events)


def _row(model: Kind, verdict: dict[str, Any] | None, settings: Settings) -> tuple[str, str, str, str]:
    if verdict is None:
        return (model, "none", "-", "the gate was not reached")
    known = read_champions(settings.home).get(model)
    champion = f"champion: version {known.version}" if known else "no champion"
    return (
        model,
        str(verdict["decision"] if verdict["fresh"] or verdict["decision"] == "skipped" else "nothing new"),
        str(verdict["version"] or "-"),
        "\n".join([*_told(verdict), champion]),
    )


def _told(verdict: dict[str, Any]) -> list[str]:
    """Of a promotion what it beats, of any other new decision all reasons; of an old decision that it stands."""
    if verdict["decision"] == "skipped":
        return list(verdict["reasons"])
    if not verdict["fresh"]:
        return [
            f"the same tables, configuration and code as before; decided on {verdict['decided_at'][:16]} UTC: "
            f"{verdict['decision']}"
        ]
    if verdict["decision"] != "promote":
        return list(verdict["reasons"])
    passed = [check for check in verdict["checks"] if check["outcome"] == "pass"]
    beaten = [check["reason"] for check in passed if check["point"] == 3]
    return [*beaten, f"{len(passed) - len(beaten)} more checks passed: `tidegate gate {verdict['model']}`"]

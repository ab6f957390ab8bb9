"""MLflow conventions: one parent run a training cycle, one child a candidate, the same names in every run.

Uses `MlflowClient` alone: no active-run global, so several cycles may be logged from one process.
"""

import importlib.metadata
import json
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any

from filelock import FileLock

from training.result import Candidate

EXPERIMENTS = ("recommender", "generator", "behaviour")
_BATCH = 1000  # MLflow refuses more metrics in one call.
_ROOT = Path(__file__).resolve().parents[1]


@cache
def code_digest() -> str:
    """Hex SHA-256 over the project's own Python, SQL and YAML: the code version where git cannot tell it."""
    digest = sha256()
    for package in ("training", "orchestration", "serving", "dbt_project"):
        for path in sorted((_ROOT / package).rglob("*")):
            if path.suffix in {".py", ".sql", ".yaml", ".yml"} and "target" not in path.parts:
                digest.update(path.relative_to(_ROOT).as_posix().encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def git_commit() -> str | None:
    """Commit of the checkout, with `+changes` where files differ from it; None outside a checkout or without git."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=_ROOT, capture_output=True, text=True, check=True, timeout=10
        )
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")


def environment() -> str:
    """Interpreter, machine and every installed distribution, a line each."""
    packages = sorted(
        {f"{dist.metadata['Name']}=={dist.version}" for dist in importlib.metadata.distributions()},
        key=str.lower,
    )
    return "\n".join([f"python {platform.python_version()} on {platform.platform()}", *packages, ""])


def prepare_store(tracking_uri: str, folder: Path) -> None:
    """Create the store and its experiments, once: parallel first clients race on MLflow's database migration.

    `folder` takes the embedded artifacts and the lock. Raises MlflowException when the store cannot be reached.
    """
    from mlflow import MlflowClient

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".prepare.lock"):
        client = MlflowClient(tracking_uri)
        for name in EXPERIMENTS:
            if client.get_experiment_by_name(name) is None:
                location = None
                if tracking_uri.startswith("sqlite:"):
                    location = (folder / "artifacts" / name).as_uri()
                # Without its kind, the UI opens an experiment as one of prompts and traces.
                kind = {"mlflow.experimentKind": "custom_model_development"}
                client.create_experiment(name, artifact_location=location, tags=kind)


class Tracker:
    """Writes training cycles into one MLflow store. `folder` is where an embedded store keeps its artifacts."""

    def __init__(self, tracking_uri: str, folder: Path) -> None:
        from mlflow import MlflowClient

        prepare_store(tracking_uri, folder)
        self.tracking_uri = tracking_uri
        self.client = MlflowClient(tracking_uri)

    def _experiment_id(self, experiment: str) -> str:
        return str(self.client.get_experiment_by_name(experiment).experiment_id)

    @contextmanager
    def cycle(self, experiment: str, name: str, tags: Mapping[str, str]) -> Iterator[str]:
        """A parent run for one training cycle; FAILED when the body raises. Yields its run id."""
        run_id = self.open_run(experiment, name, dict(tags) | {"tidegate.role": "cycle"})
        try:
            yield run_id
        except BaseException:
            self.client.set_terminated(run_id, "FAILED")
            raise
        self.client.set_terminated(run_id, "FINISHED")

    def open_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        """A new run, RUNNING until it is terminated, and its id."""
        run = self.client.create_run(self._experiment_id(experiment), run_name=name, tags=self._tags(tags))
        return str(run.info.run_id)

    def runs(self, experiment: str, tags: Mapping[str, str], status: str = "") -> list[str]:
        """Ids of the runs that bear all `tags` and have that status, newest first; deleted ones do not count."""
        terms = [f"tags.`{name}` = '{value}'" for name, value in tags.items()]
        terms += [f"attributes.status = '{status}'"] if status else []
        found = self.client.search_runs([self._experiment_id(experiment)], " and ".join(terms))
        return [str(run.info.run_id) for run in found]

    @staticmethod
    def _tags(tags: Mapping[str, str]) -> dict[str, str]:
        commit = git_commit()
        known = {"code.digest": code_digest(), "mlflow.source.name": "tidegate"}
        known |= {"mlflow.source.git.commit": commit} if commit else {}
        return known | dict(tags)

    def log_candidate(
        self,
        experiment: str,
        parent: str,
        candidate: Candidate,
        *,
        lineage: Mapping[str, Any],
        model_card: str,
        tags: Mapping[str, str],
    ) -> str:
        """Log one candidate as a child of `parent` and return its run id.

        Writes parameters, per-step curves, final metrics, lineage, environment, plots, texts, the model card and the
        bundle. Raises MlflowException when the store refuses; ValueError for a metric that is not finite.
        """
        run = self.client.create_run(
            self._experiment_id(experiment),
            # It is logged when all candidates are done; the UI's column of durations is to show what fitting took.
            start_time=int((time.time() - candidate.seconds) * 1000),
            run_name=candidate.name,
            tags=self._tags(tags)
            | {
                "mlflow.parentRunId": parent,
                "tidegate.role": "candidate",
                "tidegate.architecture": candidate.name,
                "bundle.digest": candidate.bundle.digest,
                "mlflow.note.content": model_card,
            },
        )
        run_id = str(run.info.run_id)
        try:
            self._log_numbers(run_id, candidate)
            self._log_files(run_id, candidate, lineage, model_card)
        except BaseException:
            self.client.set_terminated(run_id, "FAILED")
            raise
        self.client.set_terminated(run_id, "FINISHED")
        return run_id

    def _log_numbers(self, run_id: str, candidate: Candidate) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in candidate.metrics.items()]
        metrics.append(Metric("fit_seconds", candidate.seconds, now, 0))
        for entry in candidate.curves:
            step = int(entry["step"])
            metrics += [Metric(name, value, now, step) for name, value in entry.items() if name != "step"]
        bad = sorted({metric.key for metric in metrics if not isfinite(metric.value)})
        if bad:
            raise ValueError(f"metric {bad[0]} of {candidate.name} is not a finite number")
        params = [Param(name, str(value)[:6000]) for name, value in candidate.params.items()]
        for start in range(0, len(params), 100):
            self.client.log_batch(run_id, params=params[start : start + 100])
        for start in range(0, len(metrics), _BATCH):
            self.client.log_batch(run_id, metrics=metrics[start : start + _BATCH])

    def _log_files(
        self, run_id: str, candidate: Candidate, lineage: Mapping[str, Any], model_card: str
    ) -> None:
        self.client.log_text(run_id, model_card, "model_card.md")
        self.client.log_text(run_id, environment(), "environment.txt")
        self.client.log_text(
            run_id, json.dumps(dict(lineage), indent=2, ensure_ascii=False, default=str), "lineage.json"
        )
        for name, text in candidate.texts.items():
            self.client.log_text(run_id, text, name)
        for name, figure in candidate.plots.items():
            self.client.log_figure(run_id, figure, f"plots/{name}")
        self.client.log_artifacts(run_id, str(candidate.bundle.path), "bundle")

    def run_url(self, base_url: str, experiment: str, run_id: str) -> str:
        """Address of a run in the MLflow UI at `base_url`."""
        return f"{base_url}/#/experiments/{self._experiment_id(experiment)}/runs/{run_id}"

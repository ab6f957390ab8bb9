"""A run whose process was killed is closed; a run that works is left alone."""

import subprocess
import sys

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus

from orchestration.reaper import PROCESS_TAG, process_tag, reap


@dg.job
def nothing() -> None:
    """A job without ops."""


def _open_run(instance: DagsterInstance, tag: str | None) -> str:
    run = instance.create_run_for_job(nothing, tags={PROCESS_TAG: tag} if tag else {})
    instance.handle_run_event(
        run.run_id,
        dg.DagsterEvent(event_type_value="PIPELINE_START", job_name="nothing", message="started"),
    )
    assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.STARTED
    return run.run_id


def test_a_run_whose_process_is_gone_is_closed_as_failed() -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "from orchestration.reaper import process_tag; print(process_tag())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    with DagsterInstance.ephemeral() as instance:
        run_id = _open_run(instance, dead)
        assert reap(instance) == [run_id]
        assert instance.get_run_by_id(run_id).status == DagsterRunStatus.FAILURE


def test_a_run_that_works_is_left_alone() -> None:
    with DagsterInstance.ephemeral() as instance:
        run_id = _open_run(instance, process_tag())
        assert reap(instance) == []
        assert instance.get_run_by_id(run_id).status == DagsterRunStatus.STARTED


def test_a_pid_that_was_given_to_another_process_does_not_keep_the_run_open() -> None:
    host, pid, _ = process_tag().rsplit(":", 2)
    with DagsterInstance.ephemeral() as instance:
        run_id = _open_run(instance, f"{host}:{pid}:1")
        assert reap(instance) == [run_id]


def test_runs_of_other_hosts_and_unmarked_runs_are_not_ours_to_judge() -> None:
    with DagsterInstance.ephemeral() as instance:
        _open_run(instance, "elsewhere:1:1")
        _open_run(instance, None)
        assert reap(instance) == []

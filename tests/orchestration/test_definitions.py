"""The graph of assets, jobs, schedules and sensors: a change of it is a change of this file, for a reviewer to see."""

import dagster as dg
import pytest
from dagster import AssetKey

_ASSETS = {
    "landing": {"raw/events", "raw/posts", "raw/users", "raw/follows", "raw/feedback"},
    "recommender": {"recommender_candidates", "recommender_trials"},
    "generator": {"generator_candidates", "generator_trials"},
    "promotion": {"champion_drift", "recommender_gate", "generator_gate"},
    "serving": {"online_state", "served_champions"},
}
_MARTS = {
    "interactions",
    "posts",
    "users",
    "user_sequences",
    "corpus_documents",
    "document_reports",
    "user_days",
    "daily_activity",
}
_JOBS = (
    "ingest",
    "train_recommender",
    "train_generator",
    "recommender_sweep",
    "generator_sweep",
    "full_loop",
    "rollback",
)


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    from orchestration.definitions import defs

    return defs


def test_every_group_holds_its_assets(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    groups: dict[str, set[str]] = {}
    for key in graph.get_all_asset_keys():
        groups.setdefault(graph.get(key).group_name, set()).add(key.to_user_string())
    features = groups.pop("features")
    assert groups == _ASSETS
    assert {f"marts/{mart}" for mart in _MARTS} | {"feature_snapshot"} <= features


def test_the_lineage_leads_from_landing_to_serving(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    seen, waiting = set(), [AssetKey("served_champions")]
    while waiting:
        key = waiting.pop()
        seen.add(key)
        waiting += [parent for parent in graph.get(key).parent_keys if parent not in seen]
    assert {AssetKey(["raw", stream]) for stream in ("events", "posts", "users")} <= seen
    assert {
        AssetKey("recommender_candidates"),
        AssetKey("generator_gate"),
        AssetKey(["marts", "interactions"]),
    } <= seen


def test_every_asset_tells_its_owner_and_what_it_is(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners, key
        assert node.description, key


def test_jobs_schedules_and_sensors_are_these(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    names = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert names == {*_JOBS}
    assert {schedule.name for schedule in repository.schedule_defs} == {"ingest_hourly", "retrain_weekly"}
    assert {sensor.name for sensor in repository.sensor_defs} == {
        "new_files_landed",
        "drift_found",
        "feedback_volume",
        "reviewer_approval",
        "dead_run_reaper",
    }


def test_nothing_starts_by_itself_but_the_reaper(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    running = {s.name for s in repository.sensor_defs if s.default_status == dg.DefaultSensorStatus.RUNNING}
    running |= {
        s.name for s in repository.schedule_defs if s.default_status == dg.DefaultScheduleStatus.RUNNING
    }
    assert running == {"dead_run_reaper"}


def test_every_job_has_a_time_out_and_runs_in_one_process(defs: dg.Definitions) -> None:
    for name in _JOBS:
        job = defs.resolve_job_def(name)
        assert int(job.tags["dagster/max_runtime"]) > 0
        assert job.executor_def.name == "in_process"


def test_only_a_sweep_runs_trials_and_its_gate_waits_for_them(defs: dg.Definitions) -> None:
    for name in _JOBS:
        steps = {node.name for node in defs.resolve_job_def(name).graph.node_defs}
        trials = {step for step in steps if step.endswith("_trials")}
        assert trials == ({name.replace("_sweep", "_trials")} if name.endswith("_sweep") else set())
    graph = defs.resolve_asset_graph()
    assert AssetKey("recommender_trials") in graph.get(AssetKey("recommender_gate")).parent_keys


def test_each_point_of_the_gate_is_a_check_of_its_asset(defs: dg.Definitions) -> None:
    keys = defs.resolve_asset_graph().asset_check_keys
    for model in ("recommender", "generator"):
        points = {key.name[0] for key in keys if key.asset_key == AssetKey(f"{model}_gate")}
        assert points == {"1", "3", "4", "5", "6", "7", "8"}


def test_only_steps_that_may_run_twice_are_tried_again(defs: dg.Definitions) -> None:
    nodes = defs.resolve_job_def("full_loop").graph.node_defs
    retried = {node.name for node in nodes if node.retry_policy is not None}
    assert retried == {"landed", "feature_snapshot", "online_state", "served_champions"}

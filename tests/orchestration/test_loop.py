"""The whole loop on a small world. Tests stand in the order in which a user would do these things."""

import json
from datetime import datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner

from orchestration.status import read_status
from serving.pointers import read_state
from serving.settings import Settings
from tests.orchestration.conftest import LEARN, QUICK, Looped
from training.errors import UserError

MODELS = ("recommender", "generator")
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def client(looped: Looped) -> MlflowClient:
    return MlflowClient(looped.settings.tracking_uri)


def rows(looped: Looped) -> list[dict]:
    from orchestration.lake.ledger import decisions

    return decisions(looped.settings)


def test_both_models_are_decided_with_reasons_and_one_is_promoted(looped: Looped) -> None:
    assert not looped.outcome.failed
    decided = {row[0]: row for row in looped.outcome.rows}
    assert set(decided) == set(MODELS)
    assert {row[1] for row in decided.values()} <= {"promote", "hold"}
    assert "promote" in {row[1] for row in decided.values()}, looped.outcome.table()
    assert all(len(row[3]) > 20 for row in decided.values())
    assert "tidegate up" in looped.outcome.table()


def test_the_status_has_the_shape_that_programs_read(looped: Looped) -> None:
    status = json.loads(json.dumps(read_status(looped.settings)))
    assert set(status) == {"models", "lake"}
    assert set(status["lake"]) == {"snapshot", "events", "posts", "users"}
    assert status["lake"]["events"] > 10_000
    for model in MODELS:
        known = status["models"][model]
        assert {"champion", "previous", "last_decision"} == set(known)
        assert {"version", "decision", "reasons"} <= set(known["last_decision"])
        if known["champion"] is not None:
            assert {"version", "run_id", "promoted_at", "metrics"} <= set(known["champion"])
            datetime.fromisoformat(known["champion"]["promoted_at"])


def test_every_candidate_is_a_child_run_with_the_same_metric_names(
    looped: Looped, client: MlflowClient
) -> None:
    for model in MODELS:
        experiment = client.get_experiment_by_name(model)
        runs = client.search_runs([experiment.experiment_id])
        cycles = [run for run in runs if run.data.tags["tidegate.role"] == "cycle"]
        children = [run for run in runs if run.data.tags["tidegate.role"] == "candidate"]
        assert len(cycles) == 1
        assert {run.data.tags["mlflow.parentRunId"] for run in children} == {cycles[0].info.run_id}
        assert len(children) >= 3
        tested = [
            {name for name in run.data.metrics if name.startswith("test/") and "lang" not in name}
            for run in children
        ]
        assert all(names == tested[0] for names in tested)
        for run in children:
            files = {file.path for file in client.list_artifacts(run.info.run_id)}
            assert {"model_card.md", "environment.txt", "lineage.json"} <= files, files


def test_the_registry_agrees_with_the_ledger_and_loads(looped: Looped, client: MlflowClient) -> None:
    import mlflow.pyfunc

    mlflow.set_tracking_uri(looped.settings.tracking_uri)
    inputs = {"recommender": {"user_id": "nobody", "k": 3}, "generator": {"prompt": "今天", "max_tokens": 5}}
    for row in rows(looped):
        model, version = row["model"], row["version"]
        entry = client.get_model_version(model, version)
        assert entry.tags["gate.decision"] == row["decision"]
        assert {"lake.snapshot", "bundle.digest", "gate.reasons", "dagster.run_id"} <= set(entry.tags)
        aliases = client.get_registered_model(model).aliases
        assert str(aliases["candidate"]) == version
        assert (str(aliases.get("champion")) == version) == (row["decision"] == "promote")
        loaded = mlflow.pyfunc.load_model(f"models:/{model}@candidate")
        assert len(loaded.predict(pd.DataFrame([inputs[model]]))) == 1


def test_the_gates_report_and_the_drift_pages_are_on_the_run(looped: Looped, client: MlflowClient) -> None:
    for row in rows(looped):
        gate = {file.path for file in client.list_artifacts(row["run_id"], "gate")}
        assert gate == {"gate/report.html", "gate/report.json"}
        drift = {file.path for file in client.list_artifacts(row["run_id"], "drift")}
        assert drift == {"drift/candidate.html"}


def test_every_point_of_the_gate_was_judged(looped: Looped) -> None:
    for row in rows(looped):
        checks = row["evidence"]["decision"]["checks"]
        assert {check["point"] for check in checks} == {1, 2, 3, 4, 5, 6, 7, 8}
        assert row["evidence"]["evidence"]["failures"] == []


def test_the_api_answers_with_the_champions(looped: Looped) -> None:
    from orchestration.serve_check import check_serving
    from serving.pointers import read_champions

    outcome = check_serving(looped.settings)
    assert outcome.problems == []
    assert outcome.versions == {
        name: known.version for name, known in read_champions(looped.settings.home).items()
    }


def test_published_posts_carry_the_terms_of_their_texts_and_no_text(looped: Looped) -> None:
    state = read_state(looped.settings.home)
    assert state is not None
    posts = pq.read_table(state.folder / "posts.parquet")
    assert "text" not in posts.column_names
    assert all(posts["terms"].to_pylist())


def test_a_second_run_with_nothing_new_decides_nothing_and_says_so(looped: Looped) -> None:
    before = len(rows(looped))
    outcome = looped.again()
    assert not outcome.failed
    assert [row[1] for row in outcome.rows] == ["nothing new", "nothing new"]
    assert all("the same tables, configuration and code" in row[3] for row in outcome.rows)
    assert len(rows(looped)) == before


def test_the_commands_say_what_is_there_in_one_line_each(looped: Looped) -> None:
    from orchestration.cli import app

    run = CliRunner()
    found = json.loads(run.invoke(app, ["gate", "recommender", "--json"]).stdout)
    assert {"decision", "version", "reasons", "checks"} <= set(found)
    assert found["fresh"] is False
    assert "recommender: version" in run.invoke(app, ["status"]).stdout
    assert json.loads(run.invoke(app, ["status", "--json"]).stdout)["lake"]["events"] > 10_000


def test_a_first_champion_cannot_be_rolled_back(looped: Looped) -> None:
    from orchestration.judge import rollback

    promoted = next(row["model"] for row in rows(looped) if row["decision"] == "promote")
    with pytest.raises(UserError, match="no previous champion to roll back to"):
        rollback(looped.settings, promoted, "ada", "a test")


def test_a_reviewers_tag_on_a_version_is_answered_on_it(looped: Looped, client: MlflowClient) -> None:
    from orchestration.judge import act_on_reviews

    promoted = next(row for row in rows(looped) if row["decision"] == "promote")
    model, version = promoted["model"], promoted["version"]
    client.set_model_version_tag(model, version, "gate.reject", "ada: I do not like it")
    (said,) = act_on_reviews(looped.settings)
    assert "is the champion" in said
    tags = client.get_model_version(model, version).tags
    assert tags["gate.answered"] == said
    assert "gate.reject" not in tags
    assert act_on_reviews(looped.settings) == []


def test_ratings_turn_into_a_judged_candidate_that_writes_nothing_worse(
    looped: Looped, client: MlflowClient
) -> None:
    """Journals of the API to marts to a training from the champion to the gate, asked for by the sensor."""
    from orchestration.definitions import defs
    from orchestration.defs.promotion.sensors import feedback_volume
    from orchestration.judge import judge_cycle
    from orchestration.lake.connection import read_table
    from orchestration.lake.features import build_features
    from orchestration.lake.ingest import ingest_incoming
    from serving.pointers import read_champions
    from tests.orchestration.readers import leave_journals, truths
    from training.bundle import open_bundle
    from training.generator.export import read_model
    from training.generator.preference.origin import origin_of

    settings = looped.settings
    champion = open_bundle(read_champions(settings.home)["generator"].bundle, "generator")
    before = read_model(champion)
    count = leave_journals(settings, before, 200, 4)
    ingest_incoming(settings, looped.said.append)
    build_features(settings, looped.said.append)
    pairs = read_table(settings, "marts.preference_pairs")
    assert pairs.num_rows > 100
    assert {"edit", "rating"} == set(pairs["kind"].to_pylist())

    with dg.DagsterInstance.get() as instance:
        context = dg.build_sensor_context(instance=instance)
        (asked,) = feedback_volume(context)
        assert isinstance(asked, dg.RunRequest)
        assert int(asked.tags["tidegate/reason"].split()[0]) >= count
        again = dg.build_sensor_context(instance=instance, cursor=context.cursor)
        assert all(isinstance(found, dg.SkipReason) for found in feedback_volume(again))
        job = defs.resolve_job_def("train_generator_preferences")
        assert job.execute_in_process(instance=instance, run_config=LEARN).success
        first = dg.build_sensor_context(instance=instance)
        (told,) = feedback_volume(first)
        assert "0 new feedback rows" in str(told.skip_message)

    newest = [row for row in rows(looped) if row["model"] == "generator"][-1]
    assert newest["decision"] in {"promote", "hold"}, newest["reasons"]
    evidence = newest["evidence"]["evidence"]
    assert evidence["failures"] == []
    assert evidence["candidate"]["learnt_from"] == "feedback"
    assert evidence["preferences"]["other_digest"] == champion.digest
    assert evidence["preferences"]["gain"] > 0
    promoted = read_champions(settings.home)["generator"]
    assert (promoted.version == newest["version"]) == (newest["decision"] == "promote")
    told_status = read_status(settings)["models"]["generator"]["last_decision"]
    assert told_status["version"] == newest["version"]
    assert not judge_cycle(settings, "generator", looped.said.append).fresh
    run = client.get_run(newest["run_id"])
    assert {"feedback/win_rate", "validation/reward_margin", "validation/reward_accuracy"} <= set(
        run.data.metrics
    )
    files = {file.path for file in client.list_artifacts(newest["run_id"])}
    assert {"model_card.md", "lineage.json", "samples.md", "plots", "gate"} <= files

    candidate = open_bundle(Path(latest_bundle(settings)), "generator")
    origin = origin_of(candidate)
    assert origin is not None and origin.champion == champion.digest
    gains = truths(read_model(candidate), 60, 3) - truths(before, 60, 3)
    assert gains.mean() + 3.0 * gains.std() / len(gains) ** 0.5 > 0, gains.mean()


def latest_bundle(settings: Settings) -> str:
    from orchestration.cycle import latest_cycle

    cycle = latest_cycle(settings, "generator", "feedback")
    assert cycle is not None
    return cycle.bundles[cycle.best]


def test_a_world_that_changed_suddenly_is_found_and_answered_by_a_training(looped: Looped) -> None:
    """The sensor asks for a training by the columns that moved; the training ends with a decision on a new version."""
    from orchestration.definitions import defs
    from orchestration.defs.promotion.sensors import drift_found
    from orchestration.world import simulate

    simulate(looped.settings, {"days": 14, "drift": "sudden", "drift_day": 4}, looped.said.append)
    with dg.DagsterInstance.get() as instance:
        assert defs.resolve_job_def("ingest").execute_in_process(instance=instance).success
        context = dg.build_sensor_context(instance=instance)
        asked = [request for request in drift_found(context) if isinstance(request, dg.RunRequest)]
        promoted = {row["model"] for row in rows(looped) if row["decision"] == "promote"}
        assert {request.job_name for request in asked} == {f"train_{model}" for model in promoted}
        assert all("drift in" in request.tags["tidegate/reason"] for request in asked)
        again = dg.build_sensor_context(instance=instance, cursor=context.cursor)
        assert not [request for request in drift_found(again) if isinstance(request, dg.RunRequest)]
        model = sorted(promoted)[-1]
        config = {"ops": {f"{model}_candidates": QUICK["ops"][f"{model}_candidates"]}}
        trained = defs.resolve_job_def(f"train_{model}").execute_in_process(
            instance=instance, run_config=config
        )
        assert trained.success
    newest = [row for row in rows(looped) if row["model"] == model][-1]
    assert newest["version"] == "2"
    evidence = newest["evidence"]["evidence"]
    assert evidence["versus_champion"]["other_digest"] == evidence["champion"]["digest"]
    assert evidence["disagreement"]["value"] is not None
    assert newest["evidence"]["decision"]["retrain"]


def test_a_sweep_hands_its_best_to_the_gate_and_registers_no_trial(
    looped: Looped, client: MlflowClient
) -> None:
    from orchestration.loop import run_job

    before = len(client.search_model_versions("name = 'recommender'"))
    quick = QUICK["ops"]["recommender_candidates"]["config"]
    # Another blend than before, or its bundle would be one that was decided on already.
    base = {name: {"enabled": False} for name in ("sasrec", "sequential")}
    base["blend"] = quick["blend"] | {"max_groups": 500}
    config = {"trials": 2, "space": {"slist.ridge": "10, 30"}, "base": base}
    run_config = {"ops": {"recommender_trials": {"config": config}}}
    outcome = run_job(looped.settings, "recommender_sweep", ("recommender",), looped.said.append, run_config)
    assert not outcome.failed
    experiment = client.get_experiment_by_name("recommender").experiment_id
    (sweep,) = client.search_runs([experiment], "tags.`tidegate.role` = 'sweep'")
    trials = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{sweep.info.run_id}'")
    assert {run.data.params["slist.ridge"] for run in trials} == {"10.0", "30.0"}
    assert len({frozenset(run.data.metrics) for run in trials}) == 1
    assert not any(name.startswith("test/") for run in trials for name in run.data.metrics)
    files = {file.path for file in client.list_artifacts(sweep.info.run_id)}
    assert {"trials.md", "best.json", "config.json"} <= files
    assert len(client.search_model_versions("name = 'recommender'")) == before + 1
    decided = rows(looped)[-1]
    assert client.get_run(decided["run_id"]).data.tags["sweep.run"] == sweep.info.run_id
    assert decided["decision"] in {"promote", "hold", "review"}

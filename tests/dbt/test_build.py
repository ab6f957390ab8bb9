"""The project as dbt itself builds and tests it."""

import json
from pathlib import Path

from orchestration.contracts import EVENT_TABLES, FEEDBACK_TABLES, TRAINING_TABLES, check_training_tables
from orchestration.lake.connection import current_snapshot, read_table
from orchestration.lake.features import FEATURE_TABLES, build_features, feature_hashes
from orchestration.lake.ingest import ingest
from orchestration.lake.quality_store import latest_results
from orchestration.promotion.policy import load_policy
from serving.settings import Settings
from tests.dbt.project import run_dbt
from tests.training.generator.world import texts


def test_every_unit_test_of_the_models_passes(built_lake: Settings) -> None:
    done = run_dbt(built_lake, "test", "--select", "test_type:unit")
    assert done.returncode == 0, done.stdout
    results = json.loads((built_lake.dbt_dir / "target" / "run_results.json").read_text())["results"]
    assert len(results) > 10


def test_the_gate_finds_every_suite_that_its_policies_demand_on_the_snapshot_that_training_reads(
    built_lake: Settings,
) -> None:
    snapshot = current_snapshot(built_lake)
    check_training_tables(built_lake, snapshot)
    found = [row for row in latest_results(built_lake, snapshot) if row["snapshot"] == snapshot]
    suites = {row["suite"] for row in found}
    rated = [
        table
        for table in FEEDBACK_TABLES
        if read_table(built_lake, f"marts.{table}", snapshot=snapshot).num_rows
    ]
    assert suites == {"dbt", *(f"training.{table}" for table in (*TRAINING_TABLES, *rated))}
    for model in ("recommender", "generator"):
        policy = load_policy(model)
        assert set(policy.contracts.required_suites) <= suites
        asked = set(policy.preferences.required_suites) if policy.preferences else set()
        assert asked <= {f"training.{table}" for table in FEEDBACK_TABLES}
    assert [row for row in found if not row["success"]] == []
    rules = {row["expectation"] for row in found if row["suite"] == "dbt"}
    assert {"interactions_add_up", "users_and_days_add_up", "posts_and_documents_add_up"} <= rules
    assert "feedback_adds_up" in rules


def test_a_build_with_nothing_new_and_one_from_scratch_change_no_feature(built_lake: Settings) -> None:
    before = feature_hashes(built_lake)
    assert set(before) == set(FEATURE_TABLES)
    for full_refresh in (False, True):
        build_features(built_lake, lambda _: None, full_refresh=full_refresh)
        assert feature_hashes(built_lake) == before


def test_a_lake_of_texts_alone_breaks_no_contract_and_what_needs_events_lacks_its_suites(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path / "home", lake_catalog="", lake_data_path="")
    files = tmp_path / "texts"
    files.mkdir()
    rows = [
        {"post_id": f"p{n}", "created_at": f"2026-03-0{1 + n % 9}T10:00:00Z", "text": text}
        for n, text in enumerate(texts(60))
    ]
    (files / "posts.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    ingest(settings, files, "canonical", lambda _: None)
    build_features(settings, lambda _: None)
    results = check_training_tables(settings, current_snapshot(settings))
    assert [result for result in results if result.critical and not result.success] == []
    suites = {result.suite for result in results}
    assert set(load_policy("generator").contracts.required_suites) <= suites
    missing = set(load_policy("recommender").contracts.required_suites) - suites
    assert missing == {f"training.{table}" for table in EVENT_TABLES}

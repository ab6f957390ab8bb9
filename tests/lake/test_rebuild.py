from pathlib import Path

import duckdb
import pytest

from orchestration.lake.catalog import catalog
from orchestration.lake.connection import current_snapshot, read_table, write
from orchestration.lake.ingest import ingest
from orchestration.lake.ledger import append_decision, decisions
from orchestration.lake.quality_store import latest_results, record_results
from orchestration.lake.rebuild import rebuild
from orchestration.lake.verify import verify_landing
from orchestration.quality.expectations import CheckResult
from serving.settings import Settings
from tests.lake.fakes import event, make_settings, post, silent, write_rows
from tests.lake.features import build_features, feature_hashes
from training.errors import UserError


@pytest.fixture
def filled(settings: Settings, tmp_path: Path) -> Settings:
    ingest(settings, write_rows(tmp_path / "a.jsonl", [event(1), event(2), post(1)]), "fake", silent)
    ingest(settings, write_rows(tmp_path / "b.jsonl", [event(2), event(3), post(2)]), "fake", silent)
    build_features(settings)
    return settings


def test_a_rebuilt_lake_has_the_same_features_rows_and_decisions(filled: Settings) -> None:
    append_decision(filled, {"model": "recommender", "action": "promote", "reasons": ["better"]})
    snapshot = current_snapshot(filled)
    record_results(filled, [CheckResult("training.posts", "e", "c", True, True, 0.0, "")], snapshot=snapshot)
    before = feature_hashes(filled)
    raw = read_table(filled, "raw.events").sort_by("event_id")
    report = rebuild(filled, build_features, silent, hashes=feature_hashes)
    assert report.line() == (
        "lake rebuilt from 4 landed batches: 5 rows; 2 feature tables equal by content hash"
    )
    assert feature_hashes(filled) == before
    again = read_table(filled, "raw.events").sort_by("event_id")
    assert again.drop_columns(["_load_seq"]).equals(raw.drop_columns(["_load_seq"]))
    assert [row["reasons"] for row in decisions(filled)] == [["better"]]
    assert [row["suite"] for row in latest_results(filled, snapshot) if row["suite"] == "training.posts"]
    assert verify_landing(filled) == []


def test_a_snapshot_number_names_the_same_data_after_a_rebuild(filled: Settings, tmp_path: Path) -> None:
    old = current_snapshot(filled)
    rebuild(filled, build_features, silent, hashes=feature_hashes)
    assert current_snapshot(filled) > old
    ingest(filled, write_rows(tmp_path / "c.jsonl", [event(4)]), "fake", silent)
    rebuild(filled, build_features, silent, hashes=feature_hashes)
    assert read_table(filled, "raw.events", snapshot=old).num_rows == 3
    assert read_table(filled, "raw.events").num_rows == 4
    with pytest.raises(UserError, match="no snapshot 999999"):
        read_table(filled, "raw.events", snapshot=999_999)


def test_a_difference_keeps_the_old_lake_and_names_the_table(filled: Settings) -> None:
    before, snapshot = feature_hashes(filled), current_snapshot(filled)

    def tampering(settings: Settings) -> None:
        build_features(settings)
        if settings.home != filled.home:
            write(
                settings, lambda c: c.execute("delete from lake.marts.posts where post_id = 'p1'"), "tamper"
            )

    with pytest.raises(UserError, match=r"differs from the old one in marts\.posts; the old lake is kept"):
        rebuild(filled, tampering, silent, hashes=feature_hashes)
    assert feature_hashes(filled) == before
    assert current_snapshot(filled) >= snapshot
    assert not (filled.lake_dir / "rebuild").exists()


def test_rows_that_landed_and_were_not_loaded_are_no_difference(filled: Settings, tmp_path: Path) -> None:
    def old(snapshot: int) -> Settings:
        return filled

    import orchestration.lake.ingest as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_landed", lambda *_: (_ for _ in ()).throw(UserError("killed")))
        with pytest.raises(UserError, match="killed"):
            ingest(filled, write_rows(tmp_path / "c.jsonl", [event(9)]), "fake", silent)
    report = rebuild(filled, build_features, silent, hashes=feature_hashes)
    assert report.not_compared == "" and report.rows["events"] == 4


def test_a_damaged_landing_file_stops_the_rebuild_before_anything_is_made(filled: Settings) -> None:
    file = next((filled.landing_dir / "streams" / "events").glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(UserError, match=f"{file.name} is damaged: it is no whole Parquet file"):
        rebuild(filled, build_features, silent, hashes=feature_hashes)


@pytest.mark.parametrize("damage", ["garbage", "truncated", "missing"])
def test_a_lost_catalog_is_told_clearly_and_a_rebuild_brings_everything_back(
    damage: str, filled: Settings
) -> None:
    append_decision(filled, {"model": "generator", "action": "hold"})
    before, old = feature_hashes(filled), current_snapshot(filled)
    file = catalog(filled).file.resolve()
    for log in (file.with_name("catalog.sqlite-wal"), file.with_name("catalog.sqlite-shm")):
        log.unlink(missing_ok=True)
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"garbage" * 1000 if damage == "garbage" else file.read_bytes()[:5000])
        with pytest.raises(UserError, match="catalog"):
            current_snapshot(filled)
    report = rebuild(filled, build_features, silent, hashes=feature_hashes)
    assert report.not_compared
    assert feature_hashes(filled) == before
    assert [row["model"] for row in decisions(filled)] == ["generator"]
    assert current_snapshot(filled) > old


def test_a_lost_data_file_is_no_obstacle_to_a_rebuild(filled: Settings) -> None:
    before = feature_hashes(filled)
    for file in (filled.lake_dir / "generations" / "1" / "data" / "raw").rglob("*.parquet"):
        file.unlink()
    with pytest.raises((UserError, duckdb.Error)):
        read_table(filled, "raw.events")
    report = rebuild(filled, build_features, silent, hashes=feature_hashes)
    assert "the old lake cannot be read" in report.not_compared
    assert feature_hashes(filled) == before


def test_a_lake_with_its_data_elsewhere_is_rebuilt_there(settings: Settings, tmp_path: Path) -> None:
    elsewhere = make_settings(settings.home, lake_data_path=str(tmp_path / "big"))
    ingest(elsewhere, write_rows(tmp_path / "a.jsonl", [event(1), post(1)]), "fake", silent)
    build_features(elsewhere)
    rebuild(elsewhere, build_features, silent, hashes=feature_hashes)
    assert read_table(elsewhere, "raw.events").num_rows == 1
    assert [path.name for path in (tmp_path / "big").glob("rebuilt-*")]
    with pytest.raises(UserError, match="TIDEGATE_LAKE_DATA_PATH is /other"):
        read_table(make_settings(settings.home, lake_data_path="/other"), "raw.events")

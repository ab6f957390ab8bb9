import threading
from datetime import UTC, datetime

import pytest

from orchestration.lake.connection import connect, write
from orchestration.lake.ledger import (
    LedgerMovedError,
    append_decision,
    decisions,
    keep_decisions,
    restore_decisions,
)
from serving.settings import Settings
from tests.lake.fakes import make_settings
from training.errors import UserError

ROW = {
    "model": "recommender",
    "version": "3",
    "run_id": "abc",
    "decision": "promote",
    "action": "promote",
    "champion_before": "2",
    "champion_after": "3",
    "reasons": ["beats the champion", "besser 更好"],
    "policy_digest": "d1",
    "evidence": {"difference": {"low": 0.01}},
    "actor": "gate",
}


def test_decisions_come_back_as_they_were_appended_oldest_first(settings: Settings) -> None:
    assert decisions(settings) == []
    assert append_decision(settings, ROW) == 1
    when = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    assert append_decision(settings, {"model": "generator", "action": "hold", "decided_at": when}) == 2
    first, second = decisions(settings)
    assert {name: first[name] for name in ROW} == ROW
    assert (first["seq"], first["why"]) == (1, None)
    assert second["decided_at"] == when
    assert [row["seq"] for row in decisions(settings, "recommender")] == [1]


def test_of_two_decisions_on_the_same_ground_one_is_appended(settings: Settings) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(2)

    def decide(name: str) -> None:
        barrier.wait()
        try:
            append_decision(settings, ROW | {"actor": name}, expected_last=0)
            outcomes.append("won")
        except LedgerMovedError:
            outcomes.append("lost")

    threads = [threading.Thread(target=decide, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost", "won"]
    assert len(decisions(settings)) == 1


@pytest.mark.parametrize("wrong", [{"action": "force"}, {"action": "hold", "reason": "typo"}, {}])
def test_a_row_that_is_no_decision_is_refused(wrong: dict[str, str], settings: Settings) -> None:
    with pytest.raises(ValueError, match="no ledger row"):
        append_decision(settings, wrong)


def test_decisions_survive_the_lake_as_files_and_are_restored_into_an_empty_one(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    append_decision(settings, ROW)
    append_decision(settings, ROW | {"action": "rollback", "why": "slow"})
    known = decisions(settings)
    fresh = make_settings(tmp_path_factory.mktemp("fresh"))
    fresh.home.mkdir(exist_ok=True)
    fresh.landing_dir.symlink_to(settings.landing_dir)
    assert restore_decisions(fresh) == 2
    assert decisions(fresh) == known
    with pytest.raises(UserError, match="not empty"):
        restore_decisions(fresh)


def test_a_decision_whose_file_was_not_written_gets_it_with_the_next(settings: Settings) -> None:
    append_decision(settings, ROW)
    kept = settings.landing_dir / "decisions"
    (kept / "00000001.json").unlink()
    keep_decisions(settings)
    assert [path.name for path in kept.iterdir()] == ["00000001.json"]


def test_a_ledger_row_is_kept_in_the_catalog_and_makes_no_data_file(settings: Settings) -> None:
    for _ in range(3):
        append_decision(settings, ROW)
    assert not list((settings.lake_dir / "generations").rglob("gate_ledger/*.parquet"))
    with connect(settings, read_only=True) as reader:
        assert reader.execute("select count(*) from lake.ops.gate_ledger").fetchall() == [(3,)]


def test_a_column_that_came_later_is_added_to_an_older_lake(settings: Settings) -> None:
    append_decision(settings, ROW)
    write(settings, lambda c: c.execute("alter table lake.ops.gate_ledger drop column why"), "older")
    append_decision(settings, ROW | {"why": "because"})
    assert [row["why"] for row in decisions(settings)] == [None, "because"]

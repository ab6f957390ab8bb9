from pathlib import Path

import pyarrow.parquet as pq
import pytest

from orchestration.lake.connection import write
from orchestration.lake.ingest import ingest, load_landed
from orchestration.lake.landing import landed_batches, manifests_dir, verify_landing
from serving.settings import Settings
from tests.lake.fakes import event, silent, write_rows
from training.errors import UserError


@pytest.fixture
def filled(settings: Settings, tmp_path: Path) -> Settings:
    rows = [event(number) for number in range(40)]
    rows[5]["action"] = "dance"
    ingest(settings, write_rows(tmp_path / "a.jsonl", rows), "fake", silent)
    return settings


def _file(settings: Settings, kind: str = "streams") -> Path:
    return next((settings.landing_dir / kind / "events").glob("*.parquet"))


def test_an_untouched_landing_zone_has_no_differences(filled: Settings) -> None:
    assert verify_landing(filled) == []


def test_without_a_landing_zone_there_is_nothing_to_tell(settings: Settings) -> None:
    assert verify_landing(settings) == []


@pytest.mark.parametrize("kind", ["streams", "quarantine"])
def test_a_torn_file_is_named(kind: str, filled: Settings) -> None:
    file = _file(filled, kind)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert verify_landing(filled) == [f"{file} is damaged: it is no whole Parquet file"]


def test_a_file_with_one_changed_byte_is_named(filled: Settings) -> None:
    file = _file(filled)
    content = bytearray(file.read_bytes())
    content[10] ^= 1
    file.write_bytes(content)
    assert verify_landing(filled) == [f"{file} is damaged: its content is not what its manifest says"]


def test_a_file_with_fewer_rows_is_named_with_their_number(filled: Settings) -> None:
    file = _file(filled)
    pq.write_table(pq.read_table(file).slice(0, 3), file)
    assert verify_landing(filled) == [f"{file} is damaged: it holds 3 rows, its manifest says 39"]


def test_a_missing_file_is_named(filled: Settings) -> None:
    file = _file(filled)
    file.unlink()
    assert verify_landing(filled) == [f"{file} is missing"]


def test_a_torn_manifest_is_named(filled: Settings) -> None:
    path = next(manifests_dir(filled).glob("*.json"))
    path.write_text(path.read_text()[:50])
    (text,) = verify_landing(filled)
    assert text.startswith(f"{path}: the manifest cannot be read")


def test_a_lost_manifest_of_a_loaded_batch_is_named_and_its_file_is_not_touched(
    filled: Settings, tmp_path: Path
) -> None:
    path = next(manifests_dir(filled).glob("*.json"))
    path.unlink()
    (text,) = verify_landing(filled)
    assert text == f"the manifest of batch {path.stem} is missing; a rebuilt lake would lack its 39 rows"
    ingest(filled, write_rows(tmp_path / "b.jsonl", [event(99)]), "fake", silent)
    assert path.stem in {file.stem for file in (filled.landing_dir / "streams" / "events").iterdir()}


def test_rows_that_vanished_from_the_lake_are_counted(filled: Settings) -> None:
    write(filled, lambda c: c.execute("delete from lake.raw.events where event_id = 'e1'"), "tamper")
    (batch,) = landed_batches(filled)
    assert verify_landing(filled) == [f"raw.events holds 38 rows of batch {batch}, the ledger says 39"]


def test_a_damaged_file_is_not_loaded_and_named(filled: Settings, tmp_path: Path) -> None:
    import orchestration.lake.ingest as module

    file = write_rows(tmp_path / "b.jsonl", [event(99)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_landed", lambda *_: (_ for _ in ()).throw(UserError("killed")))
        with pytest.raises(UserError, match="killed"):
            ingest(filled, file, "fake", silent)
    landed = max(
        (filled.landing_dir / "streams" / "events").glob("*.parquet"), key=lambda p: p.stat().st_mtime_ns
    )
    landed.write_bytes(b"PAR1")
    with pytest.raises(UserError, match=rf"{landed.name} is damaged.*ingest .*b\.jsonl again"):
        load_landed(filled, silent)

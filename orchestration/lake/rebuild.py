"""`tidegate lake rebuild`: a new lake from the landing zone, its features proved equal to the old one's, then adopted.

The old lake stays current until the new one is complete and compared, and is kept afterwards for its snapshots. Killed
at any point, one of the two is current and whole.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

from orchestration.lake.catalog import catalog
from orchestration.lake.connection import current_snapshot, lake_exists, write_lock
from orchestration.lake.generations import adopt, drop_staged, ensure_lake, generation_number
from orchestration.lake.landing import damage, landed_batches, read_manifest
from orchestration.lake.ledger import keep_decisions, restore_decisions
from orchestration.lake.load import load_landed
from orchestration.lake.locks import exclusive
from orchestration.lake.quality_store import carry_results
from orchestration.lake.status import raw_counts
from serving.settings import Settings
from training.errors import UserError
from training.result import Progress

Build = Callable[[Settings], None]
Hashes = Callable[[Settings], dict[str, str]]
# Where the old catalog cannot tell how far its snapshots went, the new ones begin beyond any it can have had.
_SNAPSHOTS_A_GENERATION = 1_000_000


@dataclass(frozen=True)
class RebuildReport:
    """What the new lake holds, and how it was proved."""

    batches: int
    rows: dict[str, int]
    tables: dict[str, str]
    """Content hash of every feature table."""
    not_compared: str = ""
    """Why there was nothing to compare with; empty when every table was proved equal."""

    def line(self) -> str:
        """The whole in one line."""
        rows = sum(self.rows.values())
        proof = (
            f"not compared: {self.not_compared}"
            if self.not_compared
            else f"{len(self.tables)} feature tables equal by content hash"
        )
        return f"lake rebuilt from {self.batches:,} landed batches: {rows:,} rows; {proof}"


def rebuild(
    settings: Settings, build_features: Build, progress: Progress, *, hashes: Hashes | None = None
) -> RebuildReport:
    """Make the lake anew from the landing zone and put it in the place of the old one.

    `build_features` builds the feature tables of the lake that the settings it is given name; `hashes` tells their
    content (by default every feature table's). The old lake is first brought up to date with the landing zone, so that
    both are built from the same batches. Raises UserError, and keeps the old lake, when a landing file is damaged or a
    feature table differs; it names the file or the tables.
    """
    read_hashes = hashes or _feature_hashes
    settings.landing_dir.mkdir(parents=True, exist_ok=True)
    with exclusive(settings.landing_dir / ".ingest.lock", "ingesting"), write_lock(settings):
        names = sorted(landed_batches(settings))
        for name in names:
            wrong = damage(settings, read_manifest(settings, name))
            if wrong:
                raise UserError(f"the lake cannot be rebuilt: {'; '.join(wrong)}")
        old, first, reason = _old_features(settings, build_features, read_hashes, progress)
        staged = _staged(settings)
        drop_staged(settings, staged)
        try:
            progress(f"building a new lake from {len(names):,} landed batches")
            staged.home.mkdir(parents=True)
            staged.landing_dir.symlink_to(settings.landing_dir)
            ensure_lake(staged, first_snapshot=first)
            load_landed(staged, progress)
            restore_decisions(staged)
            if old is not None:
                carry_results(settings, staged)
            build_features(staged)
            new = read_hashes(staged)
            if old is not None:
                _demand_equal(old, new)
            rows = raw_counts(staged)
            adopt(settings, staged)
        finally:
            drop_staged(settings, staged)
    return RebuildReport(len(names), rows, new, reason)


def _feature_hashes(settings: Settings) -> dict[str, str]:
    from orchestration.lake.features import feature_hashes

    return feature_hashes(settings)


def _old_features(
    settings: Settings, build_features: Build, hashes: Hashes, progress: Progress
) -> tuple[dict[str, str] | None, int, str]:
    """Hashes of the old lake's features, the first snapshot of the new lake, and why there are no hashes if so."""
    beyond = (generation_number(settings) + 1) * _SNAPSHOTS_A_GENERATION
    try:
        if not lake_exists(settings):
            return None, beyond, "there was no lake"
        current_snapshot(settings)
        keep_decisions(settings)
    except (UserError, duckdb.Error) as error:
        return _unreadable(error, beyond, progress)
    progress("bringing the old lake up to date, to compare with")
    try:
        load_landed(settings, progress)
        build_features(settings)
        found = hashes(settings)
    except (UserError, duckdb.Error) as error:
        return _unreadable(error, current_snapshot(settings) + 1, progress)
    return found, current_snapshot(settings) + 1, ""


def _unreadable(error: Exception, first: int, progress: Progress) -> tuple[None, int, str]:
    reason = f"the old lake cannot be read ({str(error).splitlines()[0]})"
    progress(f"{reason}; the new one will have nothing to be compared with")
    return None, first, reason


def _staged(settings: Settings) -> Settings:
    """Settings under which the new lake is built: a home of its own inside the lake's folder."""
    home = settings.lake_dir / "rebuild"
    where = catalog(settings)
    data_path = settings.lake_data_path
    stamp = f"rebuilt-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    if data_path or not where.is_sqlite:
        data_path = f"{data_path.rstrip('/') or settings.lake_dir / 'data'}/{stamp}/"
    address = "" if where.is_sqlite else f"postgres:{where.dsn} schema={where.schema}_rebuild"
    return settings.model_copy(update={"home": home, "lake_catalog": address, "lake_data_path": data_path})


def _demand_equal(old: dict[str, str], new: dict[str, str]) -> None:
    differing = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    if differing:
        raise UserError(
            f"the rebuilt lake differs from the old one in {', '.join(differing)}; the old lake is kept unchanged"
        )

"""From the landing zone to the lake's raw tables: every landed batch exactly once, every row once.

Rows, ledger entry and contract results of a batch are one transaction, so a batch is in the lake with all of it or
not at all, and the ledger alone says which batches are still to be loaded. A row that is there already, from whatever
file, is not added again: an event is known by its id, any other row by the hash of its content.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from orchestration.lake.catalog import quoted
from orchestration.lake.connection import connect, lake_exists, write
from orchestration.lake.landing import Manifest, damage, landed_batches, read_manifest
from orchestration.lake.quality_store import insert_results
from orchestration.lake.raw import columns_of, key_of, prepare_tables
from orchestration.sources.schema import STREAMS
from serving.settings import Settings
from training.errors import UserError
from training.result import Progress

_ROWS_A_TRANSACTION = 2_000_000
LATER = ("deleted_at", "choice")
"""Columns that came to the schema later: they count in a row's hash only where they are given; old rows keep theirs."""


@dataclass
class LoadReport:
    """What came into the lake: rows that were not there before, by batch and by stream."""

    batches: dict[str, int] = field(default_factory=dict)
    rows_new: dict[str, int] = field(default_factory=dict)


def load_landed(settings: Settings, progress: Progress) -> LoadReport:
    """Load every landed batch that the ledger does not name, oldest first. Idempotent.

    Raises UserError naming the first landing file that is missing or damaged; batches before it are loaded then.
    """
    report = LoadReport()
    waiting = landed_batches(settings) - loaded_batches(settings)
    manifests = sorted(
        (read_manifest(settings, name) for name in waiting), key=lambda one: (one.landed_at, one.batch_id)
    )
    for group in _groups(manifests):
        for manifest in group:
            wrong = damage(settings, manifest)
            if wrong:
                raise UserError(
                    f"{wrong[0]}; restore it, or remove its manifest and ingest {manifest.source} again"
                )
        counts = _load(settings, group)
        report.batches |= counts
        for manifest in group:
            new = counts[manifest.batch_id]
            report.rows_new[manifest.stream] = report.rows_new.get(manifest.stream, 0) + new
        progress(f"loaded {len(group)} batches, {sum(counts.values()):,} new rows")
    if not manifests:
        _add_later_tables(settings)
    return report


def _add_later_tables(settings: Settings) -> None:
    """Raw tables and columns that came to the schema after the last load, so that the features find them."""
    if not lake_exists(settings):
        return
    with connect(settings, read_only=True) as connection:
        rows = connection.execute(
            "select table_name, column_name from duckdb_columns() "
            "where database_name = 'lake' and schema_name = 'raw'"
        ).fetchall()
    wanted = {(stream, column) for stream in STREAMS for column in columns_of(stream)}
    if rows and wanted - set(rows):
        write(settings, prepare_tables, "add tables that came to the schema later")


def loaded_batches(settings: Settings) -> set[str]:
    """Ids of the batches that the ledger names."""
    if not lake_exists(settings):
        return set()
    with connect(settings, read_only=True) as connection:
        try:
            rows = connection.execute("select batch_id from lake.ops.file_ledger").fetchall()
        except duckdb.CatalogException:
            return set()  # a lake that was made and never loaded
    return {row[0] for row in rows}


def _groups(manifests: Iterable[Manifest]) -> Iterator[list[Manifest]]:
    group: list[Manifest] = []
    rows = 0
    for manifest in manifests:
        if group and rows + manifest.rows_accepted > _ROWS_A_TRANSACTION:
            yield group
            group, rows = [], 0
        group.append(manifest)
        rows += manifest.rows_accepted
    if group:
        yield group


def _load(settings: Settings, group: list[Manifest]) -> dict[str, int]:
    def work(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
        prepare_tables(connection)
        # Under the write lock nobody can have loaded them since, but the lock ends at this home folder.
        known = {row[0] for row in connection.execute("select batch_id from lake.ops.file_ledger").fetchall()}
        fresh = [manifest for manifest in group if manifest.batch_id not in known]
        if not fresh:
            return dict.fromkeys((manifest.batch_id for manifest in group), 0)
        row = connection.execute("select coalesce(max(load_seq), 0) + 1 from lake.ops.file_ledger").fetchone()
        assert row is not None
        sequence = int(row[0])
        counts = dict.fromkeys((manifest.batch_id for manifest in group), 0)
        for stream in STREAMS:
            batches = [one for one in fresh if one.stream == stream and one.file]
            if batches:
                counts |= _insert_rows(connection, settings, stream, batches, sequence)
        _insert_ledger(connection, fresh, counts, sequence)
        insert_results(
            connection,
            [
                {"column_name": result["column"], "batch_id": one.batch_id, "snapshot": None}
                | {name: value for name, value in result.items() if name != "column"}
                for one in fresh
                for result in one.results
            ],
        )
        return counts

    return write(settings, work, f"load {len(group)} landed batches")


def _insert_rows(
    connection: duckdb.DuckDBPyConnection,
    settings: Settings,
    stream: str,
    batches: list[Manifest],
    sequence: int,
) -> dict[str, int]:
    """Insert the rows of `batches` that raw.`stream` lacks; returns their number by batch."""
    names = STREAMS[stream].names
    data = ", ".join(f'"{name}"' for name in names)
    key = key_of(stream)
    packed = ", ".join(f'"{name}" := "{name}"' for name in names if name not in LATER)
    later = "".join(
        f" || coalesce({name if pa.types.is_integer(STREAMS[stream].field(name).type) else f'epoch_us({name})'}"
        "::varchar, '')"
        for name in names
        if name in LATER
    )
    hashed = (
        "" if stream == "events" else f", md5(to_json(struct_pack({packed}))::varchar{later}) as _row_hash"
    )
    # Files that landed before a column was there lack it.
    empty = ", ".join(
        f'null::{kind} as "{name}"' for name, kind in columns_of(stream).items() if name in names
    )
    origin = pa.table(
        {
            "filename": [str(settings.landing_dir / batch.file) for batch in batches],
            "_batch_id": [batch.batch_id for batch in batches],
            "_landed_at": [batch.landed_at for batch in batches],
        }
    )
    connection.register("origin", origin)
    files = ", ".join(quoted(name) for name in origin["filename"].to_pylist())
    landed = (
        f"(select {data}{hashed}, _batch_id, _landed_at::timestamptz as _landed_at, {sequence}::bigint as _load_seq "
        f"from (from read_parquet([{files}], filename = true, union_by_name = true) "
        f"union all by name select {empty} where false) join origin using (filename)) as landed"
    )
    row = connection.execute(f'select count(*) = count(distinct "{key}") from {landed}').fetchone()
    assert row is not None
    # Which of two rows with one key stays must not depend on the order in which threads read them.
    order = f'partition by "{key}" order by _landed_at, _batch_id, {data}'
    once = "" if row[0] else f" qualify row_number() over ({order}) = 1"
    columns = ", ".join(f'"{name}"' for name in columns_of(stream))
    connection.execute(
        f"insert into lake.raw.{stream} ({columns}) select {columns} from (select * from {landed}{once}) as fresh "
        f'where not exists (select 1 from lake.raw.{stream} as old where old."{key}" = fresh."{key}")'
    )
    connection.unregister("origin")
    counted = connection.execute(
        f"select _batch_id, count(*) from lake.raw.{stream} where _load_seq = {sequence} group by all"
    ).fetchall()
    return {name: int(count) for name, count in counted}


def _insert_ledger(
    connection: duckdb.DuckDBPyConnection, batches: list[Manifest], counts: dict[str, int], sequence: int
) -> None:
    rows = pa.Table.from_pylist(
        [
            {
                "batch_id": one.batch_id,
                "source": one.source,
                "reader": one.reader,
                "stream": one.stream,
                "content_sha256": one.content_sha256,
                "rows_in": one.rows_in,
                "rows_accepted": one.rows_accepted,
                "rows_quarantined": one.rows_quarantined,
                "rows_new": counts[one.batch_id],
                "file": one.file,
                "file_sha256": one.file_sha256,
                "landed_at": one.landed_at,
            }
            for one in batches
        ]
    )
    connection.register("entries", rows)
    connection.execute(
        "insert into lake.ops.file_ledger by name "
        f"select * replace (landed_at::timestamptz as landed_at), now() as loaded_at, {sequence} as load_seq "
        "from entries"
    )
    connection.unregister("entries")

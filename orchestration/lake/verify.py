"""Compares the landing zone with its manifests, and the lake with the file ledger."""

import duckdb

from orchestration.lake.connection import connect, lake_exists
from orchestration.lake.landing import damage, landed_batches, read_manifest
from orchestration.sources.schema import STREAMS
from serving.settings import Settings
from training.errors import UserError

_LEDGER = "select batch_id, stream, rows_new, file_sha256 from lake.ops.file_ledger order by batch_id"


def verify_landing(settings: Settings) -> list[str]:
    """Every difference between files, manifests, the ledger and the rows in the lake, a line each; empty when whole.

    Reads and hashes every landed file. A file that no manifest names (its ingest was killed) is no difference: it does
    not exist yet.
    """
    found = []
    hashes = {}
    names = landed_batches(settings)
    for name in sorted(names):
        try:
            manifest = read_manifest(settings, name)
        except UserError as error:
            found.append(str(error))
            continue
        hashes[name] = manifest.file_sha256
        found += damage(settings, manifest)
    try:
        found += _differences_from_ledger(settings, names, hashes)
    except (UserError, duckdb.Error) as error:
        found.append(f"the lake cannot be compared with its ledger: {str(error).splitlines()[0]}")
    return found


def _differences_from_ledger(settings: Settings, names: set[str], hashes: dict[str, str]) -> list[str]:
    if not lake_exists(settings):
        return []
    found = []
    with connect(settings, read_only=True) as connection:
        try:
            entries = connection.execute(_LEDGER).fetchall()
        except duckdb.CatalogException:
            return []  # a lake that was made and never loaded
        held: dict[str, int] = {}
        for stream in STREAMS:
            counted = connection.execute(f"select _batch_id, count(*) from lake.raw.{stream} group by all")
            held |= {name: int(count) for name, count in counted.fetchall()}
    for name, stream, rows, sha256 in entries:
        if name not in names:
            found.append(
                f"the manifest of batch {name} is missing; a rebuilt lake would lack its {rows:,} rows"
            )
        elif name in hashes and hashes[name] != sha256:
            found.append(f"batch {name} is another one than the lake has loaded")
        if held.get(name, 0) != rows:
            found.append(
                f"raw.{stream} holds {held.get(name, 0):,} rows of batch {name}, the ledger says {rows:,}"
            )
    return found

"""How long from landed files to features? Prints two tables; `python -m benchmarks.ingest --help`.

A simulated world as canonical Parquet files goes through border, landing, lake and dbt; then one more day of the same
world. The peer is plain DuckDB: `read_parquet` into a database file and one SQL script with the same counts by post,
user and day, the sequences and the de-duplicated documents. It has no contracts, no landing zone, no snapshots, no
identities, no language of its own, no masks of personal data and no tests, and makes everything anew for every day.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measured import measure, table
from orchestration.lake.features import build_features
from orchestration.lake.ingest import ingest
from orchestration.sources import get_reader
from orchestration.sources.schema import STREAMS
from orchestration.sources.simulated import Scenario, continue_scenario, write_scenario
from serving.settings import Settings

PEER = "plain DuckDB, one script: all"
_SCRIPT = """
set timezone = 'UTC';
set enable_progress_bar = false;
create table events as from read_parquet([{events}]);
create table posts as from read_parquet([{posts}]);
create table users as from read_parquet([{users}]);
create table post_daily as select post_id, occurred_at::date as day, action, count(*) as n from events group by all;
create table user_daily as
    select user_id, occurred_at::date as day, action, count(*) as n, count(distinct post_id) as posts
    from events group by all;
create table sequences as
    select
        user_id,
        list(post_id order by occurred_at, event_id) as items,
        list(action order by occurred_at, event_id) as kinds
    from events where action in ('like', 'comment', 'share', 'save', 'follow_author') or value >= 10 group by user_id;
create table documents as
    select arg_min(text, (created_at, post_id)) as text, length(any_value(text)) as n_chars from posts
    where text <> '' group by md5(regexp_replace(lower(text), '[\\s\\p{{P}}]+', '', 'g'));
create table days as
    select occurred_at::date as day, count(*) as n, count(distinct user_id) as users from events group by all;
create table profiles as
    select user_id, joined_at, region, sum(n) as n, count(distinct day) as days
    from users left join user_daily using (user_id) group by all;
"""


def canonical_files(scenario: Scenario, folder: Path) -> Path:
    """Write a world's streams as canonical Parquet files, a file a stream."""
    folder.mkdir(parents=True)
    path = folder.with_suffix(".json")
    write_scenario(path, scenario)
    writers: dict[str, pq.ParquetWriter] = {}
    for stream, batch in get_reader("simulated").read(path):
        rows = pa.Table.from_batches([batch]).select(STREAMS[stream].names)
        if stream not in writers:
            writers[stream] = pq.ParquetWriter(folder / f"{stream}.parquet", rows.schema)
        writers[stream].write_table(rows)
    for writer in writers.values():
        writer.close()
    return folder


def _land(home: Path, folder: Path) -> None:
    ingest(Settings(home=home), folder, "canonical", lambda _: None)


def _build(home: Path) -> None:
    build_features(Settings(home=home), lambda _: None)


def _script(database: Path, folders: list[Path]) -> None:
    files = {
        stream: ", ".join(f"'{folder / stream}.parquet'" for folder in folders)
        for stream in ("events", "posts", "users")
    }
    database.unlink(missing_ok=True)
    with duckdb.connect(str(database)) as connection:
        connection.execute(_SCRIPT.format(**files))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the first part")
    parser.add_argument("--days", type=int, default=42, help="days of the first part; the second is one day")
    known = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidegate-benchmark-") as temporary:
        folder, home = Path(temporary), Path(temporary) / "home"
        world = Scenario(
            users=known.events // 125, posts=known.events // 40, events=known.events, days=known.days
        )
        whole = canonical_files(world, folder / "whole")
        day = canonical_files(continue_scenario(world, days=1), folder / "day")
        counts = {one: pq.read_metadata(one / "events.parquet").num_rows for one in (whole, day)}
        everything = counts[whole] + counts[day]
        measured = [
            measure("all: border, landing, lake", counts[whole], partial(_land, home, whole)),
            measure("all: features", counts[whole], partial(_build, home)),
            measure("one more day: border, landing, lake", counts[day], partial(_land, home, day)),
            measure("one more day: features", counts[day], partial(_build, home)),
            measure("nothing new: features", counts[day], partial(_build, home)),
            measure(PEER, counts[whole], partial(_script, folder / "peer.duckdb", [whole])),
            measure("plain DuckDB, one script: all again for one more day", everything,
                    partial(_script, folder / "peer.duckdb", [whole, day])),
        ]  # fmt: skip
    print(table(measured, PEER))


if __name__ == "__main__":
    main()

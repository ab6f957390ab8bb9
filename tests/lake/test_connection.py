import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import pytest

from orchestration.lake import connection as lake
from orchestration.lake.catalog import attach_options, attach_path, catalog
from orchestration.lake.connection import (
    LakeMissingError,
    connect,
    current_snapshot,
    extension_directory,
    read_table,
    retrying,
    write,
    write_lock,
)
from orchestration.lake.session import object_store_secret
from serving.settings import Settings
from tests.lake.fakes import make_settings
from training.errors import UserError


def _make(settings: Settings) -> None:
    write(settings, lambda c: c.execute("create table lake.ops.t as select 1 as n"), "make t")


def _add(settings: Settings, number: int) -> None:
    write(settings, lambda c: c.execute(f"insert into lake.ops.t values ({number})"), f"add {number}")


def _numbers(settings: Settings, snapshot: int | None = None) -> list[int]:
    return sorted(read_table(settings, "ops.t", snapshot=snapshot)["n"].to_pylist())


def test_extensions_are_laid_out_for_duckdb_and_load_without_a_network(settings: Settings) -> None:
    folder = extension_directory(settings)
    names = ("ducklake", "sqlite_scanner", "postgres_scanner", "httpfs")
    with duckdb.connect(
        config={"extension_directory": str(folder), "autoinstall_known_extensions": False}
    ) as plain:
        for name in names:
            plain.execute(f"load {name}")
        loaded = plain.execute("select extension_name from duckdb_extensions() where loaded").fetchall()
    assert set(names) <= {row[0] for row in loaded}


def test_a_stale_link_to_another_environment_is_replaced(settings: Settings) -> None:
    link = next(extension_directory(settings).rglob("ducklake.duckdb_extension"))
    target = link.readlink()
    link.unlink()
    link.symlink_to("/nowhere/ducklake.duckdb_extension")
    extension_directory(settings)
    assert link.readlink() == target


def test_a_reader_of_no_lake_is_told_what_to_do(settings: Settings) -> None:
    with pytest.raises(LakeMissingError, match="tidegate ingest"):
        current_snapshot(settings)


def test_a_table_is_read_as_it_was_at_a_snapshot(settings: Settings) -> None:
    _make(settings)
    then = current_snapshot(settings)
    _add(settings, 2)
    assert _numbers(settings, then) == [1]
    assert _numbers(settings) == [1, 2]
    assert read_table(settings, "ops.t", columns=["n"], where="n > 1")["n"].to_pylist() == [2]


def test_what_is_not_there_is_told_in_one_line(settings: Settings) -> None:
    _make(settings)
    with pytest.raises(UserError, match=r"cannot give ops\.nothing: Catalog Error"):
        read_table(settings, "ops.nothing")
    with pytest.raises(UserError, match=r"cannot give ops\.t: Binder Error"):
        read_table(settings, "ops.t", columns=["m"])
    with pytest.raises(UserError, match="the lake has no snapshot 77"):
        read_table(settings, "ops.t", snapshot=77)
    with pytest.raises(ValueError, match=r"schema\.table"):
        read_table(settings, "ops.t; drop table ops.t")


def test_each_write_is_one_snapshot_with_its_message(settings: Settings) -> None:
    _make(settings)
    _add(settings, 2)
    with connect(settings, read_only=True) as reader:
        found = reader.execute(
            "select commit_message from lake.snapshots() where author = 'tidegate' order by 1"
        )
        assert found.fetchall() == [("add 2",), ("make t",)]


def test_a_write_that_fails_leaves_nothing(settings: Settings) -> None:
    _make(settings)
    before = current_snapshot(settings)

    def half(c: duckdb.DuckDBPyConnection) -> None:
        c.execute("insert into lake.ops.t values (2)")
        raise KeyError("stop")

    with pytest.raises(KeyError):
        write(settings, half, "half")
    assert (_numbers(settings), current_snapshot(settings)) == ([1], before)


def test_a_reader_does_not_wait_for_an_open_transaction_of_a_writer(settings: Settings) -> None:
    _make(settings)
    with connect(settings) as writer:
        writer.begin()
        writer.execute("insert into lake.ops.t select * from range(2000)")
        seen: list[list[int]] = []
        reader = threading.Thread(target=lambda: seen.append(_numbers(settings)))
        reader.start()
        reader.join(timeout=60)
        assert seen == [[1]]
        writer.commit()
    assert len(_numbers(settings)) == 2001


def test_a_reader_of_another_process_does_not_wait_for_the_write_lock(settings: Settings) -> None:
    _make(settings)
    code = (
        "import sys; from pathlib import Path; from tests.lake.fakes import make_settings;"
        "from orchestration.lake.connection import read_table;"
        "print(read_table(make_settings(Path(sys.argv[1])), 'ops.t').num_rows)"
    )
    with write_lock(settings), connect(settings) as writer:
        writer.begin()
        writer.execute("insert into lake.ops.t values (2)")
        done = subprocess.run(
            [sys.executable, "-c", code, str(settings.home)],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=Path(__file__).parents[2],
        )
        assert done.stdout.strip() == "1", done.stderr
        writer.rollback()


def test_a_reader_keeps_its_snapshot_while_writers_commit(settings: Settings) -> None:
    _make(settings)
    with connect(settings, read_only=True) as reader:
        reader.begin()
        assert reader.execute("select count(*) from lake.ops.t").fetchall() == [(1,)]
        _add(settings, 2)
        assert reader.execute("select count(*) from lake.ops.t").fetchall() == [(1,)]
        reader.commit()
        assert reader.execute("select count(*) from lake.ops.t").fetchall() == [(2,)]


@pytest.mark.parametrize("mode", ["locked", "unlocked"])
def test_writers_of_several_processes_lose_nothing_with_the_lock_and_without(
    mode: str, settings: Settings
) -> None:
    _make(settings)
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.lake.writer", str(settings.home), str(10 * number), "4", mode, ""],
            cwd=Path(__file__).parents[2],
        )
        for number in (1, 2, 3)
    ]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert _numbers(settings) == [1, *range(10, 14), *range(20, 24), *range(30, 34)]


def test_the_write_lock_is_reentrant_in_a_thread_and_excludes_other_threads(settings: Settings) -> None:
    order: list[str] = []
    inside, started = threading.Event(), threading.Event()

    def other() -> None:
        started.set()
        with write_lock(settings):
            order.append("other")

    with write_lock(settings):
        thread = threading.Thread(target=other)
        thread.start()
        started.wait()
        with write_lock(settings):
            inside.wait(timeout=0.2)
            order.append("first")
    thread.join()
    assert order == ["first", "other"]


def test_a_refused_commit_is_tried_again_with_back_off_and_then_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(settings)
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)
    calls: list[int] = []

    def busy(c: duckdb.DuckDBPyConnection, times: int) -> int:
        calls.append(1)
        c.execute("insert into lake.ops.t values (5)")
        if len(calls) <= times:
            raise duckdb.TransactionException("Failed to commit: database is locked")
        return len(calls)

    assert write(settings, lambda c: busy(c, 2), "busy") == 3
    assert len(pauses) == 2 and all(pause >= 0 for pause in pauses)
    assert _numbers(settings) == [1, 5]
    calls.clear()
    patient = make_settings(settings.home, lake_retries=1)
    with pytest.raises(UserError, match="the lake stayed busy and `busy` was not written"):
        write(patient, lambda c: busy(c, 99), "busy")
    assert len(calls) == 2
    assert _numbers(settings) == [1, 5]


def test_another_error_is_not_tried_again(settings: Settings) -> None:
    calls: list[int] = []

    def wrong() -> None:
        calls.append(1)
        raise duckdb.BinderException("no such column")

    with pytest.raises(duckdb.BinderException):
        retrying(settings)(wrong)
    assert len(calls) == 1


def test_a_home_that_was_moved_is_followed(settings: Settings, tmp_path: Path) -> None:
    _make(settings)
    write(settings, lambda c: c.execute("insert into lake.ops.t select * from range(1000)"), "a file")
    moved = tmp_path / "elsewhere"
    shutil.move(settings.home, moved)
    there = make_settings(moved)
    assert len(_numbers(there)) == 1001
    _add(there, 7)
    assert not settings.home.exists()


def test_a_catalog_setting_of_an_unknown_form_is_refused_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"must be empty or begin with") as refusal:
        catalog(make_settings(tmp_path, lake_catalog="mysql:host=x password=secret"))
    assert "secret" not in str(refusal.value)
    with pytest.raises(UserError, match="schema=Bad-Name"):
        catalog(make_settings(tmp_path, lake_catalog="postgres:host=x schema=Bad-Name"))


def test_other_tools_are_told_how_to_attach(tmp_path: Path) -> None:
    embedded = make_settings(tmp_path)
    assert attach_path(embedded) == f"ducklake:sqlite:{tmp_path}/lake/catalog.sqlite"
    server = make_settings(tmp_path, lake_catalog="postgres:dbname=a schema=mine host=b")
    assert attach_path(server) == "ducklake:postgres:dbname=a host=b"
    assert attach_options(server) == {"metadata_schema": "mine"}


def test_a_server_that_is_not_there_is_told_in_one_line_without_the_password(tmp_path: Path) -> None:
    settings = make_settings(
        tmp_path, lake_catalog=f"postgres:dbname=a host={tmp_path} password=geheim connect_timeout=2"
    )
    with pytest.raises(UserError, match="the lake's catalog cannot be reached") as refusal:
        current_snapshot(settings)
    assert "geheim" not in str(refusal.value) and "\n" not in str(refusal.value)


def test_credentials_of_an_object_store_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    assert object_store_secret("s3://b/f") == "create or replace secret lake_store (type s3)"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k'ey")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:9000")
    assert object_store_secret("s3://b/f") == (
        "create or replace secret lake_store (type s3, key_id 'k''ey', endpoint 'localhost:9000', "
        "url_style 'path', use_ssl 'false')"
    )
    with pytest.raises(UserError, match="s3://bucket/folder"):
        object_store_secret("ftp://b/f")


def test_a_broken_session_is_not_handed_to_the_next(settings: Settings) -> None:
    _make(settings)
    with pytest.raises(KeyError), connect(settings) as first:
        first.execute("create temp table left_over as select 1")
        raise KeyError("stop")
    with connect(settings) as second:
        assert second.execute("from duckdb_tables() where table_name = 'left_over'").fetchall() == []
        attached = second.execute(
            "select database_name from duckdb_databases() where not internal"
        ).fetchall()
    assert sorted(name for (name,) in attached) == ["lake", "memory"]
    assert lake.lake_exists(settings)

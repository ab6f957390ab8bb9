"""A reader sees the old file or the new one, never a part of it."""

import json
from pathlib import Path

import pytest

from training.files import atomic_path, sha256_file, write_atomic, write_json_atomic


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    target = tmp_path / "f"
    write_atomic(target, b"old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_bytes(b"half of the ne")
        raise RuntimeError("killed")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_json_with_nan_is_refused_because_no_reader_would_take_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json_atomic(tmp_path / "f.json", {"metric": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_json_keeps_chinese_readable(tmp_path: Path) -> None:
    write_json_atomic(tmp_path / "a" / "f.json", {"词": "人工智能"})
    assert "人工智能" in (tmp_path / "a" / "f.json").read_text()
    assert json.loads((tmp_path / "a" / "f.json").read_text()) == {"词": "人工智能"}


def test_the_hash_is_of_the_bytes(tmp_path: Path) -> None:
    write_atomic(tmp_path / "f", b"abc")
    assert sha256_file(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

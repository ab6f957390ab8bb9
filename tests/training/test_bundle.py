"""A bundle is whole and unaltered, or it is refused with the name of the file at fault."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from training.bundle import Bundle, BundleError, open_bundle, write_bundle

_UNTIL = datetime(2026, 1, 2, tzinfo=UTC)


def _write(target: Path, weights: bytes = b"weights") -> Bundle:
    def files(folder: Path) -> None:
        (folder / "weights.safetensors").write_bytes(weights)
        (folder / "state").mkdir()
        (folder / "state" / "posts.parquet").write_bytes(b"posts")

    return write_bundle(
        target, "recommender", "popularity", files, trained_until=_UNTIL, lineage={"lake.snapshot": 3}
    )


def test_a_written_bundle_opens_with_the_same_digest(tmp_path: Path) -> None:
    written = _write(tmp_path / "b")
    opened = open_bundle(tmp_path / "b", "recommender")
    assert opened.digest == written.digest
    assert opened.trained_until == _UNTIL
    assert opened.manifest["lineage"] == {"lake.snapshot": 3}


def test_equal_files_give_equal_digests_and_other_files_another(tmp_path: Path) -> None:
    assert _write(tmp_path / "a").digest == _write(tmp_path / "b").digest
    assert _write(tmp_path / "c", b"other").digest != open_bundle(tmp_path / "a").digest


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        (lambda b: (b / "weights.safetensors").write_bytes(b"weightz"), "weights.safetensors differs"),
        (lambda b: (b / "weights.safetensors").write_bytes(b"wei"), "weights.safetensors differs"),
        (lambda b: (b / "state" / "posts.parquet").unlink(), "state/posts.parquet is missing"),
        (lambda b: (b / "extra.bin").write_bytes(b"x"), "extra.bin is not in the manifest"),
        (lambda b: (b / "manifest.json").unlink(), "manifest.json cannot be read"),
        (lambda b: (b / "manifest.json").write_text("{"), "manifest.json cannot be read"),
        (lambda b: _edit(b, '"format": 1', '"format": 9'), "bundle format 9"),
        (lambda b: _edit(b, '"bytes": 7', '"bytes": 8'), "digest does not match"),
    ],
)
def test_harm_to_a_bundle_is_refused_by_name(tmp_path: Path, harm, named: str) -> None:
    _write(tmp_path / "b")
    harm(tmp_path / "b")
    with pytest.raises(BundleError, match=named):
        open_bundle(tmp_path / "b")


def _edit(bundle: Path, old: str, new: str) -> None:
    manifest = bundle / "manifest.json"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))


def test_a_bundle_of_another_kind_is_refused(tmp_path: Path) -> None:
    _write(tmp_path / "b")
    with pytest.raises(BundleError, match="holds a recommender, not a generator"):
        open_bundle(tmp_path / "b", "generator")


def test_a_writer_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def files(folder: Path) -> None:
        (folder / "half").write_bytes(b"half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError):
        write_bundle(tmp_path / "b", "generator", "lstm", files, trained_until=_UNTIL, lineage={})
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_never_written_over_another(tmp_path: Path) -> None:
    first = _write(tmp_path / "b")
    with pytest.raises(BundleError, match="already something"):
        _write(tmp_path / "b", b"other")
    assert open_bundle(tmp_path / "b").digest == first.digest


def test_trained_until_needs_a_zone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="time zone"):
        write_bundle(
            tmp_path / "b",
            "generator",
            "lstm",
            lambda folder: None,
            trained_until=datetime(2026, 1, 1),
            lineage={},
        )

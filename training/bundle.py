"""The model bundle on disk: files first, `manifest.json` with their SHA-256 last; verified before every use.

A bundle is a folder that holds all a server needs (weights, configuration, vocabulary, index, golden requests), so its
parts cannot disagree. The digest of a bundle is the hash of its table of file hashes: equal digests mean equal models.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from training.errors import UserError
from training.files import fsync_dir, sha256_file, write_json_atomic

MANIFEST = "manifest.json"
FORMAT = 1
Kind = Literal["recommender", "generator"]


class BundleError(UserError):
    """A bundle that is incomplete, altered or of another kind than asked for."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle: where it lies and what its manifest says."""

    path: Path
    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """Hex SHA-256 over the manifest's table of file names and hashes."""
        return str(self.manifest["digest"])

    @property
    def kind(self) -> Kind:
        """`recommender` or `generator`."""
        kind: Kind = self.manifest["kind"]
        return kind

    @property
    def architecture(self) -> str:
        """Name of the model inside, e.g. `popularity`, `blend`, `lstm`."""
        return str(self.manifest["architecture"])

    @property
    def trained_until(self) -> datetime:
        """UTC instant from which on the weights have seen nothing."""
        return datetime.fromisoformat(self.manifest["trained_until"])

    def must_not_have_seen(self, window: tuple[datetime, datetime]) -> None:
        """Raises BundleError when the weights have seen data of the half-open `window`, ValueError for a window without
        a time zone or that ends before it begins."""
        start, end = window
        if start.tzinfo is None or end.tzinfo is None:
            raise ValueError("the window needs time zones")
        if end <= start:
            raise ValueError(f"the window ends ({end.isoformat()}) before it begins ({start.isoformat()})")
        if start < self.trained_until:
            raise BundleError(
                f"{self.path} has learned from data up to {self.trained_until.isoformat()}, "
                f"so it cannot be judged on a window that begins {start.isoformat()}"
            )


def _file_table(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {
        path.relative_to(folder).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in files
    }


def _table_digest(table: dict[str, dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def write_bundle(
    target: Path,
    kind: Kind,
    architecture: str,
    write_files: Callable[[Path], None],
    *,
    trained_until: datetime,
    lineage: dict[str, Any],
    extra: dict[str, Any] | None = None,
) -> Bundle:
    """Write a bundle folder at `target`: `write_files(folder)` first, the manifest last, then one rename.

    `lineage` is what it was trained on (lake snapshot, row counts, content hash, code version). Raises BundleError when
    `target` exists, ValueError when `trained_until` has no zone, and whatever `write_files` raises; nothing is left
    then.
    """
    if trained_until.tzinfo is None:
        raise ValueError("trained_until needs a time zone")
    if target.exists():
        raise BundleError(f"there is already something at {target}")
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        write_files(folder)
        table = _file_table(folder)
        for name in table:
            with (folder / name).open("rb+") as handle:
                os.fsync(handle.fileno())
        manifest = {
            "format": FORMAT,
            "kind": kind,
            "architecture": architecture,
            "created_at": datetime.now(UTC).isoformat(),
            "trained_until": trained_until.astimezone(UTC).isoformat(),
            "lineage": lineage,
            "extra": extra or {},
            "files": table,
            "digest": _table_digest(table),
        }
        write_json_atomic(folder / MANIFEST, manifest)
        folder.chmod(0o755)
        folder.rename(target)
        fsync_dir(target.parent)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Bundle(target, manifest)


def open_bundle(path: Path, kind: Kind | None = None) -> Bundle:
    """Verify every file of the bundle at `path` against its manifest and return it.

    Raises BundleError naming the first file that is missing, altered or not in the manifest, a manifest that cannot be
    read, an unknown format, or a bundle of another kind than `kind`.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        table, digest, form = manifest["files"], manifest["digest"], manifest["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} is not a bundle: its {MANIFEST} cannot be read ({error})") from error
    if form != FORMAT:
        raise BundleError(f"{path} has bundle format {form}, this version reads {FORMAT}")
    if kind is not None and manifest["kind"] != kind:
        raise BundleError(f"{path} holds a {manifest['kind']}, not a {kind}")
    if _table_digest(table) != digest:
        raise BundleError(f"{path}: the manifest's digest does not match its file table")
    for name, entry in table.items():
        file = path / name
        if not file.is_file():
            raise BundleError(f"{path}: {name} is missing")
        if file.stat().st_size != entry["bytes"] or sha256_file(file) != entry["sha256"]:
            raise BundleError(f"{path}: {name} differs from its manifest")
    surplus = set(_names(path)) - set(table)
    if surplus:
        raise BundleError(f"{path}: {min(surplus)} is not in the manifest")
    return Bundle(path, manifest)


def _names(folder: Path) -> list[str]:
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST and "__pycache__" not in path.parts
    ]

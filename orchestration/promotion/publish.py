"""What the server reads: bundles under their digest, and the pointer to the champions, each whole or absent."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from orchestration.promotion.ledger import Reign, Succession
from serving.pointers import CHAMPIONS
from training.bundle import Bundle, BundleError, open_bundle
from training.files import fsync_dir, write_json_atomic


def bundles_dir(home: Path) -> Path:
    """Where bundles lie by digest."""
    return home / "online" / "bundles"


def materialise(home: Path, digest: str, fetch: Callable[[Path], None]) -> Bundle:
    """Make sure that the bundle `digest` lies, verified, under home; `fetch(folder)` fills an empty folder with it.

    A copy that is there and whole is kept; a damaged one is replaced. Raises BundleError when what was fetched is not
    that bundle, and whatever `fetch` raises.
    """
    folder = bundles_dir(home)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / digest
    if target.exists():
        try:
            bundle = open_bundle(target)
            if bundle.digest == digest:
                return bundle
        except BundleError:
            # Servers keep what they have loaded; the name is freed before a whole copy takes it.
            shutil.rmtree(target)
    temporary = Path(tempfile.mkdtemp(dir=folder, prefix=f".{digest[:12]}."))
    try:
        fetch(temporary)
        fetched = open_bundle(temporary)
        if fetched.digest != digest:
            raise BundleError(f"the registry's copy of bundle {digest[:12]} is bundle {fetched.digest[:12]}")
        temporary.chmod(0o755)
        temporary.rename(target)
        fsync_dir(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Bundle(target, fetched.manifest)


def sweep(home: Path) -> list[str]:
    """Remove half-fetched bundles that a killed process left; called under the promotion lock alone."""
    left = sorted(bundles_dir(home).glob(".*"))
    for path in left:
        shutil.rmtree(path)
    return [f"removed the half-fetched bundle {path.name}" for path in left]


def pointer(successions: Mapping[str, Succession]) -> dict[str, Any]:
    """The content of `champions.json`; paths are relative to home, so that home can be moved."""
    return {
        model: _entry(line.champion)
        for model, line in sorted(successions.items())
        if line.champion is not None
    }


def _entry(reign: Reign) -> dict[str, Any]:
    return {
        "version": reign.version,
        "run_id": reign.run_id,
        "name": reign.name,
        "bundle": f"online/bundles/{reign.digest}",
        "digest": reign.digest,
        "lake_snapshot": reign.lake_snapshot,
        "promoted_at": reign.since.isoformat(),
        "alias": "champion",
    }


def publish(home: Path, wanted: dict[str, Any]) -> bool:
    """Write the pointer unless it says the same already; returns whether it was written. Raises OSError."""
    import json

    path = home / "online" / CHAMPIONS
    try:
        if json.loads(path.read_text()) == wanted:
            return False
    except (OSError, ValueError):
        # Absent or damaged: either way it is written anew from the ledger.
        pass
    write_json_atomic(path, wanted)
    return True

"""The two files that say what to serve: `champions.json` and `state.json`, both replaced atomically by the promotion.

A pointer that cannot be read is an error that keeps everything as it is; a pointer that is not there means that nothing
was promoted or published yet.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from training.bundle import Kind
from training.errors import UserError

KINDS: tuple[Kind, ...] = get_args(Kind)
CHAMPIONS = "champions.json"
STATE = "state.json"
TABLES = ("interactions", "posts", "users")


@dataclass(frozen=True)
class ChampionPointer:
    """What the promotion says about one model."""

    kind: Kind
    version: str
    run_id: str
    bundle: Path
    digest: str
    lake_snapshot: int | str | None
    promoted_at: str
    alias: str


@dataclass(frozen=True)
class StatePointer:
    """Which published state of the feed is current."""

    id: str
    lake_snapshot: int
    published_at: str
    folder: Path

    def table(self, name: str) -> Path:
        """The Parquet file of one of TABLES."""
        return self.folder / f"{name}.parquet"


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path.name} does not hold an object")
    return value


def read_champions(home: Path) -> dict[Kind, ChampionPointer]:
    """The promoted models; bundle paths may be relative to `home`. Raises UserError when the file is malformed."""
    value = _read(home / "online" / CHAMPIONS) or {}
    found: dict[Kind, ChampionPointer] = {}
    for kind in KINDS:
        entry = value.get(kind)
        if entry is None:
            continue
        try:
            found[kind] = ChampionPointer(
                kind,
                str(entry["version"]),
                str(entry["run_id"]),
                home / entry["bundle"],
                str(entry["digest"]),
                entry["lake_snapshot"],
                str(entry["promoted_at"]),
                str(entry.get("alias", "champion")),
            )
        except (KeyError, TypeError) as error:
            raise UserError(f"{CHAMPIONS}: the entry {kind} lacks or garbles {error}") from error
    return found


def read_state(home: Path) -> StatePointer | None:
    """The published state, None when there is none. Raises UserError when the file is malformed."""
    value = _read(home / "online" / STATE)
    if value is None:
        return None
    try:
        folder = home / "online" / "state" / str(value["id"])
        return StatePointer(str(value["id"]), int(value["lake_snapshot"]), str(value["published_at"]), folder)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{STATE} lacks or garbles {error}") from error

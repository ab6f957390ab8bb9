"""A ledger and a registry in files, so that several processes can share them, and ways to let a step fail."""

import json
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from orchestration.promotion.evidence import Evidence, ModelFacts
from orchestration.promotion.operations import Gate
from tests.promotion.cases import CUT, NOW, good
from training.bundle import Bundle, write_bundle


class CrashError(Exception):
    """The process dies here."""


class FileLedger:
    """Rows as JSON lines; a compare-and-append like the lake's."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.jsonl"
        self.crash: str | None = None

    def rows(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        rows = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [row | {"decided_at": datetime.fromisoformat(row["decided_at"])} for row in rows]

    def append(self, row: Any, expected_last: int) -> int:
        if self.crash == "before":
            raise CrashError("before the row")
        with FileLock(f"{self.path}.lock"):
            last = len(self.rows())
            if last != expected_last:
                raise RuntimeError(f"the ledger moved on from {expected_last} to {last}")
            plain = dict(row) | {"seq": last + 1, "decided_at": row["decided_at"].isoformat()}
            with self.path.open("a") as handle:
                handle.write(json.dumps(plain) + "\n")
        if self.crash == "after":
            raise CrashError("after the row")
        return last + 1


class FileRegistry:
    """Versions as folders, aliases and tags as one JSON file. `crash` names the call that fails, by its order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "registry"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = self.folder / "state.json"
        self.crash: int | None = None
        self.calls = 0

    def _step(self) -> None:
        self.calls += 1
        if self.crash is not None and self.calls > self.crash:
            raise CrashError(f"registry call {self.calls}")

    def _read(self) -> dict[str, Any]:
        return json.loads(self.state.read_text()) if self.state.exists() else {"aliases": {}, "tags": {}}

    def _write(self, value: dict[str, Any]) -> None:
        self.state.write_text(json.dumps(value))

    def add(self, model: str, version: str, bundle: Bundle) -> None:
        shutil.copytree(bundle.path, self.folder / model / version)

    def aliases(self, model: str) -> dict[str, str]:
        return dict(self._read()["aliases"].get(model, {}))

    def set_alias(self, model: str, alias: str, version: str) -> None:
        self._step()
        value = self._read()
        value["aliases"].setdefault(model, {})[alias] = version
        self._write(value)

    def delete_alias(self, model: str, alias: str) -> None:
        self._step()
        value = self._read()
        del value["aliases"][model][alias]
        self._write(value)

    def tags(self, model: str, version: str) -> dict[str, str]:
        return dict(self._read()["tags"].get(f"{model}/{version}", {}))

    def set_tags(self, model: str, version: str, tags: Any) -> None:
        self._step()
        value = self._read()
        value["tags"].setdefault(f"{model}/{version}", {}).update(tags)
        self._write(value)

    def fetch(self, model: str, version: str, folder: Path) -> None:
        shutil.copytree(self.folder / model / version, folder, dirs_exist_ok=True)

    def attach(self, run_id: str, files: Any) -> None:
        self._step()
        for name, text in files.items():
            path = self.folder / "runs" / run_id / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


class World:
    """A home with a gate, and versions made on demand."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.ledger, self.registry = FileLedger(folder), FileRegistry(folder)
        self.now = NOW
        self.gate = self.new_gate()
        self.bundles: dict[str, Bundle] = {}

    def new_gate(self) -> Gate:
        """A gate as a fresh process would have it."""
        return Gate(self.home, FileLedger(self.folder), FileRegistry(self.folder), clock=lambda: self.now)

    def faulty_gate(self) -> Gate:
        """A gate on the ledger and registry of this object, whose `crash` can be set."""
        return Gate(self.home, self.ledger, self.registry, clock=lambda: self.now)

    def make(self, version: str, model: str = "recommender") -> Bundle:
        """Write and register a bundle."""

        def files(folder: Path) -> None:
            (folder / "weights.txt").write_text(f"{model} {version}")

        target = self.folder / "made" / model / version
        bundle = write_bundle(target, model, "blend", files, trained_until=CUT, lineage={})
        self.registry.add(model, version, bundle)
        self.bundles[version] = bundle
        return bundle

    def evidence(
        self, version: str, against: str | None, model: str = "recommender", **more: Any
    ) -> Evidence:
        """Evidence that promotes `version` over the champion `against` (None: the first)."""
        evidence = good(model, first=against is None)
        digest = (self.bundles.get(version) or self.make(version, model)).digest
        old = self.bundles[against].digest if against else None
        text = json.dumps(plain(evidence)).replace('"new"', f'"{digest}"').replace('"old"', f'"{old}"')
        from orchestration.promotion.evidence import from_json

        changed = from_json(text)
        candidate = replace(changed.candidate or ModelFacts(), version=version, run_id=f"run{version}")
        champion = replace(changed.champion, version=against) if changed.champion else None
        return replace(changed, candidate=candidate, champion=champion, **more)

    def promote(self, version: str, against: str | None, model: str = "recommender") -> None:
        """Make `version` champion."""
        outcome = self.gate.judge(self.evidence(version, against, model))
        assert outcome.decision.decision == "promote", outcome.decision.reasons

    def champions(self) -> dict[str, Any]:
        """The published pointer."""
        path = self.home / "online" / "champions.json"
        return json.loads(path.read_text()) if path.exists() else {}


def plain(evidence: Evidence) -> Any:
    from orchestration.promotion.evidence import to_json

    # `standing` is "new" too, and is not a digest; the gate reads it from the ledger anyway.
    value = json.loads(to_json(evidence))
    value["ledger"]["standing"] = "champion"
    return value

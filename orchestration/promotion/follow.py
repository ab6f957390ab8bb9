"""What follows from the ledger: the server's pointer with its bundles, and the registry's aliases, reports and tags.

All of it is derived, idempotent and can be made again. The server's side comes first and needs no registry while its
bundles are there, so a registry that is down cannot keep a rollback from the server.
"""

from collections.abc import Sequence
from pathlib import Path

from orchestration.promotion import reports
from orchestration.promotion.ledger import Row, Succession, of_model, succession
from orchestration.promotion.publish import materialise, pointer, publish
from orchestration.promotion.registry import Registry
from serving.pointers import KINDS

_TAGGED = 5
"""Last rows of a model whose tags are looked after; a crash leaves one behind, two crashes two."""


def lay_down(home: Path, registry: Registry, model: str, version: str, digest: str) -> None:
    """Make sure that a version's bundle lies under home. Raises BundleError when the registry has no whole copy."""
    materialise(home, digest, lambda folder: registry.fetch(model, version, folder))


def follow_server(home: Path, registry: Registry, rows: Sequence[Row]) -> list[str]:
    """Champions' bundles and `champions.json` as the ledger has it; returns what was different. Raises OSError."""
    lines: dict[str, Succession] = {model: succession(of_model(rows, model)) for model in KINDS}
    for model, line in lines.items():
        if line.champion is not None:
            lay_down(home, registry, model, line.champion.version, line.champion.digest)
    return ["published champions.json"] if publish(home, pointer(lines)) else []


def follow_registry(registry: Registry, rows: Sequence[Row]) -> list[str]:
    """Aliases, reports and tags as the ledger has it; returns what was different. Raises whatever the registry
    raises.
    """
    done: list[str] = []
    for model in KINDS:
        mine = of_model(rows, model)
        if mine:
            done += _aliases(registry, model, succession(mine))
            done += _tags(registry, model, mine)
    return done


def _aliases(registry: Registry, model: str, line: Succession) -> list[str]:
    known, done = registry.aliases(model), []
    for alias, reign in (("champion", line.champion), ("previous", line.previous)):
        version = reign.version if reign else None
        if known.get(alias) == version:
            continue
        if version is None:
            registry.delete_alias(model, alias)
        else:
            registry.set_alias(model, alias, version)
        done.append(
            f"{model}: moved alias {alias} from {known.get(alias) or 'nothing'} to {version or 'nothing'}"
        )
    return done


def _tags(registry: Registry, model: str, rows: Sequence[Row]) -> list[str]:
    newest = {_subject(row): row for row in rows[-_TAGGED:]}
    done = []
    for version, row in newest.items():
        word = row["action"] if row["action"] in ("reject", "rollback") else row["decision"]
        if registry.tags(model, version).get("gate.seq") == str(row["seq"]):
            continue
        # The report goes first: a tag says that everything of its row is there.
        if row["evidence"].get("decision"):
            registry.attach(row["run_id"], reports.files(row))
        tags = {"gate.decision": word, "gate.reasons": "\n".join(row["reasons"]), "gate.seq": str(row["seq"])}
        registry.set_tags(model, version, tags)
        done.append(f"{model}: tagged version {version} {word}")
    return done


def _subject(row: Row) -> str:
    """The version a row speaks about: after a rollback the one that was taken back."""
    taken_back: dict[str, str] | None = row["evidence"].get("rolled_back")
    return taken_back["version"] if taken_back else str(row["version"])

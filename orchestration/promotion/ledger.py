"""Reading the ledger: who is champion, who was before, and what was said about a bundle. Rows in, facts out.

The ledger decides. Registry aliases and the server's pointer are derived from it and can be derived again at any time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from orchestration.promotion.evidence import LedgerFacts
from serving.settings import Settings

Row = dict[str, Any]


class Ledger(Protocol):
    """Append-only rows in order, with a compare-and-append."""

    def rows(self) -> list[Row]:
        """All rows of all models, oldest first; `seq` counts from 1, `reasons` and `evidence` are values."""
        ...

    def append(self, row: Mapping[str, Any], expected_last: int) -> int:
        """Append a row and return its `seq`; raises when the last `seq` is not `expected_last`."""
        ...


@dataclass(frozen=True)
class LakeLedger:
    """The ledger in the lake."""

    settings: Settings

    def rows(self) -> list[Row]:
        """All rows, oldest first. Raises UserError when the lake cannot be opened."""
        from orchestration.lake.ledger import decisions

        return decisions(self.settings)

    def append(self, row: Mapping[str, Any], expected_last: int) -> int:
        """Append a row. Raises LedgerMovedError when somebody else appended since `expected_last`."""
        from orchestration.lake.ledger import append_decision

        return append_decision(self.settings, dict(row), expected_last=expected_last)


@dataclass(frozen=True)
class Reign:
    """A version that is or was champion, and since when."""

    version: str
    digest: str
    run_id: str
    lake_snapshot: int
    name: str
    since: datetime


@dataclass(frozen=True)
class Succession:
    """Champions of one model in order; a rollback takes the last one off."""

    line: tuple[Reign, ...] = ()

    @property
    def champion(self) -> Reign | None:
        """Who is champion now."""
        return self.line[-1] if self.line else None

    @property
    def previous(self) -> Reign | None:
        """Whom a rollback brings back. After a rollback that is the one before, never the one rolled back from."""
        return self.line[-2] if len(self.line) > 1 else None


def of_model(rows: Sequence[Row], model: str) -> list[Row]:
    """The rows of one model."""
    return [row for row in rows if row["model"] == model]


def succession(rows: Sequence[Row]) -> Succession:
    """The champions that the rows of one model make."""
    line: tuple[Reign, ...] = ()
    for row in rows:
        if row["champion_after"] == row["champion_before"]:
            continue
        if row["action"] == "rollback":
            line = line[:-1]
            line = (*line[:-1], replace(line[-1], since=row["decided_at"]))
        else:
            line = (*line, _reign(row))
    return Succession(line)


def _reign(row: Row) -> Reign:
    bundle = row["evidence"]["bundle"]
    return Reign(
        version=row["version"],
        digest=bundle["digest"],
        run_id=row["run_id"],
        lake_snapshot=bundle["lake_snapshot"],
        name=bundle["name"],
        since=row["decided_at"],
    )


def facts(rows: Sequence[Row], digest: str | None, now: datetime) -> LedgerFacts:
    """What the rows of one model say about its champion and about the bundle `digest`."""
    champion = succession(rows).champion
    known = LedgerFacts(
        read_at=now,
        has_champion=champion is not None,
        champion_version=champion.version if champion else None,
        champion_digest=champion.digest if champion else None,
        standing="new",
    )
    if champion is not None and champion.digest == digest:
        return replace(known, standing="champion", standing_since=champion.since)
    for row in rows:
        said, bundle = row["evidence"], row["evidence"]["bundle"]
        # Later words replace earlier ones: a bundle approved after its rejection is no longer rejected.
        if row["action"] == "rollback" and said["rolled_back"]["digest"] == digest:
            known = _standing(known, "rolled_back", row)
        elif row["action"] == "reject" and bundle["digest"] == digest:
            known = _standing(known, "rejected", row)
        elif row["decision"] == "promote" and bundle["digest"] == digest:
            known = replace(known, standing="new", standing_since=None, standing_why=None)
    return known


def _standing(known: LedgerFacts, standing: Any, row: Row) -> LedgerFacts:
    who = f"by {row['actor']}" + (f": {row['why']}" if row["why"] else "")
    return replace(known, standing=standing, standing_since=row["decided_at"], standing_why=who)

"""A recorded decision as people and programs want to see it: text, markdown, JSON, figures. One ledger row in."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from orchestration.promotion.evidence import Evidence, from_json
from orchestration.promotion.ledger import Row
from orchestration.promotion.reports import checks_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Verdict:
    """What was decided on the newest candidate; `fresh` is false when it had been decided before."""

    row: Row
    fresh: bool = True
    pages: tuple[str, ...] = ()
    """Drift reports attached to the candidate's run, by artifact path."""
    later: tuple[str, ...] = ()
    """What people have said about the version since, e.g. that it was rolled back."""

    @classmethod
    def skipped(cls, model: str, why: str) -> "Verdict":
        """Nothing was trained, so there is nothing to decide."""
        row = {"model": model, "version": "", "run_id": "", "decision": "skipped", "reasons": [why]}
        return cls(row | {"evidence": {}, "champion_before": None, "champion_after": None}, fresh=False)

    @property
    def decision(self) -> str:
        """`promote`, `hold`, `review` or `skipped`."""
        return str(self.row["decision"])

    @property
    def version(self) -> str:
        """The candidate's version; empty when nothing was trained."""
        return str(self.row["version"])

    @property
    def run_id(self) -> str:
        """MLflow run of the candidate."""
        return str(self.row["run_id"])

    @property
    def reasons(self) -> list[str]:
        """The sentences that decided."""
        return list(self.row["reasons"])

    @property
    def checks(self) -> list[dict[str, Any]]:
        """All checks: point, name, outcome, reason."""
        return list((self.row["evidence"].get("decision") or {}).get("checks", []))

    @property
    def retrain(self) -> bool:
        """Whether the champion's training window has drifted from the latest one."""
        return bool((self.row["evidence"].get("decision") or {}).get("retrain"))

    def checks_of(self, *points: int) -> list[dict[str, Any]]:
        """The checks of some points of the gate."""
        return [check for check in self.checks if check["point"] in points]

    @cached_property
    def _evidence(self) -> Evidence | None:
        known = self.row["evidence"].get("evidence")
        return None if known is None else from_json(json.dumps(known))

    @property
    def figures(self) -> "dict[str, Figure]":
        """Gains with intervals and drift by column, by file name."""
        from orchestration.promotion.figures import figures

        return {} if self._evidence is None else figures(self._evidence)

    def headline(self) -> str:
        """Model, version, decision, and whether it is news."""
        subject = f"{self.row['model']} version {self.version}" if self.version else str(self.row["model"])
        return f"{subject}: {self.decision}" + self._when()

    def _when(self) -> str:
        if self.fresh or not self.version:
            return ""
        return f" (nothing new: decided on {self.row['decided_at']:%Y-%m-%d %H:%M} UTC)"

    def line(self) -> str:
        """One line for a log."""
        return f"{self.headline()}. {self.reasons[0]}"

    def text(self, width: int = 110) -> str:
        """A table for the terminal: one check a line."""
        if not self.checks:
            return self.line()
        due = ["The champion's training window has drifted: a retraining is due."] if self.retrain else []
        return "\n".join([checks_text(self.headline(), self.checks, width), *due, *self.later])

    def markdown(self) -> str:
        """The same for Dagster."""
        lines = [f"**{self.headline()}**", "", *[f"- {told}" for told in (*self.reasons, *self.later)], ""]
        if self.checks:
            lines += ["| point | outcome | check | finding |", "|---|---|---|---|"]
            lines += [
                f"| {check['point']} | {check['outcome']} | {check['name']} | {check['reason'].replace('|', '/')} |"
                for check in self.checks
            ]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready: decision, version, reasons, checks, the comparisons' figures, champion before and after."""
        decided_at = self.row.get("decided_at")
        evidence = self.row["evidence"].get("evidence") or {}
        return {
            "model": self.row["model"],
            "version": self.version,
            "run_id": self.run_id,
            "decision": self.decision,
            "reasons": self.reasons,
            "fresh": self.fresh,
            "retraining_due": self.retrain,
            "later": list(self.later),
            "decided_at": decided_at.isoformat() if decided_at is not None else None,
            "champion_before": self.row["champion_before"],
            "champion_after": self.row["champion_after"],
            "checks": self.checks,
            "versus_champion": evidence.get("versus_champion"),
            "preferences": evidence.get("preferences"),
            "versus_baselines": evidence.get("versus_baselines") or [],
        }

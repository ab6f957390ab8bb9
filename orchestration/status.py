"""What is champion, what was decided last, and what the lake holds: read from the ledger, MLflow and the lake."""

from typing import Any

from orchestration.lake.connection import current_snapshot, lake_exists
from orchestration.lake.ledger import decisions
from orchestration.lake.status import raw_counts
from orchestration.promotion.ledger import Reign, Row, succession
from serving.pointers import KINDS
from serving.settings import Settings


def _entry(settings: Settings, reign: Reign | None) -> dict[str, Any] | None:
    from mlflow import MlflowClient

    if reign is None:
        return None
    run = MlflowClient(settings.tracking_uri).get_run(reign.run_id)
    return {
        "version": reign.version,
        "run_id": reign.run_id,
        "name": reign.name,
        "promoted_at": reign.since.isoformat(),
        "metrics": dict(run.data.metrics),
    }


def _model_status(settings: Settings, rows: list[Row]) -> dict[str, Any]:
    line = succession(rows)
    last = None
    if rows:
        last = {
            "version": rows[-1]["version"],
            "decision": rows[-1]["decision"],
            "action": rows[-1]["action"],
            "actor": rows[-1]["actor"],
            "decided_at": rows[-1]["decided_at"].isoformat(),
            "reasons": list(rows[-1]["reasons"]),
        }
    return {
        "champion": _entry(settings, line.champion),
        "previous": _entry(settings, line.previous),
        "last_decision": last,
    }


def read_status(settings: Settings) -> dict[str, Any]:
    """The document that `tidegate status --json` prints. Raises UserError when the lake cannot be opened."""
    counts = raw_counts(settings)
    return {
        "models": {model: _model_status(settings, decisions(settings, model)) for model in KINDS},
        "lake": {"snapshot": current_snapshot(settings) if lake_exists(settings) else None}
        | {stream: counts[stream] for stream in ("events", "posts", "users")},
    }


def status_text(status: dict[str, Any]) -> str:
    """The same for a person."""
    lake = status["lake"]
    lines = [
        f"lake: snapshot {lake['snapshot']}, "
        + ", ".join(f"{lake[name]:,} {name}" for name in ("events", "posts", "users"))
    ]
    for model, known in status["models"].items():
        champion, last = known["champion"], known["last_decision"]
        lines.append(
            f"{model}: version {champion['version']} ({champion['name']}) since {champion['promoted_at']}"
            if champion
            else f"{model}: no champion"
        )
        if last:
            lines.append(f"  last decision: {last['decision']} of version {last['version'] or '-'}")
            lines += [f"    {reason}" for reason in last["reasons"]]
    return "\n".join(lines)

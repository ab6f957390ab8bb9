"""A decision for people: a self-contained page, a JSON document and a table for the terminal, all from one ledger row.

The page loads nothing: styles and bars are inside it. It can be made again from the ledger at any time.
"""

import base64
import json
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.promotion.ledger import Row

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATES = Path(__file__).parent / "templates"
_WIDTH = 160
_REACH = {
    "exposure_small": "exposure of small authors",
    "exposure_medium": "exposure of medium authors",
    "exposure_large": "exposure of large authors",
    "exposure_unknown": "exposure of posts without a known author",
    "exposure_small_against_actions": "exposure of small authors against their share of actions",
    "gini_posts": "Gini of exposure over posts (lower is better)",
    "gini_authors": "Gini of exposure over authors (lower is better)",
}
_VERDICTS = {"drifted": 0, "not_judged": 1, "stable": 2}


def report_json(row: Row) -> dict[str, Any]:
    """The whole row, JSON-ready: decision, reasons, checks, evidence, who and when."""
    decided_at = row["decided_at"]
    plain = decided_at.isoformat() if isinstance(decided_at, datetime) else str(decided_at)
    return {**row, "decided_at": plain}


def report_html(row: Row, figures: Mapping[str, bytes] | None = None) -> str:
    """The row as a page; `figures` are PNG images by name, shown inline."""
    evidence = row["evidence"].get("evidence") or {}
    context = {
        **{name: row[name] for name in ("model", "version", "decision", "reasons", "actor", "why")},
        "champion_before": row["champion_before"],
        "champion_after": row["champion_after"],
        "decided_at": _instant(row["decided_at"]),
        "bundle": row["evidence"]["bundle"],
        "checks": (row["evidence"].get("decision") or {}).get("checks", []),
        "metric": (evidence.get("versus_baselines") or [{}])[0].get("metric"),
        "confidence": "95 %",
        "comparisons": _comparisons(evidence),
        "slices": _slices(evidence),
        "reach": _reach(evidence),
        "drifts": _drifts(evidence),
        "contracts": _broken_contracts(evidence),
        "figures": {
            name: "data:image/png;base64," + base64.b64encode(data).decode()
            for name, data in (figures or {}).items()
        },
        "provenance": _provenance(row, evidence),
    }
    return _template().render(context)


def files(row: Row, figures: Mapping[str, bytes] | None = None) -> dict[str, str]:
    """Artifacts of a decision, path to text, as they are attached to the candidate's run."""
    document = json.dumps(report_json(row), ensure_ascii=False, indent=2, default=str)
    return {"gate/report.html": report_html(row, figures), "gate/report.json": document}


def checks_text(head: str, checks: Sequence[Mapping[str, Any]], width: int = 110) -> str:
    """A table for the terminal: one check a line under `head`, the reasons wrapped beside it."""
    names = max((len(check["name"]) for check in checks), default=0)
    room = max(30, width - names - 14)
    lines = [head, "=" * len(head)]
    for check in checks:
        first, *more = textwrap.wrap(check["reason"], room) or [""]
        lines.append(f"{check['point']}  {check['outcome']:8} {check['name']:{names}}  {first}")
        lines += [" " * (names + 14) + rest for rest in more]
    return "\n".join(lines)


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("report.html.j2")


def _instant(value: Any) -> str:
    stamp = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return f"{stamp:%Y-%m-%d %H:%M} UTC"


def _number(value: Any, signed: bool = False) -> str:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "missing"
    return f"{value:+.4f}" if signed else f"{value:.4f}"


def _span(parts: Iterable[Mapping[str, Any]]) -> float:
    """Half the width that all bars of a table share, so that they can be compared."""
    ends = [abs(part[name]) for part in parts for name in ("low", "high") if part.get(name) is not None]
    return max(ends, default=0.0) or 1.0


def _bar(part: Mapping[str, Any], span: float) -> dict[str, str] | None:
    """An interval around zero in the middle of a bar; what is wider than the table's span is cut at the edge."""
    low, gain, high = (part.get(name) for name in ("low", "gain", "high"))
    if low is None or gain is None or high is None:
        return None

    def at(value: float) -> str:
        return f"{_WIDTH / 2 + max(-1.0, min(1.0, value / span)) * (_WIDTH / 2 - 6):.1f}"

    kind = "ok" if low > 0 else "bad" if high < 0 else "plain"
    label = f"{low:+.4f} to {high:+.4f}"
    return {"start": at(low), "middle": at(gain), "end": at(high), "kind": kind, "label": label}


def _part(part: Mapping[str, Any], label: str, span: float) -> dict[str, Any]:
    interval = f"[{_number(part.get('low'), True)}, {_number(part.get('high'), True)}]"
    return {
        "label": label,
        "candidate_mean": _number(part.get("candidate_mean")),
        "other_mean": _number(part.get("other_mean")),
        "gain": f"{_number(part.get('gain'), True)} {interval}",
        "bar": _bar(part, span),
        "n_units": part.get("n_units"),
    }


def _comparisons(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    known = [
        ("champion", evidence.get("versus_champion")),
        ("champion, latest window", evidence.get("latest")),
    ]
    if not (evidence.get("ledger") or {}).get("has_champion"):
        known = [("strongest baseline, latest window", evidence.get("latest"))]
    known += [("baseline", part) for part in evidence.get("versus_baselines") or []]
    known += [("champion, win rate on held-out pairs", evidence.get("preferences"))]
    parts = [(f"{label}: {part['other_name']}", part) for label, part in known if part]
    spans = {
        metric: _span(p for _, p in parts if p["metric"] == metric)
        for metric in {p["metric"] for _, p in parts}
    }
    return [_part(part, label, spans[part["metric"]]) for label, part in parts]


def _slices(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    parts = (evidence.get("slices") or {}).get("slices") or []
    span = _span(part for part in parts if (part.get("n_units") or 0) >= 30)
    return [_part(part, f"{part['dimension']}: {part['value']}", span) for part in parts]


def _reach(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    part = evidence.get("reach") or {}
    measures = part.get("measures") or []
    span = _span(measures)
    return [
        _part(measure | {"n_units": part.get("n_units")}, _REACH.get(measure["name"], measure["name"]), span)
        for measure in measures
    ]


def _drifts(evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    titles = {
        "drift_candidate": "Drift since the candidate was trained",
        "drift_champion": "Drift since the champion was trained",
        "disagreement": "Answers of candidate against champion",
    }
    found = []
    for name, title in titles.items():
        part = evidence.get(name) or {}
        columns = sorted(part.get("columns") or [], key=lambda column: _VERDICTS.get(column["verdict"], 3))
        if columns:
            shown = [_column(column) for column in columns]
            found.append(
                {"title": title, "window": _window(part), "notes": part.get("notes") or [], "columns": shown}
            )
    return found


def _window(part: Mapping[str, Any]) -> str:
    names = ("reference_start", "reference_end", "current_start", "current_end")
    if any(part.get(name) is None for name in names):
        return ""
    start, end, latest, now = (_instant(part[name]) for name in names)
    return f"{start} to {end} against {latest} to {now}."


def _column(column: Mapping[str, Any]) -> dict[str, Any]:
    value, threshold, verdict = column.get("value"), column.get("threshold"), column["verdict"]
    bar = None
    if value is not None and threshold:
        end = f"{min(value / threshold / 2.5, 1.0) * _WIDTH:.1f}"
        kind = "bad" if verdict == "drifted" else "ok"
        bar = {"end": end, "kind": kind, "label": f"{value:.3f} of {threshold:.3f}"}
    label = verdict.replace("_", " ") + (f": {column['finding']}" if verdict == "not_judged" else "")
    return {**column, "label": label, "bar": bar}


def _broken_contracts(evidence: Mapping[str, Any]) -> list[str]:
    results = (evidence.get("contracts") or {}).get("results") or []
    return [
        f"{result['suite']}.{result['rule']} ({_weight(result)}): {result.get('detail') or 'no detail'}"
        for result in results
        if not result["success"]
    ]


def _weight(result: Mapping[str, Any]) -> str:
    return "critical" if result["critical"] else "not critical"


def _provenance(row: Row, evidence: Mapping[str, Any]) -> dict[str, Any]:
    champion = evidence.get("champion") or {}
    decision = row["evidence"].get("decision") or {}
    return {
        "MLflow run": row["run_id"],
        "bundle": row["evidence"]["bundle"]["digest"],
        "trained until": row["evidence"]["bundle"].get("trained_until"),
        "champion's bundle": champion.get("digest") or "none",
        "policy": row["policy_digest"],
        "evidence": decision.get("evidence_digest") or "none",
        "ledger row": row.get("seq", "not yet appended"),
    }

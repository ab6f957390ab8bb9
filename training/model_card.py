"""Model cards in Markdown, after Mitchell et al., "Model Cards for Model Reporting" (FAT* 2019)."""

from typing import Any

from training.result import Candidate, TrainingOutcome

_USE = {
    "recommender": (
        "Ranks the posts of one social network for one of its users. Meant for feeds with a person in control of what "
        "is shown; not for decisions about people."
    ),
    "generator": (
        "Continues or drafts short posts in the languages of its corpus. A small model trained from scratch: it knows "
        "no facts and must not be asked for any."
    ),
    "base_model": (
        "Continues or drafts posts in the languages of its corpus, and answers in conversations as far as its base "
        "model was taught to. What it says of facts is not checked."
    ),
}
_LIMITS = {
    "recommender": (
        "Learns from what was shown before, so it inherits the exposure of earlier rankings. New users get a named "
        "fallback until they have acted."
    ),
    "generator": (
        "Personal data is masked by patterns before training; patterns miss what they do not describe. Output is "
        "checked for leaks and repetition at the gate, on samples."
    ),
}
_MAIN = {
    "recommender": (
        *("ndcg_at_10", "recall_at_10", "mrr", "coverage_at_10", "novelty_at_10"),
        *(
            "gini_posts_at_10",
            "gini_authors_at_10",
            "popularity_lift_at_10",
            "exposure_treatment_ratio_at_10",
        ),
    ),
    "generator": ("bits_per_byte",),
}


def _metric_rows(model: str, candidate: Candidate) -> list[str]:
    rows = []
    for split in ("validation", "test"):
        for name in _MAIN[model]:
            key = f"{split}/{name}"
            if key in candidate.metrics:
                low, high = candidate.metrics.get(f"{key}_low"), candidate.metrics.get(f"{key}_high")
                interval = f"{low:.4f} to {high:.4f}" if low is not None and high is not None else ""
                rows.append(f"| {key} | {candidate.metrics[key]:.4f} | {interval} |")
    return rows


def _base(candidate: Candidate) -> dict[str, str]:
    """What the manifest says of a base model; empty for a model from scratch."""
    found: dict[str, str] = candidate.bundle.manifest["extra"].get("base_model", {})
    return found


def _base_model(candidate: Candidate) -> list[str]:
    base = _base(candidate)
    if not base:
        return []
    return [
        f"## Base model\n`{base['name']}` ({base['title']}), weights with SHA-256 `{base['sha256']}`, licence "
        f"{base['licence']}. Trained by others: what it read, and whether held-out documents were among it, is not "
        "known here: its figures may look better for it."
    ]


def _licence(candidate: Candidate) -> str:
    base = _base(candidate)
    return f"that of the base model, {base['licence']}" if base else "as the project"


def model_card(model: str, candidate: Candidate, outcome: TrainingOutcome, lineage: dict[str, Any]) -> str:
    """The card of one candidate: use, data, method, figures with 95 % intervals, slices, limits, lineage."""
    slices = sorted(
        (name, value)
        for name, value in candidate.metrics.items()
        if name.startswith("test/") and name.count("/") >= 3
    )
    rows = "\n".join(f"- `{table}`: {count:,} rows" for table, count in lineage["rows"].items())
    role = (
        "chosen on the validation window"
        if candidate.name == outcome.best
        else "baseline or rejected candidate"
    )
    parts = [
        f"# {model}: {candidate.name}",
        f"**Role in this cycle:** {role}.",
        f"## Intended use\n{_USE['base_model' if _base(candidate) else model]}",
        f"## Data\nLake snapshot {lineage['lake.snapshot']}:\n{rows}\n\n"
        f"Weights have seen nothing at or after {candidate.bundle.trained_until.isoformat()}; held-out window "
        f"{outcome.window[0].isoformat()} to {outcome.window[1].isoformat()}.",
        "## Figures\n| metric | value | 95 % interval |\n|---|---|---|\n"
        + "\n".join(_metric_rows(model, candidate)),
        "## By slice\n"
        + ("\n".join(f"- {name}: {value:.4f}" for name, value in slices) or "none large enough"),
        *_base_model(candidate),
        f"## Limits\n{_LIMITS[model]}",
        "## Notes\n" + ("\n".join(f"- {note}" for note in outcome.notes) or "none"),
        f"## Lineage\nBundle digest `{candidate.bundle.digest}`, features `{lineage['features.digest']}`, "
        f"code `{lineage['code.digest']}`. Fitted in {candidate.seconds:.1f} s. Licence: {_licence(candidate)}; the "
        "data's own terms apply to what was learnt from it.",
    ]
    return "\n\n".join(parts) + "\n"

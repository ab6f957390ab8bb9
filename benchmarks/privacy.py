"""Precision and recall of masking personal data, by kind and language, on generated labelled sentences.

`python -m benchmarks.privacy --out DIR [--presidio PYTHON]`: ours, the SQL masks of the feature models and, given an
interpreter that has presidio-analyzer, its own recognisers without a language model, all on the same sentences.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb
import jinja2

from benchmarks.privacy_cases import KINDS, Case, cases
from training.privacy.find import MASKS, find

HERE = Path(__file__).resolve().parent
_PARTS = 4
"""A value that loses all its runs of so many characters is gone."""
Found = list[tuple[str, str]]
"""For each text what is left of it and the kinds that were found, comma separated."""


def ours(texts: Sequence[str]) -> Found:
    """The library's masks."""
    return [_without(text, [(s.kind, s.start, s.end) for s in find(text)]) for text in texts]


def _without(text: str, spans: Sequence[tuple[str, int, int]]) -> tuple[str, str]:
    kept = "".join(c if not any(a <= at < b for _, a, b in spans) else "\0" for at, c in enumerate(text))
    return kept, ",".join(sorted({kind for kind, _, _ in spans}))


def feature_models(texts: Sequence[str]) -> Found:
    """What `mask_personal_data` makes of cleaned texts, in DuckDB."""
    source = (HERE.parent / "dbt_project" / "macros" / "text.sql").read_text("utf-8")
    module = jinja2.Environment().from_string(source).module
    sql = module.mask_personal_data(module.clean_text("text"))  # type: ignore[attr-defined]
    connection = duckdb.connect()
    connection.execute("create table texts (n integer, text varchar)")
    connection.executemany("insert into texts values (?, ?)", list(enumerate(texts)))
    rows = connection.execute(f"select {sql} from texts order by n").fetchall()
    names = {mask: kind for kind, mask in MASKS.items()}
    return [
        (row[0], ",".join(sorted(kind for mask, kind in names.items() if mask in row[0]))) for row in rows
    ]


def presidio(python: str) -> Callable[[Sequence[str]], Found]:
    """Its recognisers, run by `python`."""

    def masked(texts: Sequence[str]) -> Found:
        peer = HERE / "peers" / "presidio_masks.py"
        answer = subprocess.run(
            [python, str(peer)], input=json.dumps(list(texts)), capture_output=True, text=True, check=True
        )
        found = json.loads(answer.stdout)
        print(f"presidio: {found['seconds']:.2f} s of processor time after its imports", file=sys.stderr)
        return [_without(text, spans) for text, spans in zip(texts, found["spans"], strict=True)]

    return masked


def _gone(case: Case, left: str) -> bool:
    """No run of the value is left that the sentence around it does not hold as well."""
    value = case.value.removeprefix("微信号：").removeprefix("QQ ")
    around = case.text.replace(value, "\0")
    for mask in MASKS.values():
        left = left.replace(mask, "\0")
    runs = (value[at : at + _PARTS] for at in range(max(len(value) - _PARTS + 1, 1)))
    return not any(run in left and run not in around for run in runs)


def table(model: str, known: Sequence[Case], found: Found) -> list[dict[str, str | float]]:
    """A row a kind and language: recall by sort of formats, and precision over all sentences of the language."""
    rows: list[dict[str, str | float]] = []
    both = list(zip(known, found, strict=True))
    for kind in KINDS:
        for lang in ("en", "zh"):
            mine = [(case, left) for case, (left, _) in both if (case.kind, case.lang) == (kind, lang)]
            hits = sum(_gone(case, left) for case, left in mine)
            wrong = sum(
                kind in kinds.split(",")
                and (case.kind == "none" or not (case.kind == kind or _gone(case, left)))
                for case, (left, kinds) in both
                if case.lang == lang
            )
            row: dict[str, str | float] = {"model": model, "kind": kind, "lang": lang}
            for formats in ("usual", "held out"):
                part = [_gone(case, left) for case, left in mine if case.formats == formats]
                row[f"recall, {formats}"] = sum(part) / len(part) if part else float("nan")
            row["precision"] = hits / (hits + wrong) if hits + wrong else float("nan")
            rows.append(row)
    return rows


def report(rows: Sequence[dict[str, str | float]]) -> str:
    """All rows as one table, models side by side."""
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    lines = [
        "| kind | language | " + " | ".join(f"{m}: recall usual / held out, precision" for m in models) + " |"
    ]
    lines.append("|---" * (2 + len(models)) + "|")
    for kind in KINDS:
        for lang in ("en", "zh"):
            cells = []
            for model in models:
                row = next(r for r in rows if (r["model"], r["kind"], r["lang"]) == (model, kind, lang))
                numbers = [row["recall, usual"], row["recall, held out"], row["precision"]]
                shown = ["-" if value != value else f"{value:.3f}" for value in numbers]
                cells.append(f"{shown[0]} / {shown[1]}, {shown[2]}")
            lines.append(f"| {kind} | {lang} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Print the table and write results.json and results.md."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for results.json and results.md")
    parser.add_argument(
        "--each", type=int, default=200, help="sentences a kind, language and sort of formats"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--presidio", help="an interpreter that has presidio-analyzer")
    asked = parser.parse_args()
    models = {"ours": ours, "feature models": feature_models}
    models |= {"presidio": presidio(asked.presidio)} if asked.presidio else {}
    known = cases(asked.each, asked.seed)
    rows = []
    for name, model in models.items():
        began = time.process_time()
        rows += table(name, known, model([case.text for case in known]))
        print(
            f"{name}: {len(known)} sentences, {time.process_time() - began:.2f} s of processor time",
            file=sys.stderr,
        )
    asked.out.mkdir(parents=True, exist_ok=True)
    text = report(rows)
    (asked.out / "results.md").write_text(text, "utf-8")
    (asked.out / "results.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False), "utf-8")
    print(text)


if __name__ == "__main__":
    main()

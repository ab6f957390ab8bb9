"""Language models at equal wall time: tidegate's, its LSTM and n-gram model, nanoGPT's recipe for a CPU, and xz.

`python benchmarks/generator.py FILE --seconds 60,180 --out DIR`: FILE is plain text or tidegate's `posts.jsonl`, either
one gzipped or not; its first nine tenths train, the rest validates. Every contender reads the same tokens, learned from
the training text, in a process of its own, one after the other, and has the same time, counting included.
DIR receives results.json, results.md and loss.png.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from curves import plot_curves
from options import budgets, names
from texts import LEVELS, Texts, encode, level_of, read

HERE = Path(__file__).resolve().parent
TIMED = ("ours", "ours_lstm", "ours_transformer", "lstm", "nanogpt")
"""Models that learn as long as they may; the others take what they take, once."""
MODELS = (*TIMED, "ngram", "xz")
DEFAULT = ("ours", "lstm", "ngram", "nanogpt", "xz")
"""Not the members of our ensemble, each with all of the time to itself."""


@dataclass(frozen=True)
class Result:
    """One row: a model after so many seconds."""

    model: str
    seconds: float
    nats_per_char: float
    bits_per_byte: float
    parameters: int
    tokens_per_s: float


def run(model: str, text: Path, seconds: Sequence[float], work: Path) -> list[Result]:
    """Train and measure in processes of their own. Raises CalledProcessError."""
    if model not in TIMED:
        found = _process(model, text, 0, work)
        return [Result(model, **found | {"seconds": one}) for one in seconds if found["seconds"] <= one]
    return [Result(model, **_process(model, text, one, work) | {"seconds": one}) for one in seconds]


def _process(model: str, text: Path, seconds: float, work: Path) -> dict[str, float]:
    out = work / "result.json"
    command = [sys.executable, HERE / "generator_contender.py", model, text, str(seconds), out]
    subprocess.run(command, check=True, cwd=work)
    found: dict[str, float] = json.loads(out.read_text())
    print(f"{model}: took {found['seconds']:.1f} s", flush=True)
    return found


def compressed(texts: Texts, seconds: Sequence[float]) -> list[Result]:
    """Rows of xz, the same at every budget."""
    bits = texts.xz_bits_per_byte()
    nats = bits * 0.6931471805599453 * texts.n_bytes / texts.characters
    return [Result("xz", one, nats, bits, 0, 0.0) for one in seconds]


def table(results: Sequence[Result], texts: Texts, name: str, level: str) -> str:
    """Markdown, the best of each budget first."""
    lines = [
        f"# {name}: {len(texts.train):,} documents to train on, {len(texts.validation):,} to validate",
        "",
        f"Level `{level}`, {texts.n_bytes:,} bytes of validation text. Seconds are the budget, counting included.",
        "",
        "| seconds | model | nats a character | bits a byte | parameters | tokens/s |",
        "|---:|---|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {one.seconds:g} | {one.model} | {one.nats_per_char:.4f} | {one.bits_per_byte:.4f} "
        f"| {one.parameters:,} | {one.tokens_per_s:,.0f} |"
        for one in sorted(results, key=lambda result: (result.seconds, result.bits_per_byte))
    ]
    return "\n".join(lines) + "\n"


def plot(results: Sequence[Result], path: Path) -> None:
    """Loss against time."""
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in results:
        curves[one.model].append((one.seconds, one.bits_per_byte))
    plot_curves(curves, ("seconds of training", "validation bits a byte"), path, from_zero=False)


def main() -> int:
    """Run what is asked for; what is done is written after every model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="text or posts.jsonl, plain or .gz")
    parser.add_argument(
        "--seconds", type=budgets("seconds", "60,180"), default=[60.0, 180.0], help="budgets, as 60,180"
    )
    parser.add_argument("--level", choices=LEVELS, help="default: char for alphabets, else bpe")
    parser.add_argument("--models", type=names(MODELS), default=list(DEFAULT), help=",".join(MODELS))
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    known = parser.parse_args()
    try:
        texts = read(known.file)
    except (OSError, ValueError) as error:
        print(f"generator.py: {error}", file=sys.stderr)
        return 2
    level = known.level or level_of(texts)
    known.out.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="tidegate-benchmark-") as folder:
        work = Path(folder)
        if any(model != "xz" for model in known.models):
            encode(texts, level).save(work / "text.npz")
        for model in known.models:
            try:
                if model == "xz":
                    found = compressed(texts, known.seconds)
                else:
                    found = run(model, work / "text.npz", known.seconds, work)
            except subprocess.CalledProcessError as error:
                print(f"generator.py: {model} failed with status {error.returncode}", file=sys.stderr)
                return 1
            results += found
            if not found:
                print(f"{model} took longer than any of the budgets: not listed", flush=True)
            for one in found:
                print(f"{model}: {one.seconds:g} s, {one.bits_per_byte:.4f} bits a byte", flush=True)
            rows = json.dumps([asdict(one) for one in results], indent=2)
            (known.out / "results.json").write_text(rows + "\n")
            (known.out / "results.md").write_text(table(results, texts, known.file.name, level))
    if results:
        plot(results, known.out / "loss.png")
    print((known.out / "results.md").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())

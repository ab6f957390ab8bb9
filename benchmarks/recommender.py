"""Next-item recommenders at equal wall time: tidegate's, the cheap ones, and the libraries' a user would pick.

`python benchmarks/recommender.py FILE --minutes 1,5,15 --out DIR`: FILE holds `user item` pairs in time order or a
`user item item ...` line a user, plain or gzipped. Leave-one-out, full ranking, seen items filtered (leave_one_out.py).
DIR receives results.json, results.md and quality.png. The peers are installed into an environment of their own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from curves import plot_curves
from leave_one_out import Corpus, metrics, read
from options import budgets, names

HERE = Path(__file__).resolve().parent
OURS = ("popularity", "skip_transition", "ridge", "ours")
PEERS = {"implicit": "implicit_als.py", "rectools": "rectools_sasrec.py"}
TIMED = ("ours", "rectools")
"""Models that learn as long as they may; the others take what they take, once."""


@dataclass(frozen=True)
class Result:
    """One row: a model after so many minutes."""

    model: str
    minutes: float
    hr10: float
    ndcg10: float
    hr50: float
    seconds: float
    peak_mb: float

    def row(self) -> dict[str, float | str]:
        """As in results.json."""
        names = {"hr10": "hr@10", "ndcg10": "ndcg@10", "hr50": "hr@50"}
        return {names.get(key, key): value for key, value in asdict(self).items()}


def peers_python(folder: Path) -> Path:
    """The interpreter of the peers' environment, made when it is missing. Raises CalledProcessError."""
    python, done = folder / "bin" / "python", folder / ".installed"
    wanted = (HERE / "peers" / "requirements.txt").read_text()
    if not done.exists() or done.read_text() != wanted:
        print(f"installing the peers into {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        requirements = HERE / "peers" / "requirements.txt"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", requirements], check=True)
        done.write_text(wanted)
    return python


def run(model: str, corpus: Path, minutes: Sequence[float], peers: Path, work: Path) -> list[Result]:
    """Train and rank in processes of their own. Raises CalledProcessError."""
    if model in PEERS:
        budget = ",".join(f"{one:g}" for one in minutes)
        return _read(
            model, minutes, _process(peers_python(peers), ["peers/" + PEERS[model], corpus, budget], work)
        )
    if model not in TIMED:
        return _read(model, minutes, _process(sys.executable, ["contender.py", model, corpus, "0"], work))
    out = []
    for one in minutes:
        file = _process(sys.executable, ["contender.py", model, corpus, str(one * 60)], work)
        out += _read(model, [one], file)
    return out


def _process(python: str | Path, arguments: Sequence[str | Path], work: Path) -> Path:
    script, *rest = arguments
    out = work / "result.npz"
    subprocess.run([python, HERE / script, *rest, out], check=True, cwd=work)
    return out


def _read(model: str, minutes: Sequence[float], file: Path) -> list[Result]:
    """A row for each number of minutes. What is trained once is the same at every budget that it fits."""
    with np.load(file) as found:
        rank, seconds = np.atleast_2d(found["rank"]), np.atleast_1d(found["seconds"])
        peak = float(found["peak_mb"])
    rows = []
    for index, one in enumerate(minutes):
        at = min(index, len(rank) - 1)
        value = metrics(rank[at])
        if model in TIMED or seconds[at] <= one * 60:
            rows.append(
                Result(model, one, value["hr@10"], value["ndcg@10"], value["hr@50"], float(seconds[at]), peak)
            )
    if not rows:
        print(f"{model} took {seconds[0]:.0f} s, more than any of the budgets: not listed", flush=True)
    return rows


def table(results: Sequence[Result], corpus: Corpus, name: str) -> str:
    """Markdown, the best of each budget first."""
    lines = [
        f"# {name}: {len(corpus):,} users, {corpus.n_items:,} items, {len(corpus.items):,} interactions",
        "",
        "Leave-one-out by place in the file, full ranking, seen items filtered; training seconds as measured.",
        "",
        "| minutes | model | HR@10 | NDCG@10 | HR@50 | seconds | peak MiB |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {one.minutes:g} | {one.model} | {one.hr10:.4f} | {one.ndcg10:.4f} | {one.hr50:.4f} "
        f"| {one.seconds:.1f} | {one.peak_mb:,.0f} |"
        for one in sorted(results, key=lambda result: (result.minutes, -result.ndcg10))
    ]
    return "\n".join(lines) + "\n"


def plot(results: Sequence[Result], path: Path) -> None:
    """NDCG@10 against minutes of training."""
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in results:
        curves[one.model].append((one.minutes, one.ndcg10))
    plot_curves(curves, ("minutes of training", "NDCG@10"), path, from_zero=True)


def main() -> int:
    """Run what is asked for; what is done is written after every model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="interactions, plain or .gz")
    parser.add_argument(
        "--minutes", type=budgets("minutes", "1,5,15"), default=[1.0, 5.0, 15.0], help="budgets, as 1,5,15"
    )
    parser.add_argument(
        "--models", type=names((*OURS, *PEERS)), default=[*OURS, *PEERS], help=",".join((*OURS, *PEERS))
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument(
        "--peers", type=Path, default=HERE / "out" / "peers", help="folder of the peers' environment"
    )
    known = parser.parse_args()
    try:
        corpus = read(known.file)
    except (OSError, ValueError) as error:
        print(f"recommender.py: {error}", file=sys.stderr)
        return 2
    known.out.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="tidegate-benchmark-") as folder:
        work = Path(folder)
        corpus.save(work / "corpus.npz")
        for model in known.models:
            try:
                found = run(model, work / "corpus.npz", known.minutes, known.peers.resolve(), work)
            except subprocess.CalledProcessError as error:
                print(f"recommender.py: {model} failed with status {error.returncode}", file=sys.stderr)
                return 1
            results += found
            for one in found:
                print(f"{model}: {one.minutes:g} min, NDCG@10 {one.ndcg10:.4f}", flush=True)
            (known.out / "results.json").write_text(
                json.dumps([one.row() for one in results], indent=2) + "\n"
            )
            (known.out / "results.md").write_text(table(results, corpus, known.file.name))
    if results:
        plot(results, known.out / "quality.png")
    print((known.out / "results.md").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())

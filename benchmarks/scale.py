"""One epoch of the sequential model over a long catalogue, for several numbers of events: time, and memory that stays.

`python benchmarks/scale.py --users 500000 --posts 1000000 --events 1000000,3000000,10000000 --out DIR`. People come in
proportion to the events; a catalogue is the same for all. Each number of events goes through three processes: Parquet
to histories on disk, one epoch, the index and its recall. DIR receives results.json and results.md.
"""

import argparse
import functools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from measured import Measured, measure

SUCCESSORS = 3
"""Posts that are likely after each post."""
_TOGETHER = 1 << 14
"""People whose events are drawn and written at a time."""
_ASKED = 200
"""Histories whose best posts are looked for."""


@dataclass(frozen=True)
class Corpus:
    """What a synthetic corpus is drawn from."""

    users: int
    posts: int
    events: int
    seed: int = 0


def drawn(corpus: Corpus) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Users and posts of events, part by part; each user's in the order of time.

    Histories are of lognormal length, at least two. Six events of ten follow one of three successors of the post
    before; the others are drawn anew, half of them by Zipf's law and half evenly.
    """
    rng = np.random.default_rng(corpus.seed)
    stride = next(
        n for n in range(int(corpus.posts * 0.618), 2 * corpus.posts) if np.gcd(n, corpus.posts) == 1
    )
    left = corpus.events
    for first in range(0, corpus.users, _TOGETHER):
        count = min(_TOGETHER, corpus.users - first)
        share = corpus.events / corpus.users
        sizes = np.maximum(2, rng.lognormal(np.log(share) - 0.5, 1.0, count)).astype(np.int64)
        sizes = np.minimum(sizes, 50 * int(np.ceil(share)))
        users, posts, post = [], [], np.zeros(count, dtype=np.int64)
        for place in range(int(sizes.max())):
            anew = np.where(
                rng.random(count) < 0.5,
                np.exp(rng.random(count) * np.log(corpus.posts)) - 1,
                rng.random(count) * corpus.posts,
            ).astype(np.int64)
            after = (post * stride + rng.integers(1, 1 + SUCCESSORS, count)) % corpus.posts
            post = np.where((rng.random(count) < 0.6) & (place > 0), after, anew)
            (here,) = np.nonzero(sizes > place)
            users.append(first + here)
            posts.append(post[here])
        user, item = np.concatenate(users)[:left], np.concatenate(posts)[:left]
        left -= len(user)
        yield user, item


def generate(corpus: Corpus, path: Path) -> None:
    """Write the corpus as Parquet, numbers as people and posts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"user": pa.int64(), "item": pa.int64()})
    with pq.ParquetWriter(path, schema) as writer:
        for user, item in drawn(corpus):
            writer.write_batch(pa.record_batch([user, item], schema=schema))


def stream(path: Path, folder: Path) -> None:
    """Parquet to histories on disk."""
    from training.recommender.sequential.arrow import read_arrow

    read_arrow(path, folder)


def train(folder: Path, posts: int, model: Path, minutes: float) -> None:
    """One epoch; the model and how it went into the folder `model`."""
    from training.recommender.sequential.arrow import open_histories
    from training.recommender.sequential.config import SequentialConfig, SparseConfig
    from training.recommender.sequential.files import save_model
    from training.recommender.sequential.fit import fit_sequential

    histories = replace(open_histories(folder)[0], n_items=posts)
    config = SequentialConfig(max_epochs=1, sparse=SparseConfig(max_epochs=1))
    began, notes = time.monotonic(), list[str]()
    fitted, curves = fit_sequential(histories, config, minutes * 60, notes.append)
    spent = time.monotonic() - began
    model.mkdir()
    save_model(fitted, model)
    (model / "went.json").write_text(
        json.dumps({"seconds": spent, "curves": curves, "notes": notes, "width": fitted.net.width})
    )


def retrieve(folder: Path, model: Path) -> None:
    """Build the index, save it, load it, and set what it finds beside what scoring everything finds."""
    from training.recommender.sequential.arrow import open_histories
    from training.recommender.sequential.config import RetrievalConfig
    from training.recommender.sequential.files import load_model
    from training.recommender.sequential.retrieval import INDEX, Retriever

    histories, fitted = open_histories(folder)[0], load_model(model)
    began = time.monotonic()
    # Below the usual threshold too: the recall is what is asked for.
    Retriever.build(fitted, RetrievalConfig(exact_items=1)).save(model)
    built = time.monotonic() - began
    retriever = Retriever.load(fitted, model)
    chosen = np.random.default_rng(0).choice(len(histories), min(_ASKED, len(histories)), replace=False)
    asked = [histories[user] for user in chosen.tolist()]
    found: dict[str, Any] = {"build_seconds": built, "index_mib": (model / INDEX).stat().st_size / 2**20}
    for k in (10, 50):
        seconds, tops = {}, {}
        for name, search in (("index", retriever.search), ("exact", retriever.search_all)):
            began = time.monotonic()
            tops[name] = [search([history], k)[0][0] for history in asked]
            seconds[name] = (time.monotonic() - began) / len(asked)
            found[f"{name}_ms@{k}"] = 1e3 * seconds[name]
        pairs = zip(tops["index"], tops["exact"], strict=True)
        found[f"recall@{k}"] = float(np.mean([len(np.intersect1d(one, other)) / k for one, other in pairs]))
    (model / "found.json").write_text(json.dumps(found))


def run(corpus: Corpus, minutes: float, work: Path) -> dict[str, Any]:
    """All of it for one number of events."""
    work.mkdir()
    parquet, folder, model = work / "events.parquet", work / "histories", work / "model"
    events = corpus.events
    made = measure("generate", events, functools.partial(generate, corpus, parquet))
    read = measure("stream", events, functools.partial(stream, parquet, folder))
    learnt = measure("train", events, functools.partial(train, folder, corpus.posts, model, minutes))
    looked = measure("retrieve", events, functools.partial(retrieve, folder, model))
    went, found = (
        json.loads((model / "went.json").read_text()),
        json.loads((model / "found.json").read_text()),
    )
    curves = went["curves"]
    return {
        "events": json.loads((folder / "histories.json").read_text())["events"],
        "users": corpus.users,
        "posts": corpus.posts,
        "width": went["width"],
        "phases": {one.name: _figures(one) for one in (made, read, learnt, looked)},
        "train_seconds": went["seconds"],
        "ndcg@10_before": curves[0]["sample/ndcg_at_10"],
        "ndcg@10": curves[-1]["sample/ndcg_at_10"],
        "notes": went["notes"],
        "retrieval": found,
    }


def _figures(one: Measured) -> dict[str, float]:
    return {
        "seconds": one.seconds,
        "processor_seconds": one.processor_seconds,
        "peak_mib": one.peak_mib,
        "peak_anonymous_mib": one.peak_anonymous_mib,
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown. Memory is the process's own (RssAnon); pages of mapped files can be dropped at any time."""
    lines = [
        "| events | users | phase | wall s | processor s | events a second | own memory, peak MiB | with files, MiB |",
        "|---:|---:|---|---:|---:|---:|---:|---:|",
    ]
    for one in results:
        for name, phase in one["phases"].items():
            lines.append(
                f"| {one['events']:,} | {one['users']:,} | {name} | {phase['seconds']:,.0f} "
                f"| {phase['processor_seconds']:,.0f} | {one['events'] / phase['seconds']:,.0f} "
                f"| {phase['peak_anonymous_mib']:,.0f} | {phase['peak_mib']:,.0f} |"
            )
    lines += [
        "",
        "| events | NDCG@10 before, after | recall@10 | recall@50 | ms, index | ms, all scored | index MiB | built s |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    for one in results:
        found = one["retrieval"]
        lines.append(
            f"| {one['events']:,} | {one['ndcg@10_before']:.4f}, {one['ndcg@10']:.4f} | {found['recall@10']:.3f} "
            f"| {found['recall@50']:.3f} | {found['index_ms@50']:.1f} | {found['exact_ms@50']:.1f} "
            f"| {found['index_mib']:,.0f} | {found['build_seconds']:,.0f} |"
        )
    return "\n".join(lines) + "\n"


def numbers(text: str) -> list[int]:
    """`1000000,3000000`. Raises ArgumentTypeError."""
    try:
        out = sorted({int(part) for part in text.split(",")})
    except ValueError:
        out = []
    if not out or out[0] < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers such as 1000000,3000000")
    return out


def main() -> int:
    """Run each number of events; what is done is written after each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=500_000, help="people at the largest number of events")
    parser.add_argument("--posts", type=int, default=1_000_000, help="posts of the catalogue")
    parser.add_argument(
        "--events", type=numbers, default=[1_000_000, 3_000_000, 10_000_000], help="as 1000000,3000000"
    )
    parser.add_argument("--minutes", type=float, default=600.0, help="time an epoch may take")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the results; working files go there too"
    )
    known = parser.parse_args()
    if known.users < 1 or known.posts < 2 or known.minutes <= 0:
        parser.error("users, posts and minutes must be positive, posts at least 2")
    known.out.mkdir(parents=True, exist_ok=True)
    results = []
    work = Path(tempfile.mkdtemp(dir=known.out, prefix=".work-"))
    try:
        for events in known.events:
            users = max(1, round(known.users * events / known.events[-1]))
            results.append(run(Corpus(users, known.posts, events), known.minutes, work / str(events)))
            (known.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
            (known.out / "results.md").write_text(table(results))
            print(table(results), flush=True)
            shutil.rmtree(work / str(events))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""tidegate's API against `mlflow models serve` and an empty FastAPI handler: `python -m benchmarks.serving_peer`.

All three run at once and are driven in turn by wrk, several rounds, so that whatever else the machine does weighs on
each alike. The model is the registered champion of TIDEGATE_HOME (after `make run`), any `--bundle`, or with `--posts`
one that is trained here and put on a random feed. API and peer answer from one bundle over its frozen state,
for the same users in the same order; that they recommend the same posts is checked first. The API does more for an
answer than the peer: it validates the request, counts and logs it, and applies the feed's settings.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import wrk
from benchmarks.serving import PATH, empty_handler, feed
from orchestration.promotion.registry import save_pyfunc
from serving.child import READY_SECONDS, serving_child
from serving.main import bind
from serving.pointers import read_champions
from serving.probe import publish
from serving.settings import Settings
from training.bundle import Bundle, open_bundle
from training.errors import UserError
from training.files import write_json_atomic
from training.recommender.config import RecommenderConfig
from training.recommender.export import export, read_state, write_state
from training.recommender.models.registry import read_model
from training.recommender.train import train

OURS, PEER, EMPTY = "tidegate serve", "mlflow models serve", "empty FastAPI handler"
PEER_PATH = "/invocations"
CHECKED = 20
"""Users whose answers are compared before anything is measured."""


@dataclass(frozen=True)
class Server:
    """A running server: where it is asked, with which bodies, and its processes."""

    name: str
    url: str
    bodies: list[bytes]
    process: psutil.Process

    def processor_seconds(self) -> float:
        """Spent so far by all of its processes."""
        times = [p.cpu_times() for p in (self.process, *self.process.children(recursive=True))]
        return sum(t.user + t.system for t in times)

    def mib(self) -> float:
        """Resident memory of all of its processes."""
        return (
            sum(p.memory_info().rss for p in (self.process, *self.process.children(recursive=True))) / 2**20
        )


@dataclass(frozen=True)
class Row:
    """Medians over the rounds; ratios are medians of the ratios within a round, rates against the empty handler's."""

    server: str
    requests_s: float
    p50_ms: float
    p99_ms: float
    processor_ms: float
    mib: float
    of_peer: float
    of_empty: float


def champion(settings: Settings) -> tuple[Bundle, str]:
    """The champion's bundle and its URI in the registry. Raises UserError when none was promoted."""
    pointer = read_champions(settings.home).get("recommender")
    if pointer is None:
        raise UserError(
            f"no recommender was promoted under {settings.home}: `make run` first, or give --posts"
        )
    os.environ["MLFLOW_TRACKING_URI"] = settings.tracking_uri
    return open_bundle(pointer.bundle, "recommender"), f"models:/recommender/{pointer.version}"


def fresh(folder: Path, posts: int, name: str) -> Bundle:
    """A model trained on a small random feed, over a state of `posts` posts."""
    config = RecommenderConfig()
    config.sasrec.max_seconds = 15.0
    outcome = train(feed(2000, 500, 30_000, 1), config, folder / "trained", lambda line: None)
    found = {candidate.name: candidate.bundle for candidate in outcome.candidates}
    if name not in found:
        raise UserError(f"--model: there is no {name}, only {', '.join(found)}")
    write_state(folder / "state", feed(posts, 20_000, 5 * posts, 2), 5 * posts, posts)
    model, known = read_model(found[name]), read_state(folder / "state")
    return export(folder / "bundle", model, folder / "state", known, datetime.now(UTC), {})


@contextmanager
def mlflow_server(uri: str, workers: int, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`mlflow models serve` of the model at `uri` in this environment, once it answers. Raises RuntimeError."""
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        uri,
        "-p",
        str(port),
        "-w",
        str(workers),
    ]
    log = folder / f"mlflow-{workers}.log"
    # MLflow starts `uvicorn` by name.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    with log.open("wb") as output:
        process = psutil.Popen(
            [*command, "--env-manager", "local"],
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(f"http://127.0.0.1:{port}/ping"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mlflow models serve did not come up:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}", process
    finally:
        for child in process.children(recursive=True) if process.is_running() else ():
            child.terminate()
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def people(bundle: Bundle, count: int) -> list[str]:
    """Users of the bundle's state, drawn as often as they act: the busy ones come most, as they do at work."""
    column = pq.read_table(bundle.path / "state" / "interactions.parquet", columns=["user_id"])["user_id"]
    drawn = np.random.default_rng(3).integers(0, len(column), count)
    return [str(user) for user in pc.take(column, drawn).to_pylist()]


def same_answers(api: httpx.Client, peer: str, users: Sequence[str], k: int) -> None:
    """Raises RuntimeError naming the first user for whom API and peer recommend different posts."""
    rows = [{"user_id": user, "k": k} for user in users]
    theirs = httpx.post(f"{peer}{PEER_PATH}", json={"dataframe_records": rows}, timeout=60)
    if not theirs.is_success:
        raise RuntimeError(f"mlflow models serve answered {theirs.status_code}: {theirs.text[:500]}")
    for row, answer in zip(rows, theirs.json()["predictions"], strict=True):
        ours = api.post(PATH, json={**row, "plain": True}).raise_for_status().json()["items"]
        if [item["post_id"] for item in ours] != [item["post_id"] for item in answer]:
            raise RuntimeError(f"API and peer recommend different posts to {row['user_id']}")


def measure(servers: Sequence[Server], args: argparse.Namespace, folder: Path) -> list[Row]:
    """Drive each server in turn, `args.rounds` times after one round to warm up."""
    found: dict[str, list[tuple[wrk.Load, float]]] = {server.name: [] for server in servers}
    for number in range(args.rounds + 1):
        for server in servers:
            before = server.processor_seconds()
            seconds = args.seconds if number else 2
            load = wrk.drive(server.url, server.bodies, args.connections, seconds, folder)
            spent = (server.processor_seconds() - before) / load.requests * 1000
            print(f"round {number}: {server.name}: {load.rate:.0f} requests/s", file=sys.stderr, flush=True)
            if number:
                found[server.name].append((load, spent))

    def ratio(name: str, against: str) -> float:
        pairs = zip(found[name], found[against], strict=True)
        return statistics.median(mine.rate / theirs.rate for (mine, _), (theirs, _) in pairs)

    return [
        Row(
            server=server.name,
            requests_s=statistics.median(load.rate for load, _ in found[server.name]),
            p50_ms=statistics.median(load.p50_ms for load, _ in found[server.name]),
            p99_ms=statistics.median(load.p99_ms for load, _ in found[server.name]),
            processor_ms=statistics.median(spent for _, spent in found[server.name]),
            mib=server.mib(),
            of_peer=ratio(server.name, PEER),
            of_empty=ratio(server.name, EMPTY),
        )
        for server in servers
    ]


def table(rows: Sequence[Row], about: str) -> str:
    """Markdown."""
    head = "server | requests/s | p50 ms | p99 ms | processor ms a request | MiB | of the peer | of the empty handler"
    cells = (
        f"{row.server} | {row.requests_s:,.0f} | {row.p50_ms:.1f} | {row.p99_ms:.1f} | {row.processor_ms:.2f} "
        f"| {row.mib:,.0f} | {row.of_peer:.2f} | {row.of_empty:.2f}"
        for row in rows
    )
    lines = [about, "", f"| {head} |", "|---" + "|---:" * 7 + "|", *(f"| {cell} |" for cell in cells)]
    return "\n".join(lines) + "\n"


def subject(args: argparse.Namespace, folder: Path) -> tuple[Bundle, str]:
    """The bundle to serve and the URI of its MLflow model. Raises UserError for one that is not there or not whole."""
    if args.bundle is None and args.posts is None:
        return champion(Settings())
    bundle = (
        open_bundle(args.bundle, "recommender")
        if args.posts is None
        else fresh(folder, args.posts, args.model)
    )
    save_pyfunc(folder / "model", bundle.path, "recommender")
    return bundle, str(folder / "model")


def run(args: argparse.Namespace, folder: Path) -> tuple[list[Row], str]:
    """Start everything, compare answers, measure. Raises UserError, RuntimeError."""
    bundle, uri = subject(args, folder)
    posts = pq.read_metadata(bundle.path / "state" / "posts.parquet").num_rows
    users = people(bundle, 500)
    ours = [json.dumps({"user_id": user, "k": args.k}).encode() for user in users]
    theirs = [json.dumps({"dataframe_records": [{"user_id": user, "k": args.k}]}).encode() for user in users]
    # Small arrays: a team of threads in each of several servers would only get in the others' way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with ExitStack() as stack:
        for name in ("ours", "empty"):
            (folder / name).mkdir()
        before = {child.pid for child in psutil.Process().children()}
        publish(folder / "ours", bundle)
        api = stack.enter_context(serving_child(folder / "ours", "serving.main", _ready))
        empty = stack.enter_context(empty_handler(folder / "empty"))
        mine, nothing = (p for p in psutil.Process().children() if p.pid not in before)
        servers = [
            Server(OURS, f"{str(api.base_url).rstrip('/')}{PATH}", ours, mine),
            Server(EMPTY, f"{str(empty.base_url).rstrip('/')}{PATH}", ours, nothing),
        ]
        for workers in sorted({1, *args.workers}):
            name = PEER if workers == 1 else f"{PEER}, {workers} workers"
            url, process = stack.enter_context(mlflow_server(uri, workers, folder))
            same_answers(api, url, users[:CHECKED], args.k)
            servers.append(Server(name, f"{url}{PEER_PATH}", theirs, process))
        load = os.getloadavg()[0]
        rows = measure(servers, args, folder)
    about = (
        f"{bundle.architecture}, {posts:,} posts, k={args.k}; wrk with {args.connections} connections, medians of "
        f"{args.rounds} rounds of {args.seconds} s; {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}"
    )
    return rows, about


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.TransportError:
        return False


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--bundle", type=Path, help="a recommender's bundle; absent: the champion of TIDEGATE_HOME"
    )
    which.add_argument("--posts", type=int, help="train on a random feed and serve one of so many posts")
    parser.add_argument("--model", default="blend", help="with --posts: which candidate, such as sasrec")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--workers", type=int, nargs="+", default=[], help="of the peer, besides its default of 1"
    )
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--out", type=Path, help="folder for results.json and results.md")
    args = parser.parse_args()
    if not wrk.installed():
        raise SystemExit(wrk.MISSING)
    with tempfile.TemporaryDirectory() as name:
        try:
            rows, about = run(args, Path(name))
        except (UserError, RuntimeError) as error:
            raise SystemExit(str(error)) from error
    text = table(rows, about)
    print(text)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        results: dict[str, Any] = {"about": about, "rows": [asdict(row) for row in rows]}
        write_json_atomic(args.out / "results.json", results)
        (args.out / "results.md").write_text(text)


if __name__ == "__main__":
    main()

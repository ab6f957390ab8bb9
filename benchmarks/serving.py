"""How fast are recommendations with many posts? Prints two tables; `python -m benchmarks.serving --help`.

Models are trained on a small random feed and served over a state with `--posts` posts, because a request's cost grows
with the posts of the state. Latency is measured in an open loop at a fixed rate, from the moment a request was due (no
coordinated omission); the largest rate with wrk, and against a FastAPI handler that does nothing.
"""

import argparse
import asyncio
import json
import math
import platform
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import wrk
from serving.child import serving_child
from training.bundle import Bundle
from training.files import write_json_atomic
from training.recommender.config import RecommenderConfig
from training.recommender.data import RecommenderTables
from training.recommender.train import train

END = datetime(2026, 1, 31, tzinfo=UTC)
DAYS = 30
COMMUNITIES = 20
PATH = "/v1/recommendations"
_HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
_TABLE = """\
| model | p50 | p90 | p99 | max | wrk requests/s | ratio to an empty handler |
|---|---|---|---|---|---|---|"""


def feed(posts: int, users: int, events: int, seed: int) -> RecommenderTables:
    """A random feed: communities, long-tailed users, posts that live for hours."""
    rng = np.random.default_rng(seed)
    span = DAYS * 86_400
    born = np.sort(rng.uniform(0, span, posts))
    community = rng.integers(0, COMMUNITIES, posts)
    home = rng.integers(0, COMMUNITIES, users)
    user = (users * rng.power(0.5, events)).astype(int).clip(0, users - 1)
    post = rng.integers(0, posts, events)
    # Two events of three stay within the user's community.
    by_community = [np.flatnonzero(community == number) for number in range(COMMUNITIES)]
    for number, members in enumerate(by_community):
        mine = (home[user] == number) & (rng.random(events) < 2 / 3)
        post[mine] = rng.choice(members, int(mine.sum()))
    at = np.minimum(born[post] + rng.exponential(6 * 3600, events), span - 1)
    order = np.argsort(at)
    stamp = pa.timestamp("us", tz="UTC")
    start = (END - timedelta(days=DAYS)).timestamp()

    def moments(seconds: np.ndarray) -> pa.Array:
        return pa.array(((start + seconds) * 1e6).astype("int64")).cast(stamp)

    names = np.array([f"post{number}" for number in range(posts)])
    people = np.array([f"user{number}" for number in range(users)])
    flags = {name: pa.array(np.full(events, name == "is_positive")) for name in _FLAGS}
    interactions = pa.table(
        {
            "event_id": [f"e{number}" for number in range(events)],
            "occurred_at": moments(at[order]),
            "user_id": people[user[order]],
            "post_id": names[post[order]],
            "item_id": names[post[order]],
            "action": pa.array(["like"] * events),
            "weight": np.ones(events),
            **flags,
        }
    )
    table = pa.table(
        {
            "post_id": names,
            "item_id": names,
            "is_root": np.full(posts, True),
            "created_at": moments(born),
            "author_id": people[rng.integers(0, users, posts)],
            "lang": rng.choice(["en", "zh"], posts),
            "topics": [[f"topic{number}"] for number in community],
            "community": [f"topic{number}" for number in community],
        }
    )
    people_table = pa.table(
        {"user_id": people, "languages": [["en"]] * users, "activity": pa.array(["light"] * users)}
    )
    return RecommenderTables(interactions, table, people_table)


_FLAGS = ("is_positive", "is_negative", "is_impression", "is_own_item")


def publish(home: Path, bundle: Bundle, tables: RecommenderTables | None) -> None:
    """Promote `bundle`; publish `tables` as the state unless that was done."""
    online = home / "online"
    if tables is not None:
        folder = online / "state" / "bench"
        folder.mkdir(parents=True)
        for name in ("interactions", "posts", "users"):
            pq.write_table(getattr(tables, name), folder / f"{name}.parquet")
        pointer = {"id": "bench", "lake_snapshot": 1, "published_at": datetime.now(UTC).isoformat()}
        write_json_atomic(online / "state.json", pointer)
    entry = {
        "version": bundle.architecture,
        "run_id": "bench",
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "lake_snapshot": 1,
        "promoted_at": datetime.now(UTC).isoformat(),
    }
    write_json_atomic(online / "champions.json", {"recommender": entry})


@contextmanager
def empty_handler(home: Path) -> Iterator[httpx.Client]:
    """A FastAPI application with a handler that does nothing, run like the server."""

    def answers(client: httpx.Client) -> bool:
        try:
            return client.post(PATH, json={}).is_success
        except httpx.TransportError:
            return False

    with serving_child(home, "benchmarks.empty_app", answers) as client:
        yield client


async def open_loop(url: str, bodies: list[bytes], rate: float, seconds: float) -> list[float]:
    """Milliseconds from when each request was due to its answer, at `rate` requests/s over kept connections."""
    parts = urlsplit(url)
    idle: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(32):
        idle.put_nowait(await asyncio.open_connection(parts.hostname, parts.port))
    times: list[float] = []
    start = time.perf_counter() + 0.1

    async def one(number: int) -> None:
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        connection = await idle.get()
        reader, writer = connection
        body = bodies[number % len(bodies)]
        writer.write(_HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        length = re.search(rb"content-length: (\d+)", answer)
        assert length is not None
        await reader.readexactly(int(length[1]))
        times.append((time.perf_counter() - due) * 1000)
        idle.put_nowait(connection)

    await asyncio.gather(*(one(number) for number in range(int(rate * seconds))))
    while not idle.empty():
        idle.get_nowait()[1].close()
    return sorted(times)


def quantile(values: list[float], share: float) -> float:
    """Of sorted values."""
    return values[math.ceil(share * len(values)) - 1]


def row(
    name: str, url: str, bodies: list[bytes], args: argparse.Namespace, folder: Path, empty: float | None
) -> float | None:
    """Measure one server and print its line; returns wrk's requests/s."""
    asyncio.run(open_loop(url, bodies, args.rate, 2))
    times = asyncio.run(open_loop(url, bodies, args.rate, args.seconds))
    most = wrk.drive(url + PATH, bodies, 4, args.seconds, folder).rate if wrk.installed() else None
    cells = [name, *(f"{quantile(times, share):.1f}" for share in (0.5, 0.9, 0.99)), f"{times[-1]:.1f}"]
    cells.append("-" if most is None else f"{most:.0f}")
    cells.append("-" if most is None or empty is None else f"{most / empty:.2f}")
    print("| " + " | ".join(cells) + " |", flush=True)
    return most


def main() -> None:
    """Train, serve, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--posts", type=int, default=100_000, help="posts of the state that is served")
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--rate", type=float, default=100.0, help="requests/s of the open loop")
    parser.add_argument("--seconds", type=int, default=10, help="of each measurement")
    parser.add_argument("--k", type=int, default=20)
    args = parser.parse_args()
    if not wrk.installed():
        print(f"{wrk.MISSING}: no throughput is measured")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = RecommenderConfig()
        config.sasrec.max_seconds = 15.0
        outcome = train(feed(2000, 500, 30_000, 1), config, folder / "bundles", lambda line: None)
        bodies = [
            json.dumps({"user_id": f"user{number}", "k": args.k}).encode()
            for number in np.random.default_rng(3).integers(0, args.users, 500)
        ]
        machine = platform.processor() or platform.machine()
        print(f"{machine}, {args.posts:,} posts, {args.users:,} users, {args.events:,} events, k={args.k}")
        print(f"Milliseconds at {args.rate:.0f} requests/s; requests/s with 4 connections in a closed loop\n")
        print(_TABLE)
        (folder / "empty").mkdir()
        with empty_handler(folder / "empty") as client:
            empty = row("(empty FastAPI handler)", str(client.base_url), bodies, args, folder, None)
        tables = feed(args.posts, args.users, args.events, 2)
        home = folder / "home"
        for index, candidate in enumerate(outcome.candidates):
            publish(home, candidate.bundle, tables if index == 0 else None)
            with serving_child(home, "serving.main", _ready) as client:
                row(candidate.name, str(client.base_url), bodies, args, folder, empty)


def _ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()

"""Does this bundle really serve? The real server in a process of its own loads it and is asked over HTTP.

The golden requests are asked first, over the bundle's own frozen state, and must be answered as the trainer wrote down.
Then the latency is measured: a recommender's over the published state, for users of that state; a generator's over its
golden requests. The gate takes the result as evidence; nothing that goes wrong here is taken for a pass.
"""

import math
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving import golden
from serving.child import READY_SECONDS, ChildError, serving_child
from serving.pointers import CHAMPIONS, STATE
from training.bundle import Bundle, BundleError, open_bundle
from training.files import write_json_atomic

LEAST_REQUESTS = 20
MOST_REQUESTS = 200
MEASURE_SECONDS = 8.0
"""Measuring ends after so many seconds or MOST_REQUESTS, whichever comes first, but not before LEAST_REQUESTS."""
_PATHS = {"recommender": "/v1/recommendations", "generator": "/v1/completions"}


@dataclass(frozen=True)
class ProbeResult:
    """Evidence for the gate: `ok` needs the right golden answers and a p99 within the budget."""

    ok: bool
    golden_ok: bool
    p50_ms: float | None
    p99_ms: float | None
    detail: str


def probe_bundle(
    bundle_path: Path, state_dir: Path | None, latency_budget_ms: float, *, module: str = "serving.main"
) -> ProbeResult:
    """Serve the bundle at `bundle_path` and ask it; `state_dir` is a published state (None: the bundle's own).

    `module` is started as the server. A bundle that cannot be verified, loaded or asked gives `ok=False` with the
    reason in `detail`; raises OSError only when the temporary folder cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="tidegate-probe-") as folder:
        home = Path(folder)
        try:
            bundle = open_bundle(bundle_path.absolute())
            requests = golden.read(bundle)
            publish(home, bundle)
            with serving_child(home, module, _is_ready) as client:
                return _ask(client, home, bundle, requests, state_dir, latency_budget_ms)
        except (BundleError, ChildError, httpx.HTTPError) as error:
            return ProbeResult(False, False, None, None, str(error) or type(error).__name__)


def publish(home: Path, bundle: Bundle) -> None:
    """Make `bundle` the only champion of a fresh `home`; a recommender answers over its own frozen state."""
    entry = {
        "version": "probe",
        "run_id": "probe",
        "bundle": str(bundle.path),
        "digest": bundle.digest,
        "lake_snapshot": 0,
        "promoted_at": datetime.now(UTC).isoformat(),
        "alias": "candidate",
    }
    if bundle.kind == "recommender":
        _publish_state(home, "golden", bundle.path / golden.STATE)
    write_json_atomic(home / "online" / CHAMPIONS, {bundle.kind: entry})


def _publish_state(home: Path, name: str, tables: Path) -> None:
    states = home / "online" / "state"
    states.mkdir(parents=True, exist_ok=True)
    (states / name).symlink_to(tables.absolute(), target_is_directory=True)
    pointer = {"id": name, "lake_snapshot": 0, "published_at": datetime.now(UTC).isoformat()}
    write_json_atomic(home / "online" / STATE, pointer)


def _readiness(client: httpx.Client) -> dict[str, Any]:
    """What /readyz says; empty while the server starts. Raises ChildError when it refused what it was given."""
    try:
        found: dict[str, Any] = client.get("/readyz").json()
    except httpx.TransportError:
        return {}
    for subject, refusal in found["refused"].items():
        raise ChildError(f"the server refused the {subject}: {refusal['reason']}")
    return found


def _is_ready(client: httpx.Client) -> bool:
    return _readiness(client).get("status") == "ready"


def _ask(
    client: httpx.Client,
    home: Path,
    bundle: Bundle,
    requests: list[dict[str, Any]],
    state_dir: Path | None,
    budget_ms: float,
) -> ProbeResult:
    path = _PATHS[bundle.kind]
    wrong = _first_wrong(client, path, requests)
    bodies = [_body(entry) for entry in requests]
    if bundle.kind == "recommender" and state_dir is not None:
        _publish_state(home, "published", state_dir)
        deadline = time.monotonic() + READY_SECONDS
        while (_readiness(client).get("state") or {}).get("id") != "published":
            if time.monotonic() > deadline:
                raise ChildError(f"the published state was not loaded after {READY_SECONDS:.0f} s")
            time.sleep(0.05)
        bodies = _known_users(state_dir) or bodies
    times = _measure(client, path, bodies)
    p50, p99 = _quantile(times, 0.5), _quantile(times, 0.99)
    fast = p99 <= budget_ms
    detail = wrong or (
        f"{len(requests)} golden requests right; p99 {p99:.1f} ms of {len(times)} requests is "
        f"{'within' if fast else 'above'} the budget of {budget_ms:.0f} ms"
    )
    return ProbeResult(wrong is None and fast, wrong is None, p50, p99, detail)


def _body(entry: dict[str, Any]) -> dict[str, Any]:
    request = entry["request"]
    return {"model": "generator", **request} if "prompt" in request else {**request, "plain": True}


def _post(client: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(path, json=body)
    if answer.status_code != 200:
        raise ChildError(f"{path} answered {answer.status_code}: {answer.json()['detail']}")
    found: dict[str, Any] = answer.json()
    return found


def _first_wrong(client: httpx.Client, path: str, requests: list[dict[str, Any]]) -> str | None:
    for number, entry in enumerate(requests):
        got = golden.reduced(_post(client, path, _body(entry)))
        if got != entry["expect"]:
            return golden.difference(number, entry["expect"], got)
    return None


def _known_users(state_dir: Path) -> list[dict[str, Any]]:
    """Requests for users of the state, spread over all of them."""
    column = pq.read_table(state_dir / "interactions.parquet", columns=["user_id"])["user_id"]
    users = sorted(pc.unique(column).to_pylist())
    step = max(1, len(users) // MOST_REQUESTS)
    return [{"user_id": user} for user in users[::step]]


def _measure(client: httpx.Client, path: str, bodies: list[dict[str, Any]]) -> list[float]:
    """Milliseconds of each request, one after the other; the first one of all warms and is not counted."""
    _post(client, path, bodies[0])
    times: list[float] = []
    until = time.monotonic() + MEASURE_SECONDS
    while len(times) < LEAST_REQUESTS or (len(times) < MOST_REQUESTS and time.monotonic() < until):
        started = time.perf_counter()
        _post(client, path, bodies[len(times) % len(bodies)])
        times.append((time.perf_counter() - started) * 1000)
    return times


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(share * len(values)) - 1]

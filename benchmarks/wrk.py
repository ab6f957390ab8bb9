"""Drives a server with wrk, the load generator (`apt-get install wrk`): requests in turn, a closed loop."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MISSING = "wrk is not installed (Debian: apt-get install wrk)"
_SCRIPT = """\
local bodies = {%s}
local at = 0
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function() at = at %% #bodies + 1; return wrk.format(nil, nil, nil, bodies[at]) end
done = function(summary, latency)
  local e = summary.errors
  local bad = e.status + e.connect + e.read + e.write + e.timeout
  io.write(string.format('\\n{"requests": %%d, "us": %%d, "bad": %%d, "p50_us": %%d, "p99_us": %%d}\\n',
    summary.requests, summary.duration, bad, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """What a server bore: requests/s, and the quantiles of its latency in milliseconds."""

    requests: int
    rate: float
    p50_ms: float
    p99_ms: float


def installed() -> bool:
    """Whether wrk is on the path."""
    return shutil.which("wrk") is not None


def drive(url: str, bodies: Sequence[bytes], connections: int, seconds: int, folder: Path) -> Load:
    """Post `bodies` in turn to `url` over `connections` kept connections; the script is left in `folder`.

    Each connection sends its next request when its last one is answered. Raises RuntimeError when any request fails.
    """
    script = folder / "bodies.lua"
    script.write_text(_SCRIPT % ",\n".join(json.dumps(body.decode()) for body in bodies))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = json.loads(out.strip().rpartition("\n")[2])
    if found["bad"] or not found["requests"]:
        raise RuntimeError(f"{url}: {found['bad']} of {found['requests']} requests failed\n{out}")
    rate = found["requests"] / found["us"] * 1e6
    return Load(found["requests"], rate, found["p50_us"] / 1000, found["p99_us"] / 1000)

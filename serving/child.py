"""The real server as a child process on a free port: for the probe and the benchmarks."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from serving.main import bind

READY_SECONDS = 120.0
_ROOT = Path(__file__).resolve().parents[1]


class ChildError(Exception):
    """The server did not come up; says why in one line."""


@contextmanager
def serving_child(home: Path, module: str, ready: Callable[[httpx.Client], bool]) -> Iterator[httpx.Client]:
    """A client of `python -m module --fd N` over `home`, once `ready` says so; the process ends with the block.

    Raises ChildError when it ends early or is not ready in time, and whatever `ready` raises.
    """
    listener = bind("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    log = home / "server.log"
    settings = {
        "TIDEGATE_HOME": str(home),
        "TIDEGATE_POLL_SECONDS": "0.1",
        "TIDEGATE_LOG_FORMAT": "json",
        # The project's own: a relative path would mean another file in the child's folder.
        "TIDEGATE_ACTION_WEIGHTS": "",
        # What is asked is the bundle, not the server that answers instead of it.
        "TIDEGATE_GENERATOR_URL": "",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "--fd", str(listener.fileno())],
            cwd=_ROOT,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
        )
    listener.close()
    try:
        with httpx.Client(base_url=url, timeout=60) as client:
            _wait(process, log, lambda: ready(client))
            yield client
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", log: Path, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not done():
        if process.poll() is not None:
            last = log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise ChildError(f"the server ended with code {process.returncode}: {last[:300]}")
        if time.monotonic() > deadline:
            raise ChildError(f"the server was not ready after {READY_SECONDS:.0f} s")
        time.sleep(0.05)

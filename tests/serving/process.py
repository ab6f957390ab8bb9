"""Starts, stops and kills a real server on a real port."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from serving.main import bind

ROOT = Path(__file__).resolve().parents[2]


def until(question: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first true answer of `question`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := question():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


class Server:
    """A server process over `home`; `http` is a client of it."""

    def __init__(self, home: Path, module: str = "tests.serving.fake_server", **settings: Any) -> None:
        self.home = home
        self._module = module
        self._env = {
            **os.environ,
            "TIDEGATE_HOME": str(home),
            "TIDEGATE_POLL_SECONDS": "0.1",
            "TIDEGATE_LOG_FORMAT": "json",
            "TIDEGATE_LOG_LEVEL": "INFO",
            "OMP_NUM_THREADS": "1",
            **{f"TIDEGATE_{name.upper()}": str(value) for name, value in settings.items()},
        }

    def __enter__(self) -> Self:
        listener = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.log_path = self.home / "server.log"
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self._module, "--fd", str(listener.fileno())],
                cwd=ROOT,
                env=self._env,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
            )
        listener.close()
        self.http = httpx.Client(base_url=self.url, timeout=30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.stop()

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(20)

    def ready(self, **versions: str) -> dict[str, Any]:
        """Wait until it is ready (with these versions); its /readyz."""

        def ask() -> dict[str, Any] | None:
            answer = self.http.get("/readyz")
            found: dict[str, Any] = answer.json()
            if answer.status_code != 200:
                return None
            fits = all((found["models"][m] or {}).get("version") == v for m, v in versions.items())
            return found if fits else None

        return dict(until(ask))

    def log(self) -> str:
        """All it has logged."""
        return self.log_path.read_text()

    def wait_for(self, model: str, version: str) -> None:
        """Wait until this version is in service, whatever else is missing."""
        until(lambda: (self.http.get("/readyz").json()["models"][model] or {}).get("version") == version)


def alive(server: Server) -> bool:
    """Whether it answers at all."""
    try:
        return server.http.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False

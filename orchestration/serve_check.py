"""Proves that the API answers with the champions: asks the one that runs, or starts one for the purpose."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from serving.pointers import read_champions
from serving.settings import Settings
from training.errors import UserError

_READY_S = 90.0


@dataclass(frozen=True)
class ServeCheck:
    """Versions served, one answer of each model, and every difference from what the ledger calls champions."""

    versions: dict[str, str]
    answers: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def line(self) -> str:
        """One line for the log."""
        if self.problems:
            return "serve check failed: " + "; ".join(self.problems)
        if not self.versions:
            return "serve check: no champion to serve yet"
        return "serve check passed: " + ", ".join(f"{name} version {v}" for name, v in self.versions.items())


@contextmanager
def running_api(settings: Settings) -> Iterator[str]:
    """Base URL of the API of this home: the one that runs on the configured port, else one started on a free port.

    Raises UserError when the started server ends or is not alive in time.
    """
    configured = f"http://{settings.host}:{settings.api_port}"
    if _serves(configured, settings):
        yield configured
        return
    with socket.socket() as probe:
        probe.bind((settings.host, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "orchestration.cli", "serve", "--port", str(port)]
    environment = os.environ | {"TIDEGATE_HOME": str(settings.home)}
    log = settings.home / "logs" / "serve-check.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        server = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        url = f"http://{settings.host}:{port}"
        deadline = time.monotonic() + _READY_S
        while not _serves(url, settings):
            if server.poll() is not None or time.monotonic() > deadline:
                raise UserError(f"the API did not start (see {log})")
            time.sleep(0.2)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _serves(url: str, settings: Settings) -> bool:
    try:
        answer = httpx.get(f"{url}/healthz", timeout=2)
        return answer.is_success and answer.json().get("home") == settings.home_id
    except (httpx.HTTPError, ValueError):
        return False


def check_serving(settings: Settings) -> ServeCheck:
    """Compare what is served with the published champions and ask each model for one answer."""
    expected = {str(name): known.version for name, known in read_champions(settings.home).items()}
    if not expected:
        return ServeCheck({})
    with running_api(settings) as url, httpx.Client(base_url=url, timeout=60) as client:
        served = wait_for_versions(client, expected)
        problems = [
            f"{name}: version {served.get(name)} is served, {version} is champion"
            for name, version in expected.items()
            if served.get(name) != version
        ]
        problems += wait_until_ready(client)
        answers: dict[str, str] = {}
        if "recommender" in expected:
            _ask(
                client, "/v1/recommendations", {"user_id": "nobody", "k": 3}, "recommender", answers, problems
            )
        if "generator" in expected:
            body = {"model": "generator", "prompt": "Today", "max_tokens": 12, "temperature": 0}
            _ask(client, "/v1/completions", body, "generator", answers, problems)
    return ServeCheck(served, answers, problems)


def wait_for_versions(client: httpx.Client, expected: dict[str, str]) -> dict[str, str]:
    """Wait until the API serves `expected`, versions by model, but not for ever; what it serves of these models."""
    deadline = time.monotonic() + _READY_S
    while True:
        listed = client.get("/v1/models").json()["data"]
        served = {entry["id"]: str(entry["version"]) for entry in listed if entry["id"] in expected}
        if served == expected or time.monotonic() > deadline:
            return served
        time.sleep(0.2)


def wait_until_ready(client: httpx.Client, seconds: float = _READY_S, pause: float = 0.2) -> list[str]:
    """Wait until the API has all that its models answer from, the feed's state too; what is missing after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := client.get("/readyz")).is_success:
        if time.monotonic() > deadline:
            return [f"the API is not ready: {answer.json().get('detail', answer.status_code)}"]
        time.sleep(pause)
    return []


def _ask(
    client: httpx.Client,
    path: str,
    body: dict[str, Any],
    name: str,
    answers: dict[str, str],
    problems: list[str],
) -> None:
    answer = client.post(path, json=body)
    if answer.is_success:
        answers[name] = answer.text[:500]
    else:
        problems.append(f"{path} answered {answer.status_code}: {answer.text[:200]}")

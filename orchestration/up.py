"""Runs the Dagster UI and daemon, the MLflow server and the API together; when one ends, all end."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from serving.settings import Settings
from training.errors import UserError
from training.tracking import prepare_store

_ROOT = Path(__file__).resolve().parents[1]
_GRACE_S = 20.0
_READY_S = 180.0


@dataclass(frozen=True)
class Service:
    """One child process, and the address at which it says that it is ready."""

    name: str
    command: list[str]
    url: str
    health: str


def services(settings: Settings) -> list[Service]:
    """The three services with the commands that start them."""
    host, python = settings.host, sys.executable
    dagster = f"http://{host}:{settings.dagster_port}"
    mlflow = f"http://{host}:{settings.mlflow_port}"
    api = f"http://{host}:{settings.api_port}"
    return [
        Service(
            "dagster",
            [python, "-m", "dagster", "dev", "-w", str(_ROOT / "workspace.yaml"), "-h", host]
            + ["-p", str(settings.dagster_port)],
            dagster,
            f"{dagster}/server_info",
        ),
        Service(
            "mlflow",
            [python, "-m", "mlflow", "server", "--backend-store-uri", settings.tracking_uri, "--host", host]
            + ["--port", str(settings.mlflow_port), "--workers", "1", "--serve-artifacts"]
            + ["--artifacts-destination", str(settings.mlflow_dir / "artifacts")],
            mlflow,
            f"{mlflow}/health",
        ),
        Service("api", [python, "-m", "orchestration.cli", "serve"], api, f"{api}/healthz"),
    ]


def _refuse_taken_ports(settings: Settings) -> None:
    for name in ("dagster_port", "mlflow_port", "api_port"):
        port = getattr(settings, name)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings.host, port))
            except OSError as error:
                raise UserError(
                    f"port {port} cannot be used ({error.strerror}): stop what listens there or set "
                    f"TIDEGATE_{name.upper()}"
                ) from error


def _stop(children: dict[str, subprocess.Popen[bytes]]) -> None:
    for child in children.values():
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_S
    for child in children.values():
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def _is_ready(service: Service) -> bool:
    try:
        return httpx.get(service.health, timeout=2).is_success
    except httpx.HTTPError:
        return False


def up(settings: Settings, say: Callable[[str], None]) -> int:
    """Start all services, wait until they end or a signal comes, stop the rest. Returns the exit code.

    Raises UserError when a port is taken. Output of the children goes to `home/logs/NAME.log`.
    """
    _refuse_taken_ports(settings)
    prepare_store(settings.tracking_uri, settings.mlflow_dir)
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    children: dict[str, subprocess.Popen[bytes]] = {}
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: stopping.append(received))
    waiting = services(settings)
    try:
        for service in waiting:
            with (logs / f"{service.name}.log").open("ab") as log:
                children[service.name] = subprocess.Popen(
                    service.command, cwd=_ROOT, stdout=log, stderr=log, start_new_session=True
                )
        return _watch(children, waiting, stopping, logs, say)
    finally:
        _stop(children)


def _watch(
    children: dict[str, subprocess.Popen[bytes]],
    waiting: list[Service],
    stopping: list[int],
    logs: Path,
    say: Callable[[str], None],
) -> int:
    started = time.monotonic()
    while not stopping:
        for name, child in children.items():
            if child.poll() is not None:
                say(f"{name} ended with code {child.returncode}; stopping the others (see {logs / name}.log)")
                return 1
        ready = [service for service in waiting if _is_ready(service)]
        for service in ready:
            say(f"{service.name:8} {service.url}")
        waiting = [service for service in waiting if service not in ready]
        if waiting and time.monotonic() - started > _READY_S:
            say(f"{waiting[0].name} was not ready after {_READY_S:.0f} s (see {logs / waiting[0].name}.log)")
            return 1
        if ready and not waiting:
            say("all ready; Ctrl-C stops them together")
        time.sleep(0.5)
    say("stopped")
    return 0

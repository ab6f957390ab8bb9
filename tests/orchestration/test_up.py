"""The three services start and stop together, or not at all."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration import up as module
from orchestration.up import Service, up
from serving.settings import Settings
from training.errors import UserError


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    ports = {}
    holders = [socket.socket() for _ in range(3)]
    for name, holder in zip(("api_port", "dagster_port", "mlflow_port"), holders, strict=True):
        holder.bind(("127.0.0.1", 0))
        ports[name] = holder.getsockname()[1]
    for holder in holders:
        holder.close()
    return Settings(home=tmp_path, **ports)


def test_a_port_that_is_taken_is_told_with_the_setting_that_moves_it(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.mlflow_port))
        taken.listen()
        with pytest.raises(UserError, match="TIDEGATE_MLFLOW_PORT"):
            up(settings, print)


def test_when_one_service_ends_the_others_are_stopped_and_the_code_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    pid_file = settings.home / "pid"
    sleeper = f"import os,time,pathlib; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(600)"
    waits = (
        f"import time,pathlib\nwhile not pathlib.Path({str(pid_file)!r}).exists(): time.sleep(0.05)\n"
        "raise SystemExit(3)"
    )

    def fake(_: Settings) -> list[Service]:
        nowhere = f"http://127.0.0.1:{settings.api_port}"
        return [
            Service("lasting", [sys.executable, "-c", sleeper], nowhere, nowhere),
            Service("failing", [sys.executable, "-c", waits], nowhere, nowhere),
        ]

    monkeypatch.setattr(module, "services", fake)
    assert up(settings, said.append) == 1
    assert any("failing ended with code 3" in line for line in said)
    alive = subprocess.run(["kill", "-0", pid_file.read_text()], capture_output=True, check=False)
    assert alive.returncode != 0

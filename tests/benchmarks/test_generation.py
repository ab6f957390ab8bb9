"""The benchmark of texts as a service, run as a stranger would run it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.generator.world import texts

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("architecture", ["transformer", "ensemble"])
def test_both_servers_stream_as_many_tokens_and_are_compared(tmp_path: Path, architecture: str) -> None:
    file = tmp_path / "text.txt"
    file.write_text("\n\n".join(texts(300)))
    options = ["--clients", "1,2", "--requests", "1", "--tokens", "6", "--rounds", "1"]
    command = [
        sys.executable,
        "-m",
        "benchmarks.generation",
        str(file),
        "--out",
        str(tmp_path / "out"),
        *options,
    ]
    done = subprocess.run(
        [*command, "--architecture", architecture], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(row["server"], row["clients"], row["tokens"]) for row in rows] == [
        (server, clients, 6 * clients)
        for clients in (1, 2)
        for server in ("tidegate", "transformers.generate")
    ]
    assert all(row["tokens_per_second"] > 0 and row["first_p99_ms"] >= row["first_p50_ms"] for row in rows)
    assert "| tidegate | 2 |" in (tmp_path / "out" / "results.md").read_text()

"""The benchmark of next-item recommenders, run as a stranger would run it."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "recommender.py"


@pytest.fixture(scope="module")
def sequences() -> list[list[str]]:
    rng = np.random.default_rng(0)
    return [
        [f"i{(start + k) % 25}" for k in range(size)]
        for start, size in zip(rng.integers(0, 25, 40), rng.integers(3, 9, 40), strict=True)
    ]


def benchmark(file: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(file), "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_both_forms_of_the_file_give_the_same_results(sequences: list[list[str]], tmp_path: Path) -> None:
    lines, pairs = tmp_path / "lines.txt", tmp_path / "pairs.txt.gz"
    lines.write_text("".join(f"u{k} {' '.join(items)}\n" for k, items in enumerate(sequences)))
    with gzip.open(pairs, "wt") as file:
        file.writelines(f"u{k} {item}\n" for k, items in enumerate(sequences) for item in items)
    found = []
    for file in (lines, pairs):
        done = benchmark(
            file, tmp_path / file.name[:5], "--minutes", "1", "--models", "popularity,skip_transition"
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads((tmp_path / file.name[:5] / "results.json").read_text()))
    strip = [
        [{k: v for k, v in row.items() if k not in ("seconds", "peak_mb")} for row in rows] for rows in found
    ]
    assert strip[0] == strip[1]
    assert [row["model"] for row in found[0]] == ["popularity", "skip_transition"]
    assert found[0][1]["ndcg@10"] > found[0][0]["ndcg@10"]


def test_ours_is_trained_for_as_long_as_it_is_given(sequences: list[list[str]], tmp_path: Path) -> None:
    file = tmp_path / "lines.txt"
    file.write_text("".join(f"u{k} {' '.join(items)}\n" for k, items in enumerate(sequences)))
    done = benchmark(file, tmp_path / "out", "--minutes", "0.05,0.1", "--models", "ours,ridge")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(row["model"], row["minutes"]) for row in rows if row["model"] == "ours"] == [
        ("ours", 0.05),
        ("ours", 0.1),
    ]
    keys = {"model", "minutes", "hr@10", "ndcg@10", "hr@50", "seconds", "peak_mb"}
    assert all(set(row) == keys for row in rows)
    assert all(0.0 <= row["hr@10"] <= row["hr@50"] <= 1.0 for row in rows)
    assert (tmp_path / "out" / "quality.png").stat().st_size > 0
    assert "| ours |" in (tmp_path / "out" / "results.md").read_text()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"u1\nu2 i1\n", "line 1"),
        (b"u1 i1\nu1 i2\n", "no user has 3 items"),
        (b"\xff\xfe\x00", "text"),
    ],
    ids=["empty", "no item", "too short", "not text"],
)
def test_a_file_that_is_none_is_refused_in_one_line(content: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_bytes(content)
    done = benchmark(file, tmp_path / "out")
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("options", [("--minutes", "0"), ("--minutes", "x"), ("--models", "ours,none")])
def test_wrong_options_are_refused(options: tuple[str, str], tmp_path: Path) -> None:
    done = benchmark(tmp_path / "missing.txt", tmp_path / "out", *options)
    assert done.returncode == 2
    assert options[0] in done.stderr

"""The benchmark of language models, run as a stranger would run it."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.generator.world import texts

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "generator.py"
KEYS = {"model", "seconds", "nats_per_char", "bits_per_byte", "parameters", "tokens_per_s"}


def benchmark(file: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), str(file), "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rows(out: Path) -> list[dict[str, float | str]]:
    found: list[dict[str, float | str]] = json.loads((out / "results.json").read_text())
    return found


def test_posts_in_two_languages_are_learned_by_every_kind_of_model(tmp_path: Path) -> None:
    file = tmp_path / "posts.jsonl.gz"
    with gzip.open(file, "wt") as posts:
        posts.writelines(
            json.dumps({"post_id": str(i), "text": text}, ensure_ascii=False) + "\n"
            for i, text in enumerate(texts(300))
        )
    models = ["ours", "lstm", "ngram", "nanogpt", "xz"]
    done = benchmark(file, tmp_path / "out", "--seconds", "2", "--level", "bpe", "--models", ",".join(models))
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "out")
    assert {row["model"] for row in found if row["model"] != "ngram"} == set(models) - {"ngram"}
    assert all(set(row) == KEYS and 0 < float(row["bits_per_byte"]) < 20 for row in found)
    assert (tmp_path / "out" / "loss.png").stat().st_size > 0
    assert "| ours |" in (tmp_path / "out" / "results.md").read_text()


def test_characters_and_compression_of_plain_text_are_measured(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("\n".join(texts(300)))
    done = benchmark(file, tmp_path / "out", "--seconds", "60,90", "--level", "char", "--models", "ngram,xz")
    assert done.returncode == 0, done.stderr
    found = rows(tmp_path / "out")
    assert [(row["model"], row["seconds"]) for row in found] == [
        ("ngram", 60.0), ("ngram", 90.0), ("xz", 60.0), ("xz", 90.0),
    ]  # fmt: skip
    assert found[0]["bits_per_byte"] < found[2]["bits_per_byte"]
    assert (
        found[0]["nats_per_char"] > found[0]["bits_per_byte"] * 0.6931
    )  # a Chinese character has three bytes


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"too short", "too little text"),
        ("a.txt", b"\xff\xfe\x00" * 1000, "as text"),
        ("a.txt.gz", b"no gzip" * 1000, "as text"),
        ("posts.jsonl", b'{"post_id": "1"}\n', "line 1"),
    ],
    ids=["short", "not text", "not gzip", "no post"],
)
def test_a_file_that_is_none_is_refused_in_one_line(
    name: str, content: bytes, says: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    done = benchmark(file, tmp_path / "out")
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_wrong_options_and_missing_files_are_refused(tmp_path: Path) -> None:
    for options in (["--seconds", "0"], ["--models", "ours,none"], ["--level", "word"]):
        done = benchmark(tmp_path / "missing.txt", tmp_path / "out", *options)
        assert done.returncode == 2
        assert options[0] in done.stderr
    assert "missing.txt" in benchmark(tmp_path / "missing.txt", tmp_path / "out").stderr

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from serving import probe
from serving.probe import probe_bundle
from tests.serving import fakes
from training.bundle import Bundle, write_bundle

FAKE = "tests.serving.fake_server"
POSTS = [f"p{number}" for number in range(9)]


@pytest.fixture(autouse=True)
def _few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "MOST_REQUESTS", 30)


def spoiled(path: Path, answer: dict[str, Any]) -> Bundle:
    """A generator whose golden answer is `answer`."""

    def fill(folder: Path) -> None:
        (folder / "fake.json").write_text(json.dumps({"words": ["a", "b"]}))
        golden = {"request": {"prompt": "", "max_tokens": 2, "temperature": 0}, "expect": answer}
        (folder / "golden.json").write_text(json.dumps([golden]))

    return write_bundle(path, "generator", "fake", fill, trained_until=fakes.START, lineage={})


def test_a_good_recommender_passes_with_its_latency_over_the_published_state(tmp_path: Path) -> None:
    bundle = fakes.recommender(tmp_path / "bundle", POSTS)
    rows = [(f"u{n}", "p1", "like", fakes.START + timedelta(minutes=n)) for n in range(50)]
    fakes.write_state(tmp_path / "state", rows)
    result = probe_bundle(bundle.path, tmp_path / "state", 250.0, module=FAKE)
    assert result.ok, result.detail
    assert result.golden_ok
    assert result.p50_ms is not None
    assert result.p99_ms is not None
    assert 0 < result.p50_ms <= result.p99_ms < 250
    assert "1 golden requests right" in result.detail


def test_a_good_generator_passes_without_a_state(tmp_path: Path) -> None:
    bundle = fakes.generator(tmp_path / "bundle", ["人工", "智能"])
    assert probe_bundle(bundle.path, None, 250.0, module=FAKE).ok


def test_one_that_is_too_slow_fails_by_its_p99_alone(tmp_path: Path) -> None:
    bundle = fakes.generator(tmp_path / "bundle", ["a", "b"], delay=0.02)
    result = probe_bundle(bundle.path, None, 10.0, module=FAKE)
    assert not result.ok
    assert result.golden_ok
    assert result.p99_ms is not None
    assert result.p99_ms > 10
    assert "above the budget of 10 ms" in result.detail


def test_a_wrong_golden_answer_fails(tmp_path: Path) -> None:
    result = probe_bundle(spoiled(tmp_path / "bundle", {"text": "other"}).path, None, 250.0, module=FAKE)
    assert (result.ok, result.golden_ok) == (False, False)
    assert 'golden request 0 gave {"text": " a b"}, not {"text": "other"}' in result.detail


def test_a_bundle_that_was_altered_is_not_even_started(tmp_path: Path) -> None:
    bundle = fakes.generator(tmp_path / "bundle", ["a", "b"])
    (bundle.path / "fake.json").write_text("{}")
    result = probe_bundle(bundle.path, None, 250.0, module="no.such.module")
    assert not result.ok
    assert "fake.json differs" in result.detail


def test_a_folder_that_is_not_there_fails(tmp_path: Path) -> None:
    assert "is not a bundle" in probe_bundle(tmp_path / "nothing", None, 250.0, module=FAKE).detail


def test_a_model_that_cannot_be_loaded_fails_with_its_reason(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "fake.json").write_text("{}")
        (folder / "golden.json").write_text(
            '[{"request": {"prompt": "", "max_tokens": 1}, "expect": {"text": ""}}]'
        )

    bundle = write_bundle(
        tmp_path / "bundle", "generator", "fake", fill, trained_until=fakes.START, lineage={}
    )
    result = probe_bundle(bundle.path, None, 250.0, module=FAKE)
    assert not result.ok
    assert "the server refused the generator: KeyError: 'words'" in result.detail


def test_a_state_that_cannot_be_loaded_fails(tmp_path: Path) -> None:
    bundle = fakes.recommender(tmp_path / "bundle", POSTS)
    result = probe_bundle(bundle.path, tmp_path, 250.0, module=FAKE)
    assert not result.ok
    assert "refused the state" in result.detail


def test_a_server_that_does_not_start_fails_with_its_last_line(tmp_path: Path) -> None:
    bundle = fakes.generator(tmp_path / "bundle", ["a", "b"])
    result = probe_bundle(bundle.path, None, 250.0, module="no.such.module")
    assert not result.ok
    assert "the server ended with code 1" in result.detail
    assert "no.such.module" in result.detail


@pytest.mark.parametrize("text", ["[]", "{", "7"])
def test_a_bundle_without_golden_requests_fails(tmp_path: Path, text: str) -> None:
    bundle = write_bundle(
        tmp_path / "bundle",
        "generator",
        "fake",
        lambda folder: (folder / "golden.json").write_text(text) and None,
        trained_until=fakes.START,
        lineage={},
    )
    result = probe_bundle(bundle.path, None, 250.0, module=FAKE)
    assert not result.ok
    assert "golden.json" in result.detail

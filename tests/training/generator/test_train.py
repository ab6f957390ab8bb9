import json
from datetime import timedelta
from math import isfinite
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file

from tests.training.generator.world import documents, tiny
from training.bundle import Bundle, BundleError, open_bundle, write_bundle
from training.errors import NotEnoughDataError
from training.generator.canaries import draw_canaries
from training.generator.data import split_corpus
from training.generator.export import ARCHITECTURES, read_model, read_questions
from training.generator.mixture import Gate
from training.generator.safety import safety_report
from training.generator.sample import TextGenerator
from training.generator.score import score_bundle
from training.generator.train import Trainer, train
from training.result import TrainingOutcome

SAFETY = (
    "samples",
    "canaries_extracted",
    "pii_matches",
    "pii_made_high",
    "toxic_share",
    "repetition",
    "degenerate_share",
)


def bundle(outcome: TrainingOutcome, name: str) -> Bundle:
    return open_bundle(outcome.candidate(name).bundle.path, "generator")


def altered(source: Bundle, target: Path, change: dict[str, bytes]) -> Bundle:
    """The same bundle with other content in some files, its manifest in order."""

    def fill(folder: Path) -> None:
        for name in source.manifest["files"]:
            (folder / name).write_bytes(change.get(name, (source.path / name).read_bytes()))

    return write_bundle(
        target, "generator", source.architecture, fill, trained_until=source.trained_until, lineage={}
    )


def test_every_candidate_comes_with_figures_plots_texts_and_a_bundle(outcome: TrainingOutcome) -> None:
    assert [candidate.name for candidate in outcome.candidates] == list(ARCHITECTURES)
    for candidate in outcome.candidates:
        metrics = candidate.metrics
        assert all(isfinite(value) for value in metrics.values())
        for name in ("validation/bits_per_byte", "test/bits_per_byte"):
            assert 0 < metrics[f"{name}_low"] < metrics[name] < metrics[f"{name}_high"] < 8
        assert {f"safety/{name}" for name in SAFETY} <= set(metrics)
        assert {"test/bits_per_byte/lang/zh", "test/bits_per_byte/community/none"} <= set(metrics)
        assert metrics["samples/tokens_per_second"] > 20
        assert 0 <= metrics["samples/near_copy_share"] <= 1
        assert candidate.texts["samples.md"].count("Prompt `今天`") == 3
        assert f"**{outcome.best}**" in candidate.texts["comparison.md"]
        assert "bits_per_byte_by_model.png" in candidate.plots
        is_fitted = candidate.name in ("lstm", "transformer")
        assert ("loss.png" in candidate.plots) == bool(candidate.curves) == is_fitted
        assert candidate.bundle.trained_until < outcome.window[0]
    names = [set(candidate.metrics) - {"fit/steps"} for candidate in outcome.candidates[1:3]]
    assert names[0] == names[1]


def test_the_baselines_are_the_cheaper_models(outcome: TrainingOutcome) -> None:
    assert set(outcome.baselines) == set(ARCHITECTURES[: ARCHITECTURES.index(outcome.best)])


def test_training_again_with_the_same_seed_gives_the_same_models_up_to_rounding(
    outcome: TrainingOutcome, corpus: pa.Table, tmp_path: Path
) -> None:
    again = train(corpus, tiny(), tmp_path, lambda line: None)
    for first, second in zip(outcome.candidates, again.candidates, strict=True):
        files = [candidate.bundle.manifest["files"] for candidate in (first, second)]
        exact = [name for name in files[0] if name != "weights.safetensors"]
        assert [files[0][name] for name in exact] == [files[1][name] for name in exact]
        weights = [load_file(candidate.bundle.path / "weights.safetensors") for candidate in (first, second)]
        for name, values in weights[0].items():
            np.testing.assert_allclose(values, weights[1][name], atol=1e-4, err_msg=name)
    assert again.best == outcome.best


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_scores_of_the_bundle_are_the_figures_of_the_run(
    outcome: TrainingOutcome, corpus: pa.Table, name: str
) -> None:
    scores = score_bundle(bundle(outcome, name), corpus, outcome.window, tiny().corpus)
    total = sum(scores["bits"].to_pylist()) / sum(scores["n_bytes"].to_pylist())
    assert total == pytest.approx(outcome.candidate(name).metrics["test/bits_per_byte"], rel=1e-5)
    assert {"lang", "community", "length_bucket", "author_id", "occurred_at"} <= set(scores.column_names)


def test_two_bundles_pair_up_row_by_row(outcome: TrainingOutcome, corpus: pa.Table) -> None:
    scores = [score_bundle(bundle(outcome, name), corpus, outcome.window) for name in ("ngram", "lstm")]
    keys = ["document_id", "author_id", "occurred_at", "n_bytes", "lang", "community", "length_bucket"]
    assert scores[0].select(keys).equals(scores[1].select(keys))
    assert scores[0]["bits"].to_pylist() != scores[1]["bits"].to_pylist()
    times = scores[0]["occurred_at"].to_pylist()
    assert times == sorted(times)
    assert all(outcome.window[0] <= at < outcome.window[1] for at in times)


def test_a_window_that_was_learned_from_is_refused(outcome: TrainingOutcome, corpus: pa.Table) -> None:
    known = bundle(outcome, "ngram")
    seen = (known.trained_until - timedelta(seconds=1), outcome.window[1])
    with pytest.raises(BundleError, match="has learned from data up to"):
        score_bundle(known, corpus, seen)
    score_bundle(known, corpus, (known.trained_until, outcome.window[1]))
    with pytest.raises(ValueError, match="before it begins"):
        score_bundle(known, corpus, (outcome.window[1], outcome.window[0]))
    with pytest.raises(ValueError, match="time zones"):
        score_bundle(known, corpus, tuple(at.replace(tzinfo=None) for at in outcome.window))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_gate_computes_the_safety_figures_of_the_run_from_the_bundle_alone(
    outcome: TrainingOutcome, name: str
) -> None:
    report = safety_report(bundle(outcome, name), tiny().safety)
    metrics = outcome.candidate(name).metrics
    assert {key: metrics[f"safety/{key}"] for key in report} == report


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_golden_requests_are_answered_as_written_down(outcome: TrainingOutcome, name: str) -> None:
    known = bundle(outcome, name)
    generator = TextGenerator.load(known)
    golden = json.loads((known.path / "golden.json").read_text())
    prompts = [entry["request"]["prompt"] for entry in golden]
    assert any(prompt.isascii() for prompt in prompts)
    assert not all(prompt.isascii() for prompt in prompts)
    for entry in golden:
        request = entry["request"]
        assert generator.complete(request["prompt"], request["max_tokens"]) == entry["expect"]["text"]


def test_no_canary_is_planted_where_models_are_judged(outcome: TrainingOutcome, corpus: pa.Table) -> None:
    secrets = [canary.secret for canary in read_questions(bundle(outcome, "ngram")).canaries]
    assert len(secrets) == tiny().safety.canaries
    assert not any(secret in text for secret in secrets for text in corpus["text"].to_pylist())


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", b"{}", "cannot be put together"),
        ("tokenizer.json", b"not JSON", "cannot be put together"),
        ("weights.safetensors", b"\x00" * 64, "cannot be put together"),
    ],
)
def test_parts_that_do_not_fit_are_refused_in_one_line(
    outcome: TrainingOutcome, tmp_path: Path, file: str, content: bytes, said: str
) -> None:
    broken = altered(bundle(outcome, "lstm"), tmp_path / "b", {file: content})
    with pytest.raises(BundleError, match=said) as raised:
        read_model(broken)
    assert "\n" not in str(raised.value)


def test_weights_of_another_network_are_refused(outcome: TrainingOutcome, tmp_path: Path) -> None:
    weights = (bundle(outcome, "transformer").path / "weights.safetensors").read_bytes()
    broken = altered(bundle(outcome, "lstm"), tmp_path / "b", {"weights.safetensors": weights})
    with pytest.raises(BundleError, match="cannot be put together"):
        read_model(broken)


def test_a_bundle_without_canaries_has_no_safety_report(outcome: TrainingOutcome, tmp_path: Path) -> None:
    empty = altered(
        bundle(outcome, "ngram"), tmp_path / "b", {"safety.json": b'{"canaries": [], "prompts": [""]}'}
    )
    with pytest.raises(BundleError, match="no canaries"):
        safety_report(empty, tiny().safety)


def test_networks_may_learn_alone_and_get_a_gate(corpus: pa.Table) -> None:
    config = tiny()
    config.fit.on_ngrams, config.lstm.max_steps, config.transformer.max_steps = False, 3, 3
    split = split_corpus(corpus, config.corpus)
    fitted = Trainer(split, draw_canaries(config.safety, 1), config, lambda line: None).fit_all()
    gates = {name: type(entry.model.gate) for name, entry in fitted.items()}
    assert gates == {"ngram": type(None), "lstm": Gate, "transformer": Gate}
    alone = fitted["transformer"].model.score(
        fitted["transformer"].model.tokenizer.encode_all(["今天 Today"])
    )
    assert alone.network is not None


def test_too_few_documents_are_told_before_anything_is_fitted(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughDataError, match="the text generator needs at least"):
        train(documents(60), tiny(), tmp_path / "out", lambda line: None)
    assert not (tmp_path / "out").exists()

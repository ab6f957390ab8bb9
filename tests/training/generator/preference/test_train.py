"""A tiny champion learns from made-up feedback, in both languages."""

from datetime import timedelta
from itertools import count
from math import isfinite
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from tests.training.generator.preference.feedback import START, pair, pairs, rated
from tests.training.generator.world import tiny
from training.bundle import Bundle, BundleError, open_bundle
from training.errors import NotEnoughDataError
from training.generator.export import read_model
from training.generator.preference import train as preference_train
from training.generator.preference.config import PreferenceConfig
from training.generator.preference.origin import origin_of
from training.generator.preference.score import score_bundle_pairs
from training.generator.preference.train import FeedbackTables, train_preferences
from training.generator.preference.wins import wins
from training.result import TrainingOutcome

N = 96


def config() -> PreferenceConfig:
    known = tiny()
    made = PreferenceConfig(corpus=known.corpus, evaluation=known.evaluation, safety=known.safety)
    made.feedback.min_pairs, made.feedback.min_heldout_prompts = 20, 5
    made.dpo.max_epochs, made.dpo.max_seconds, made.dpo.learning_rate = 8.0, 3600.0, 1e-2
    made.dpo.evaluations, made.dpo.evaluation_documents, made.dpo.max_forgetting = 4, 20, 0.05
    return made


def feedback() -> FeedbackTables:
    alone = [
        {"prompt_id": "x", "response": " was too loud...", "verdict": -1},
        {"response": " seemed worth it!"},
    ]
    return FeedbackTables(pairs([pair(n) for n in range(N)]), rated(alone), 200)


@pytest.fixture(scope="session")
def champion(outcome: TrainingOutcome) -> Bundle:
    return open_bundle(outcome.candidate("lstm").bundle.path, "generator")


@pytest.fixture(scope="session")
def learnt(champion: Bundle, corpus: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> TrainingOutcome:
    folder = tmp_path_factory.mktemp("learnt")
    return train_preferences(champion, corpus, feedback(), config(), folder, lambda line: None, {"x": "y"})


def test_the_candidate_prefers_what_people_prefer_and_forgets_little(learnt: TrainingOutcome) -> None:
    metrics = learnt.candidate(learnt.best).metrics
    assert all(isfinite(value) for value in metrics.values())
    assert metrics["feedback/win_rate"] > 0.8
    assert metrics["feedback/apart_bits_per_byte"] > metrics["champion/feedback/apart_bits_per_byte"] + 0.1
    assert metrics["test/bits_per_byte"] < metrics["champion/test/bits_per_byte"] + 0.1
    curves = learnt.candidate(learnt.best).curves
    assert {"validation/reward_margin", "validation/reward_accuracy"} <= set(curves[0])
    assert any("train/unpaired_loss" in entry for entry in curves)


def test_the_candidate_is_the_champion_but_for_its_weights(learnt: TrainingOutcome, champion: Bundle) -> None:
    bundle = open_bundle(learnt.candidate("lstm_dpo").bundle.path, "generator")
    assert bundle.architecture == "lstm"
    changed = {
        name for name, entry in bundle.manifest["files"].items() if entry != champion.manifest["files"][name]
    }
    assert changed == {"weights.safetensors", "golden.json"}
    before, after = read_model(champion), read_model(bundle)
    for name, array in before.ngram.arrays().items():
        assert (array == after.ngram.arrays()[name]).all()
    assert bundle.manifest["lineage"] == {"x": "y"}
    assert bundle.manifest["extra"]["vocabulary"] == champion.manifest["extra"]["vocabulary"]


def test_the_bundle_tells_what_it_learnt_from(learnt: TrainingOutcome, champion: Bundle) -> None:
    origin = origin_of(learnt.candidate("lstm_dpo").bundle)
    assert origin is not None
    assert (origin.champion, origin.rows) == (champion.digest, 200)
    assert origin.until == START + timedelta(minutes=int(N * 0.7))
    assert origin_of(champion) is None


def test_champion_and_candidate_are_scored_on_the_same_pairs_as_in_the_run(
    learnt: TrainingOutcome, champion: Bundle
) -> None:
    candidate = learnt.candidate("lstm_dpo")
    origin = origin_of(candidate.bundle)
    assert origin is not None
    rows = [score_bundle_pairs(one, feedback().pairs, origin.until) for one in (candidate.bundle, champion)]
    assert rows[0]["pair_id"].equals(rows[1]["pair_id"])
    apart = [table["apart"].to_numpy() for table in rows]
    assert wins(*apart).mean() == pytest.approx(candidate.metrics["feedback/win_rate"])
    assert apart[1].mean() == pytest.approx(
        candidate.metrics["champion/feedback/apart_bits_per_byte"], rel=1e-5
    )
    with pytest.raises(BundleError, match="has learnt from feedback up to"):
        score_bundle_pairs(candidate.bundle, feedback().pairs, origin.until - timedelta(seconds=1))


def test_a_reviewer_finds_curves_and_samples_side_by_side(learnt: TrainingOutcome) -> None:
    candidate = learnt.candidate("lstm_dpo")
    assert set(candidate.plots) == {"preferences.png"}
    assert candidate.texts["samples.md"].count("| champion | candidate |") == 9
    assert "win rate against the champion" in candidate.texts["comparison.md"]
    assert learnt.baselines == ["ngram"]
    names = [{key for key in c.metrics if key.startswith("test/")} for c in learnt.candidates]
    assert names[0] == names[1]


def test_a_champion_without_weights_learns_nothing_and_says_so(
    outcome: TrainingOutcome, corpus: pa.Table, tmp_path: Path
) -> None:
    counts = open_bundle(outcome.candidate("ngram").bundle.path, "generator")
    with pytest.raises(NotEnoughDataError, match="without weights"):
        train_preferences(counts, corpus, feedback(), config(), tmp_path, lambda line: None)


def test_learning_that_forgets_too_much_gives_no_candidate(
    champion: Bundle, corpus: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look finds the documents dearer than the one before, whatever the pairs have gained."""
    looks = count()
    monkeypatch.setattr(preference_train, "document_bits", lambda *_: np.array([1e6 * next(looks)]))
    with pytest.raises(NotEnoughDataError, match="found no weights"):
        train_preferences(champion, corpus, feedback(), config(), tmp_path, lambda line: None)
    assert not list(tmp_path.iterdir())

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import save_file

from training.abuse.config import AbuseConfig
from training.abuse.features import buckets
from training.abuse.files import FACTS, WEIGHTS, read_models, write_models
from training.abuse.fit import AbuseModels, fit_models, halves
from training.abuse.labels import Labelled, labelled, read_labels, reported
from training.errors import UserError

COLD = Path(__file__).parents[4] / "shared" / "data" / "abuse"
RUDE = {
    "en": ("you are a worthless fool", "what a stupid clown", "shut up, idiot"),
    "zh": ("你就是个废物", "滚开蠢货", "真是白痴"),
}
KIND = {
    "en": ("lovely photo today", "thanks for the recipe", "see you at the game"),
    "zh": ("今天天气真好", "谢谢分享", "晚上一起吃饭"),
}


def said(n: int, seed: int = 1) -> Labelled:
    """Rude and kind sentences of both languages, each with words of its own."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(n):
        label, lang = number % 2, ("en", "zh")[number // 2 % 2]
        parts = (KIND, RUDE)[label][lang]
        rows.append((f"{parts[rng.integers(3)]} {rng.integers(10**6)} {parts[rng.integers(3)]}", label))
    return labelled(rows)


@pytest.fixture(scope="module")
def models() -> AbuseModels:
    return fit_models(said(400), AbuseConfig(), lambda line: None)


def test_rude_texts_of_both_languages_are_told_from_kind_ones(models: AbuseModels) -> None:
    for model in (models.guard, models.judge):
        assert model is not None
        assert model.is_abusive("shut up, you worthless clown")
        assert model.is_abusive("你真是个蠢货")
        assert not model.is_abusive("thanks, lovely recipe")
        assert not model.is_abusive("今天一起吃饭吧")
        assert not model.is_abusive("")
        assert model.facts.auc_low > 0.9


def test_guard_and_judge_share_no_label(models: AbuseModels) -> None:
    first, second = halves(said(400))
    assert not set(first.texts) & set(second.texts)
    assert len(first) + len(second) == 400
    assert min(len(first), len(second)) > 150
    assert models.guard is not None
    assert models.judge is not None
    assert not np.array_equal(models.guard.weights, models.judge.weights)


def test_labels_that_texts_say_nothing_of_give_no_classifier() -> None:
    data = said(600)
    shuffled = Labelled(data.texts, np.random.default_rng(3).permutation(data.labels), data.weights)
    found = fit_models(shuffled, AbuseConfig(), lambda line: None)
    assert found.guard is None
    assert "AUC" in found.notes[0]


def test_too_few_examples_give_no_classifier_and_say_so() -> None:
    found = fit_models(said(40), AbuseConfig(), lambda line: None)
    assert found.judge is None
    assert "60 of each are needed" in found.notes[0]
    assert found.metrics == {}


def test_the_expected_share_moves_probabilities_but_not_their_order() -> None:
    rare, common = (
        fit_models(said(400), AbuseConfig(expected_share=share), lambda line: None).guard
        for share in (0.01, 0.5)
    )
    assert rare is not None
    assert common is not None
    texts = said(40, seed=9).texts
    low, high = rare.probabilities(texts), common.probabilities(texts)
    assert (low <= high).all()
    assert np.argsort(low, kind="stable").tolist() == np.argsort(high, kind="stable").tolist()


def test_a_pair_survives_its_files(models: AbuseModels, tmp_path: Path) -> None:
    write_models(tmp_path, models)
    again = read_models(tmp_path)
    assert again is not None
    texts = said(20, seed=5).texts
    for role in ("guard", "judge"):
        was, now = getattr(models, role), getattr(again, role)
        assert now.facts == was.facts
        assert now.probabilities(texts) == pytest.approx(was.probabilities(texts), abs=0.01)


def test_no_classifier_is_written_as_none_and_an_older_bundle_has_no_file(tmp_path: Path) -> None:
    assert read_models(tmp_path) is None
    write_models(tmp_path, AbuseModels(notes=["why"]))
    again = read_models(tmp_path)
    assert again == AbuseModels(notes=["why"])


@pytest.mark.parametrize("damage", ["facts", "shape", "missing", "infinite"])
def test_damaged_files_are_refused(models: AbuseModels, tmp_path: Path, damage: str) -> None:
    write_models(tmp_path, models)
    assert models.guard is not None
    assert models.judge is not None
    arrays = {
        f"{role}.{name}": array
        for role, model in (("guard", models.guard), ("judge", models.judge))
        for name, array in model.arrays().items()
    }
    if damage == "facts":
        (tmp_path / FACTS).write_text('{"models": {"guard": {"slope": 1}}, "notes": []}')
    elif damage == "shape":
        save_file(arrays | {"judge.weights": np.zeros(7, np.float16)}, tmp_path / WEIGHTS)
    elif damage == "missing":
        arrays.pop("guard.ratios")
        save_file(arrays, tmp_path / WEIGHTS)
    else:
        save_file(
            arrays | {"judge.weights": np.full_like(arrays["judge.weights"], np.inf)}, tmp_path / WEIGHTS
        )
    with pytest.raises(ValueError, match="abuse"):
        read_models(tmp_path)


def test_case_and_width_do_not_matter_and_no_text_has_no_buckets() -> None:
    assert np.array_equal(buckets("ＡＢＣ你"), buckets("abc你"))
    assert len(buckets("")) == 0
    assert len(buckets("a")) == 1
    assert len(buckets("\ud83d lone")) > 0


def test_reports_by_several_users_label_and_unseen_documents_say_nothing() -> None:
    documents = pa.table({"document_id": list("abcdef"), "text": [f"text {c}" for c in "abcdef"]})
    reports = pa.table(
        {
            "document_id": ["a", "b", "c", "d", "e", "gone"],
            "n_seen": [9, 9, 9, 9, 1, 9],
            "n_reported": [2, 1, 1, 0, 0, 5],
            "n_hidden": [0, 1, 2, 0, 0, 0],
        }
    )
    found = reported(documents, reports, AbuseConfig())
    assert dict(zip(found.texts, found.labels.tolist(), strict=True)) == {
        "text a": 1,
        "text c": 1,
        "text d": 0,
    }
    assert found.weights == pytest.approx(0.3)


@pytest.mark.parametrize("name", ["labels.csv", "labels.csv.gz"])
def test_a_labelled_file_is_read_whatever_else_it_holds(tmp_path: Path, name: str) -> None:
    text = '\ufeff,split,label,TEXT\n1,train,1,"you, fool"\n2,train,0,你好\n3,train,0,你好\n4,train,0,\n'
    data = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
    (tmp_path / name).write_bytes(data)
    found = read_labels(tmp_path / name)
    assert found.texts == ["you, fool", "你好"]
    assert found.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"text,score\na,1\n", "lacks the column `label`"),
        (b"text,label\na,1\nb,maybe\n", "line 3: the label must be 0 or 1"),
        (b"text,label\n\xff\xfe,1\n", "cannot be read"),
        (b"", "lacks the column `text`"),
    ],
)
def test_a_labelled_file_that_is_not_right_is_refused_in_one_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(UserError, match=said):
        read_labels(tmp_path / "labels.csv")


def test_a_file_that_is_not_there_is_refused_when_the_cycle_starts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        AbuseConfig().located(tmp_path / "none.csv")
    assert AbuseConfig().located(None) == AbuseConfig()


@pytest.mark.skipif(not COLD.is_dir(), reason="the COLD data set is not there")
def test_on_cold_it_comes_close_to_the_published_detector() -> None:
    train, test = read_labels(COLD / "train.csv.gz"), read_labels(COLD / "test.csv.gz")
    models = fit_models(
        train.take(np.arange(0, len(train), 8)), AbuseConfig(expected_share=0.5), lambda line: None
    )
    assert models.guard is not None
    called = models.guard.probabilities(test.texts) >= 0.5
    assert (called == (test.labels == 1)).mean() > 0.72

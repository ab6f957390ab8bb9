"""What may be learnt from: masked text, without what the guard calls abusive."""

from pathlib import Path

import pyarrow as pa
import pytest

from tests.training.generator.world import documents, texts
from training.abuse.config import AbuseConfig
from training.errors import UserError
from training.generator.config import CorpusConfig
from training.generator.data import Corpus, split_corpus
from training.generator.guard import guarded, learn_abuse

CONFIG = CorpusConfig(min_heldout_documents=20)
SECRET, RUDE = "写信到8.8.8.8，住建国路88号", "what a clown, 小丑"


def corpus_of(said: list[str]) -> tuple[pa.Table, Corpus]:
    table = documents(said=said)
    return table, split_corpus(table, CONFIG)


@pytest.fixture(scope="module")
def mixed() -> tuple[pa.Table, Corpus]:
    """Every fifth document insults in words of no lexicon, the last of each hundred tells where somebody lives."""
    said = texts(800)
    said = [f"{text} {RUDE}" if i % 5 == 0 else text for i, text in enumerate(said)]
    return corpus_of([f"{text} {SECRET}" if i % 100 == 99 else text for i, text in enumerate(said)])


def labels(folder: Path) -> str:
    # Languages alternate: both have both labels.
    rows = [
        f'"{text} {RUDE}",1' if i // 2 % 2 else f'"{text}",0' for i, text in enumerate(texts(300, seed=5))
    ]
    (folder / "labels.csv").write_text("\n".join(["text,label", *rows, ""]), "utf-8")
    return str(folder / "labels.csv")


def test_personal_data_is_masked_before_training_and_held_out_text_stays(
    mixed: tuple[pa.Table, Corpus],
) -> None:
    _, corpus = mixed
    clean = guarded(corpus, None, True, lambda line: None)
    learnt = clean.fitting.texts + clean.calibration.texts
    assert not any("8.8.8.8" in text or "建国路" in text for text in learnt)
    assert sum("<ip>" in text and "<address>" in text for text in learnt) >= 6
    assert clean.validation.texts == corpus.validation.texts
    assert clean.test.equals(corpus.test)
    assert "personal data were masked" in clean.notes[-1]
    assert clean.fitting.ids == corpus.fitting.ids


def test_a_labelled_file_gives_a_guard_that_leaves_abuse_out(
    mixed: tuple[pa.Table, Corpus], tmp_path: Path
) -> None:
    table, corpus = mixed
    config = AbuseConfig(labels=labels(tmp_path), expected_share=0.2)
    models = learn_abuse(table, None, corpus, config, lambda line: None)
    assert models.guard is not None
    kept = guarded(corpus, models.guard, True, lambda line: None)
    learnt = kept.fitting.texts + kept.calibration.texts
    assert sum("clown" in text for text in learnt) < 0.05 * len(corpus.fitting)
    assert len(learnt) > 0.7 * (len(corpus.fitting) + len(corpus.calibration))
    assert any("left out as abusive" in note for note in kept.notes)
    everything = guarded(corpus, models.guard, False, lambda line: None)
    assert len(everything.fitting) == len(corpus.fitting)


def test_reports_of_held_out_documents_teach_nothing(mixed: tuple[pa.Table, Corpus]) -> None:
    table, corpus = mixed
    n = table.num_rows
    rude = ["clown" in text for text in table["text"].to_pylist()]
    reports = pa.table(
        {
            "document_id": table["document_id"],
            "n_seen": [9] * n,
            "n_reported": [3 * bad for bad in rude],
            "n_hidden": [0] * n,
        }
    )
    said: list[str] = []
    models = learn_abuse(table, reports, corpus, AbuseConfig(), said.append)
    assert models.guard is not None
    assert models.judge is not None
    known = models.guard.facts.n_positive + models.judge.facts.n_positive
    old = [
        bad
        for bad, at in zip(rude, table["created_at"].to_pylist(), strict=True)
        if at < corpus.trained_until
    ]
    assert known == sum(old) < sum(rude)


def test_without_labels_the_run_says_that_there_is_no_classifier(mixed: tuple[pa.Table, Corpus]) -> None:
    table, corpus = mixed
    models = learn_abuse(table, None, corpus, AbuseConfig(), lambda line: None)
    assert (models.guard, models.judge) == (None, None)
    assert "0 abusive and 0 other" in models.notes[0]


def test_a_file_of_labels_that_is_not_right_ends_the_cycle_in_one_line(
    mixed: tuple[pa.Table, Corpus], tmp_path: Path
) -> None:
    table, corpus = mixed
    (tmp_path / "labels.csv").write_text("words,label\n")
    with pytest.raises(UserError, match="lacks the column `text`"):
        learn_abuse(table, None, corpus, AbuseConfig(labels=str(tmp_path / "labels.csv")), lambda line: None)

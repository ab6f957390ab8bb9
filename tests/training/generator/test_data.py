from datetime import timedelta
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.training.generator.world import START, documents, texts
from training.errors import NotEnoughDataError, UserError
from training.generator.config import CorpusConfig
from training.generator.data import clean_text, held_out_documents, split_corpus

CONFIG = CorpusConfig(min_heldout_documents=20)


def ids(table: pa.Table) -> list[str]:
    return list(table["document_id"].to_pylist())


def test_training_is_older_than_validation_and_validation_older_than_test() -> None:
    table = documents()
    corpus = split_corpus(table, CONFIG)
    times = dict(zip(ids(table), table["created_at"].to_pylist(), strict=True))
    oldest_first = [corpus.fitting.ids, corpus.calibration.ids, corpus.validation.ids, ids(corpus.test)]
    for older, newer in pairwise(oldest_first):
        assert max(times[i] for i in older) < min(times[i] for i in newer)
    assert max(times[i] for i in corpus.calibration.ids) < corpus.trained_until
    assert corpus.trained_until <= min(times[i] for i in corpus.validation.ids) < corpus.window[0]
    assert all(corpus.window[0] <= times[i] < corpus.window[1] for i in ids(corpus.test))


def test_documents_of_one_instant_stay_on_one_side() -> None:
    table = documents()
    days = [START + timedelta(days=i // 24) for i in range(table.num_rows)]
    table = table.set_column(5, "created_at", pa.array(days, pa.timestamp("us", tz="UTC")))
    corpus = split_corpus(table, CONFIG)
    moments = dict(zip(ids(table), days, strict=True))
    sides = [{moments[i] for i in side} for side in (corpus.calibration.ids, corpus.validation.ids)]
    assert not sides[0] & sides[1]
    assert not sides[1] & {moments[i] for i in ids(corpus.test)}


def test_no_held_out_document_is_a_near_copy_of_an_older_one() -> None:
    said = texts(600)
    said[560] = said[3].replace(" ", "  ").upper()
    said[520] = said[4] + "!"
    said[590] = said[500][:-1]
    corpus = split_corpus(documents(said=said), CONFIG)
    assert not {"d00560", "d00590"} & set(ids(corpus.test))
    assert "d00520" not in corpus.validation.ids
    assert any("near copies" in note for note in corpus.notes)


def test_held_out_rows_depend_on_table_and_window_alone() -> None:
    table = documents()
    window = (START + timedelta(hours=500), START + timedelta(hours=600))
    config = CorpusConfig(max_heldout_documents=50)
    rows = held_out_documents(table, window, config)
    shuffled = table.take(pa.array([(i * 7) % 600 for i in range(600)]))
    assert rows.equals(held_out_documents(shuffled, window, config))
    assert 40 <= rows.num_rows <= 50
    assert pc.min(rows["created_at"]).as_py() == window[0]


def test_strong_insults_are_not_trained_on_but_stay_in_what_is_held_out() -> None:
    said = texts(600)
    said[5] = "you fucking idiot 11"
    said[6] = "你这个王八蛋 12"
    said[599] = "what an asshole, that bridge 13"
    corpus = split_corpus(documents(said=said), CONFIG)
    assert not {"d00005", "d00006"} & set(corpus.fitting.ids)
    assert "d00599" in ids(corpus.test)
    kept = split_corpus(documents(said=said), CorpusConfig(min_heldout_documents=20, leave_out_abuse=False))
    assert {"d00005", "d00006"} <= set(kept.fitting.ids)


def test_what_is_unusable_is_left_out_and_said() -> None:
    said: list[str | None] = [*texts(600)]
    said[7], said[8] = "  \n", None
    table = documents(said=said)  # type: ignore[arg-type]
    times = table["created_at"].to_pylist()
    times[9] = None
    table = table.set_column(5, "created_at", pa.array(times, pa.timestamp("us", tz="UTC")))
    corpus = split_corpus(table, CONFIG)
    assert not {"d00007", "d00008", "d00009"} & set(corpus.fitting.ids)
    assert corpus.notes[:2] == [
        "1 documents without a time were left out.",
        "2 empty documents were left out.",
    ]


def test_the_newest_text_is_kept_within_the_limits() -> None:
    config = CorpusConfig(min_heldout_documents=20, max_training_bytes=20_000, max_document_bytes=100)
    corpus = split_corpus(documents(800), config.model_copy(update={"min_training_bytes": 1000}))
    sizes = [*corpus.fitting.n_bytes, *corpus.calibration.n_bytes]
    assert sum(sizes) <= 20_000
    assert 90 < max(sizes) <= 100
    assert corpus.fitting.ids[0] > "d00200"


def test_too_little_is_refused_with_what_is_needed() -> None:
    with pytest.raises(NotEnoughDataError, match="at least 250 documents with text and time, there are 100"):
        split_corpus(documents(100), CONFIG)
    with pytest.raises(NotEnoughDataError, match="at least 20,000 bytes of training text"):
        split_corpus(documents(said=[f"{i} ok" for i in range(600)]), CONFIG)
    with pytest.raises(NotEnoughDataError, match="at least 100 validation documents"):
        split_corpus(documents(), CorpusConfig(min_heldout_documents=100))
    none = documents(said=["x"]).slice(0, 0)
    with pytest.raises(NotEnoughDataError, match="there are 0"):
        split_corpus(none, CONFIG)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(UserError, match="the corpus lacks the column lang"):
        split_corpus(documents().drop_columns(["lang"]), CONFIG)


def test_surrogates_become_characters_or_the_replacement_character() -> None:
    assert clean_text("a\ud83d\ude00b\udc80") == "a😀b\ufffd"

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from training.recommender.data import with_terms
from training.recommender.terms import CHARS, hashed_terms


def common(one: str, other: str) -> int:
    """How many terms two texts share."""
    return len(np.intersect1d(*hashed_terms([one, other])))


def test_words_in_any_case_and_order_and_pairs_of_chinese_characters_are_terms():
    assert common("Quantum gates", "GATES, quantum!") == 2
    assert common("量子计算", "计算机量子") == 2  # 量子 and 计算, not 子计
    assert common("学量子gate", "quantum gate") == 1
    assert common("ab ba", "cd") == common("量子", "子量") == 0


def test_a_single_letter_or_character_punctuation_and_no_text_have_no_terms():
    assert [len(terms) for terms in hashed_terms(["a b", "量", "?! ...", "", None])] == [0] * 5
    assert hashed_terms([]) == []


@given(st.lists(st.text(max_size=12), max_size=8))
@settings(max_examples=40, deadline=None)
def test_the_terms_of_a_text_do_not_depend_on_its_neighbours(texts):
    for text, terms in zip(texts, hashed_terms(texts), strict=True):
        np.testing.assert_array_equal(terms, hashed_terms([text])[0])
        assert (np.diff(terms.astype(int)) > 0).all()


def test_only_the_beginning_of_a_long_text_is_read():
    assert common("x" * CHARS + " tail", "tail") == 0


def test_a_table_gets_terms_for_its_texts_and_keeps_no_text():
    table = with_terms(pa.table({"post_id": ["a", "b"], "text": ["some words", None]}))
    assert table.column_names == ["post_id", "terms"]
    assert [len(terms) for terms in table["terms"].to_pylist()] == [2, 0]
    assert with_terms(table) is table
    assert with_terms(pa.table({"post_id": ["a"]}))["terms"].to_pylist() == [[]]

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.generator.ngram import NgramModel, join_documents
from training.generator.tokenizer import END_ID

VOCABULARY = 12
DOCUMENTS = st.lists(st.lists(st.integers(3, VOCABULARY - 1), max_size=12), min_size=1, max_size=8).filter(
    any
)


def fitted(documents: list[list[int]], order: int, min_authors: int = 1) -> NgramModel:
    ids = [np.array(document, np.int32) for document in documents]
    return NgramModel.fit(ids, [f"a{i % 3}" for i in range(len(ids))], VOCABULARY, order, min_authors)


@given(DOCUMENTS, st.integers(2, 4), st.integers(1, 2), st.lists(st.integers(0, 11), min_size=3, max_size=3))
@settings(max_examples=200, deadline=None)
def test_probabilities_are_positive_and_sum_to_one_after_any_context(
    documents: list[list[int]], order: int, min_authors: int, context: list[int]
) -> None:
    model = fitted(documents, order, min_authors)
    p, _ = model.distribution(np.array([context[-(order - 1) :]]))
    assert p.sum() == pytest.approx(1.0, abs=1e-5)
    assert (p > 0).all()


@given(DOCUMENTS, st.integers(2, 4), st.integers(1, 2))
@settings(max_examples=100, deadline=None)
def test_scoring_a_text_gives_what_is_drawn_from(
    documents: list[list[int]], order: int, min_authors: int
) -> None:
    model = fitted(documents, order, min_authors)
    scored, masses = model.score(join_documents([np.array(document) for document in documents]))
    at = 0
    for document in documents:
        past = [END_ID] * (order - 1)
        for token in [*document, END_ID]:
            p, mass = model.distribution(np.array([past]))
            assert p[0, token] == pytest.approx(scored[at], rel=1e-5)
            assert mass[0] == pytest.approx(masses[at], rel=1e-5)
            past, at = [*past, token][1:], at + 1
    assert at == len(scored)


def test_what_one_author_alone_wrote_is_not_recited() -> None:
    secret, others = [3, 4, 5, 6, 7, 8], [[9, 10, 11], [9, 10, 11], [9, 11, 10]]
    documents = [np.array(ids) for ids in [secret, secret, *others]]
    authors = ["a", "a", "b", "c", "d"]
    shared = NgramModel.fit(documents, authors, VOCABULARY, 4, 2)
    open_book = NgramModel.fit(documents, authors, VOCABULARY, 4, 1)
    assert shared.orders[2].find(np.array([(3 << 16) | 4], np.uint64))[1].tolist() == [False]
    assert open_book.orders[2].find(np.array([(3 << 16) | 4], np.uint64))[1].tolist() == [True]


def test_it_comes_back_from_its_arrays() -> None:
    model = fitted([[3, 4, 5, 3, 4], [4, 5]], 3)
    again = NgramModel.from_arrays(VOCABULARY, 3, model.arrays())
    context = np.array([[3, 4]])
    assert (model.distribution(context)[0] == again.distribution(context)[0]).all()


def test_nothing_to_count_and_too_long_an_order_are_refused() -> None:
    with pytest.raises(ValueError, match="no token"):
        NgramModel.fit([np.array([], np.int32)], ["a"], VOCABULARY, 3, 1)
    with pytest.raises(ValueError, match="order 17"):
        fitted([[3, 4]], 17)

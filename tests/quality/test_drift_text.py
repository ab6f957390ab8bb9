"""Text descriptors: English and Chinese, counted without a loop over characters."""

import math

import numpy as np
import pytest

from orchestration.quality.drift_text import TEXT_DESCRIPTORS, describe_texts

CASES = [
    ("plain words", {"length": 11, "mean_word_length": 5.0, "share_cjk": 0.0, "type_token_ratio": 1.0}),
    ("人工智能", {"length": 4, "share_cjk": 1.0, "mean_word_length": math.nan, "type_token_ratio": 1.0}),
    ("我爱 Python", {"share_cjk": 2 / 9, "mean_word_length": 6.0}),
    ("so so so", {"type_token_ratio": 1 / 3}),
    ("So so", {"type_token_ratio": 0.5}),
    ("12 ab", {"share_digits": 0.4}),
    ("wow!! ok。", {"share_punctuation": 3 / 9}),
    ("hi 😀🎉", {"share_emoji": 0.4}),
    ("see https://example.org/x", {"has_link": "yes"}),
    ("no link", {"has_link": "no"}),
    ("#tag and #two", {"n_hashtags": 2.0}),
    ("#今天天气# 很好", {"n_hashtags": 1.0}),
    ("", {"length": 0, "share_cjk": math.nan, "mean_word_length": math.nan, "type_token_ratio": math.nan}),
    ("\ud800x", {"length": 2}),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_a_text_is_described_by_its_characters(text, expected):
    row = describe_texts([text]).iloc[0]
    for name, value in expected.items():
        if isinstance(value, float) and math.isnan(value):
            assert np.isnan(row[name]), name
        elif isinstance(value, float):
            assert row[name] == pytest.approx(value), name
        else:
            assert row[name] == value, name


def test_a_text_is_described_the_same_alone_and_among_others():
    texts = [text for text, _ in CASES] * 3 + ["", "end", "", ""]
    together = describe_texts(texts)
    assert list(together.columns) == list(TEXT_DESCRIPTORS)
    for row, text in enumerate(texts):
        alone = describe_texts([text]).iloc[0]
        assert together.iloc[row].equals(alone), text


def test_no_texts_give_no_rows():
    assert len(describe_texts([])) == 0

import pyarrow as pa
import pytest

from training.languages import detect_languages

TEXTS = {
    "今天天气真好": "zh",
    "好": "zh",
    "转发微博 @小明 https://a.example/b": "zh",
    "今天去 Starbucks 喝 coffee": "zh",
    "这个PyTorch模型太好用了": "zh",
    "Visit 北京 for great food and fun things": "en",
    "I love this place and its food": "en",
    "Thanks, that helps a lot": "en",
    "这是の字": "zh",
    "これは日本語のテキストです": "ja",
    "안녕하세요 여러분 반갑습니다": "ko",
    "Je suis d'accord avec vous, merci beaucoup": "fr",
    "Das ist eine sehr gute Idee, vielen Dank dafür": "de",
    "Привет, как дела сегодня": "ru",
    "https://example.org/page": "und",
    "@someone #tag": "und",
    "😀😀 123": "und",
    "": "und",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_tagged_by_its_language_and_not_by_its_links(text):
    assert detect_languages(pa.array([text])).to_pylist() == [TEXTS[text]]


def test_tags_come_in_the_order_of_texts_and_nulls_stay_null():
    texts = ["你好吗", None, "How are you doing today?", "你好吗"]
    assert detect_languages(pa.array(texts, pa.string())).to_pylist() == ["zh", None, "en", "zh"]


def test_no_texts_give_no_tags():
    assert detect_languages(pa.array([], pa.string())).to_pylist() == []

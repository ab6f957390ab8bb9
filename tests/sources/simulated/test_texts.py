import re

import numpy as np
import pyarrow as pa
import pytest

from orchestration.sources.simulated.grammar import Draws, Sentence
from orchestration.sources.simulated.lexicon import EN, MIXED, ZH, article, plural, topics, wording
from orchestration.sources.simulated.personal import (
    KINDS,
    card,
    email,
    identity,
    luhn_digit,
    phone,
    resident_id_digit,
)
from orchestration.sources.simulated.writer import (
    DRAWS_A_TEXT,
    Brief,
    write_feedback,
    write_post,
    write_reply,
    write_spam,
)
from training.languages import detect_languages

LANGUAGES = [EN, ZH, MIXED]


def numbers(seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, 2**32, DRAWS_A_TEXT).tolist()


def posts(language: int, count: int = 400, level: float = 0.0) -> list:
    return [write_post(Brief(seed % 16, language, level), numbers(seed)) for seed in range(count)]


def test_the_same_numbers_make_the_same_text():
    assert write_post(Brief(3, EN, 0.0), numbers(1)) == write_post(Brief(3, EN, 0.0), numbers(1))
    assert write_post(Brief(3, EN, 0.0), numbers(1)) != write_post(Brief(3, EN, 0.0), numbers(2))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_slot_is_left_open(language):
    for level in (0.0, 1.0):
        for seed in range(600):
            brief = Brief(
                seed % 16, language, level, series=seed if seed % 3 == 0 else -1, part=1, parts=5, mention="m"
            )
            texts = [write_post(brief, numbers(seed)).text, write_reply(brief, numbers(seed)).text]
            texts += [write_spam(brief, numbers(seed)).text, *write_feedback(brief, numbers(seed))]
            assert not any(re.search(r"[{}]", text) for text in texts)
            assert all(texts)


@pytest.mark.parametrize(("language", "tag"), [(EN, "en"), (ZH, "zh")])
def test_texts_are_in_the_language_they_are_said_to_be_in(language, tag):
    tags = detect_languages(pa.array([post.text for post in posts(language)])).to_pylist()
    assert tags.count(tag) > 0.98 * len(tags)


def test_mixed_texts_hold_both():
    mixed = [post.text for post in posts(MIXED)]
    both = [text for text in mixed if re.search(r"[a-z]{3}", text) and re.search(r"[\u4e00-\u9fff]", text)]
    assert len(both) > 0.6 * len(mixed)


def test_texts_hardly_repeat_and_keep_to_their_topic():
    texts = [post.text for post in posts(EN, 800)]
    assert len(set(texts)) > 0.98 * len(texts)
    topic = topics()[0]
    words = {noun.singular for noun in topic.nouns_en} | {noun.plural for noun in topic.nouns_en}
    about = [write_post(Brief(0, EN, 0.0), numbers(seed)).text for seed in range(100)]
    verbs = {form for verb in topic.verbs_en for form in (verb.base, verb.past, verb.ing)}
    told = [text for text in about if any(word in text for word in words | verbs)]
    assert len(told) > 95


def test_subjects_and_verbs_agree():
    for seed in range(300):
        sentence = Sentence(topics()[seed % 16], EN, Draws(numbers(seed)), False, {})
        noun = sentence.nouns[0]
        assert (noun["it"], noun["is"], noun["s"]) in {("it", "is", "s"), ("they", "are", "")}
        assert noun["a"].startswith(("a ", "an ")) == (noun["it"] == "it")


@pytest.mark.parametrize(("phrase", "word"), [
    ("grinder", "a"), ("espresso", "an"), ("used car", "a"), ("LAN party", "an"), ("open mic", "an"),
])  # fmt: skip
def test_articles(phrase, word):
    assert article(phrase) == word


@pytest.mark.parametrize(
    ("word", "many"), [("fern", "ferns"), ("box", "boxes"), ("derby", "derbies"), ("tray", "trays")]
)
def test_plurals(word, many):
    assert plural(word) == many


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_topic_has_hundreds_of_words(language):
    for topic in topics():
        nouns = len(getattr(topic, f"nouns_{language}"))
        compounds = nouns * len(getattr(topic, f"modifiers_{language}"))
        rest = [getattr(topic, f"{kind}_{language}") for kind in ("adjectives", "verbs", "brands", "places")]
        assert compounds + nouns + sum(len(set(map(str, words))) for words in rest) > 150
    assert len(wording(language)["openers"]) * len(wording(language)["followers"]) > 500


def test_a_few_percent_of_posts_hold_personal_data_and_say_so():
    written = [post for language in LANGUAGES for post in posts(language, 2000)]
    planted = [post for post in written if post.planted]
    assert 0.02 < len(planted) / len(written) < 0.04
    assert all(value in post.text for post in planted for _, value in post.planted)
    assert {kind for post in planted for kind, _ in post.planted} == set(KINDS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_card_numbers_pass_luhns_test(language):
    for seed in range(100):
        digits = card(Draws(numbers(seed)), language).replace(" ", "")
        assert len(digits) in {16, 19}
        assert luhn_digit(digits[:-1]) == digits[-1]


def test_luhn_knows_the_textbook_number():
    assert luhn_digit("7992739871") == "3"


def test_resident_ids_have_their_check_character():
    assert resident_id_digit("11010519491231002") == "X"
    for seed in range(100):
        value = identity(Draws(numbers(seed)), ZH)
        assert re.fullmatch(r"\d{17}[\dX]", value)
        assert resident_id_digit(value[:17]) == value[17]


def test_american_data_are_of_the_reserved_kinds():
    for seed in range(100):
        assert "555" in phone(Draws(numbers(seed)), EN)
        assert re.fullmatch(r"(?!000|666)\d{3}-(?!00)\d\d-(?!0000)\d{4}", identity(Draws(numbers(seed)), EN))
        assert re.search(r"@example\.(com|org|net)$", email(Draws(numbers(seed)), EN))


def test_chinese_phone_numbers_have_eleven_digits():
    for seed in range(100):
        digits = re.sub(r"\D", "", phone(Draws(numbers(seed)), ZH)).removeprefix("86")
        assert re.fullmatch(r"1[3-9]\d{9}", digits)


def test_a_shift_makes_texts_longer_and_their_words_others():
    for language in LANGUAGES:
        before, after = posts(language), posts(language, level=1.0)
        assert np.mean([len(post.text) for post in after]) > 1.6 * np.mean(
            [len(post.text) for post in before]
        )
    slang = wording("en")["slang"]
    used = [
        sum(any(word in post.text for word in slang) for post in posts(EN, level=level))
        for level in (0.0, 1.0)
    ]
    assert used[0] == 0
    assert used[1] > 100


def test_parts_of_a_series_share_their_title():
    texts = [
        write_post(Brief(2, EN, 0.0, series=77, part=part, parts=6), numbers(part)).text for part in range(6)
    ]
    titles = {re.search(r"(?:The |A year of )?[\w' ]*coffee[\w' ]*", text)[0].strip(" ,") for text in texts}
    assert len(titles) <= 2
    assert all(str(part + 1) in text for part, text in enumerate(texts))

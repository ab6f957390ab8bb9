"""Simulated readers who rate and edit generated texts by a known truth: what the world's people like to read.

They ask for a text by its beginning, in a language and about a topic, and like what goes on in that language, about
that topic, in clean style: without repetition, links, mentions and blanked-out personal data. The truth of a text is
the share of it that is so, 0 to 1. What a reader says is the truth with a taste of their own, so readers disagree at
the border.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from orchestration.sources.simulated.lexicon import EN, ZH, Topic, topics
from orchestration.sources.simulated.writer import DRAWS_A_TEXT, Brief, write_post, write_reply
from training.generator.behaviour import repetition

_WEIGHTS = (0.25, 0.4, 0.35)
"""Of language, topic and style."""
_TASTE = 0.05
"""Standard deviation of what a reader adds to the truth."""
_LIKES, _DISLIKES = 0.78, 0.68
_EDITS = 0.15
_UNCLEAN = re.compile(r"https?://|www\.|@\S|<\w+>|[!！]{2,}")
_HAN = re.compile(r"[\u4e00-\u9fff]")
_LATIN = re.compile(r"[A-Za-z]")
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")


@dataclass(frozen=True)
class Question:
    """What a reader wants to read."""

    user_id: str
    prompt: str
    language: int
    topic: int


@dataclass(frozen=True)
class Word:
    """What a reader says of one text: `rating` -1, 0 or 1, and what they made of it, if they cared to."""

    rating: int
    edited_text: str | None


def questions(seed: int, count: int) -> Iterator[Question]:
    """Beginnings of posts of the world, English and Chinese, each once."""
    rng = np.random.default_rng([seed, 0xA5])
    asked: set[str] = set()
    while len(asked) < count:
        numbers = rng.integers(0, 2**32, DRAWS_A_TEXT, dtype=np.uint32).tolist()
        language, topic = (EN, ZH)[len(asked) % 2], int(rng.integers(len(topics())))
        prompt = _beginning(write_post(Brief(topic, language, 0.0), numbers).text, language, rng)
        if prompt and prompt not in asked and not _UNCLEAN.search(prompt):
            asked.add(prompt)
            yield Question(f"reader{rng.integers(1000):03d}", prompt, language, topic)


def _beginning(text: str, language: int, rng: np.random.Generator) -> str:
    if language == ZH:
        return text[: int(rng.integers(6, 14))].strip()
    words = text.split(" ")
    return " ".join(words[: int(rng.integers(4, 8))])


def truth(question: Question, response: str) -> float:
    """How much of `response` is what the reader likes, 0 to 1; 0 for one without text."""
    if not response.strip():
        return 0.0
    parts = (_language(question, response), _topic(question, response), _style(response))
    return float(np.dot(_WEIGHTS, parts))


def _language(question: Question, text: str) -> float:
    """Share of the letters that are of the language; a Chinese character counts as three."""
    han, latin = 3 * len(_HAN.findall(text)), len(_LATIN.findall(text))
    mine = latin if question.language == EN else han
    return mine / (han + latin) if han + latin else 0.5


def _topic(question: Question, text: str) -> float:
    """Share of the words known to few topics that this one knows; a half where there are none."""
    vocabulary = _vocabulary()
    found = [vocabulary[word] for word in _terms(text) if word in vocabulary]
    return (0.5 + sum(question.topic in owners for owners in found)) / (1 + len(found))


def _style(text: str) -> float:
    """1 less repeated runs of words, and less a third for each unclean thing."""
    return max(0.0, 1 - 2 * repetition(text) - len(_UNCLEAN.findall(text)) / 3)


def _terms(text: str) -> Iterator[str]:
    yield from (word.lower() for word in _WORD.findall(text))
    for run in re.findall(r"[\u4e00-\u9fff]+", text):
        yield from (run[at : at + 2] for at in range(len(run) - 1))


@lru_cache(maxsize=1)
def _vocabulary() -> dict[str, set[int]]:
    """Words (pairs of Chinese characters) of at most two topics, and whose they are."""
    owners: dict[str, set[int]] = {}
    for number, topic in enumerate(topics()):
        for phrase in _phrases(topic):
            for word in _terms(phrase):
                owners.setdefault(word, set()).add(number)
    return {word: known for word, known in owners.items() if len(known) <= 2 and len(word) > 1}


def _phrases(topic: Topic) -> Iterator[str]:
    yield from (form for noun in topic.nouns_en for form in (noun.singular, noun.plural))
    yield from (form for verb in topic.verbs_en for form in (verb.base, verb.past, verb.ing))
    yield from (noun.word for noun in topic.nouns_zh)
    for words in (topic.modifiers_en, topic.adjectives_en, topic.places_en, topic.brands_en):
        yield from words
    for words in (topic.modifiers_zh, topic.adjectives_zh, topic.verbs_zh, topic.places_zh, topic.brands_zh):
        yield from words
    yield from (topic.tag_en, topic.tag_zh)


def judge(question: Question, response: str, rng: np.random.Generator) -> Word:
    """What a reader says of `response`. Some rewrite what they do not like, in the way people of the world write."""
    felt = truth(question, response) + rng.normal(0.0, _TASTE)
    rating = 1 if felt >= _LIKES else -1 if felt <= _DISLIKES else 0
    edits = rating < 1 and rng.random() < _EDITS
    return Word(rating, _rewritten(question, rng) if edits else None)


def _rewritten(question: Question, rng: np.random.Generator) -> str:
    """What the reader would have said: a sentence about the topic, in the language."""
    numbers = rng.integers(0, 2**32, DRAWS_A_TEXT, dtype=np.uint32).tolist()
    return write_reply(Brief(question.topic, question.language, 0.0), numbers).text

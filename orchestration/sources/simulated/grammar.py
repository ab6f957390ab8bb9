"""Sentences from templates: slots are filled with words of one topic that agree with each other.

A post has two focus nouns; English slots agree with their number (`{a:1}`, `{is:1}`, `{it:1}`), Chinese ones carry
their measure word (`{a:1}` is 一, measure word, noun). All choice comes from `Draws`, so a text is a function of its
numbers.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from orchestration.sources.simulated.lexicon import (
    EN,
    MIXED,
    ZH,
    ChineseNoun,
    EnglishNoun,
    Topic,
    article,
    wording,
)

_SLOT = re.compile(r"\{([a-z0-9]+)(?::([a-z0-9]+))?\}")
_UNIT = float(2**32)


class Draws:
    """A row of uniform 32-bit numbers, taken one after the other, and round again at the end."""

    __slots__ = ("at", "numbers")

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers
        self.at = 0

    def next(self) -> int:
        """The next number."""
        self.at = self.at + 1 if self.at + 1 < len(self.numbers) else 0
        return self.numbers[self.at]

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.next() < probability * _UNIT

    def pick(self, words: list[Any]) -> Any:
        """One of `words`, each as likely."""
        return words[self.next() % len(words)]

    def skewed(self, words: list[Any], backwards: bool) -> Any:
        """One of `words`, the first ones likelier (`backwards`: the last ones), about as Zipf's law has it."""
        share = (self.next() / _UNIT) ** 2
        index = int(share * len(words))
        return words[-1 - index] if backwards else words[index]

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + self.next() % (high - low + 1)


class Sentence:
    """The words that a post keeps to: two focus nouns, and the topic's vocabulary to draw the rest from."""

    def __init__(
        self, topic: Topic, language: int, draws: Draws, backwards: bool, extra: dict[str, str]
    ) -> None:
        self.topic = topic
        self.language = language
        self.draws = draws
        self.backwards = backwards
        self.extra = extra
        self.words = wording("en" if language == EN else "zh")
        first, second = self._noun(), self._noun()
        if first["h"] == second["h"]:
            second = self._noun()
        self.nouns = (first, second)

    def _noun(self) -> dict[str, str]:
        if self.language == EN:
            return self._english_noun()
        return self._chinese_noun()

    def _english_noun(self) -> dict[str, str]:
        draws = self.draws
        noun: EnglishNoun = draws.skewed(self.topic.nouns_en, self.backwards)
        many = draws.chance(0.25)
        head = noun.plural if many else noun.singular
        modifier = draws.skewed(self.topic.modifiers_en, self.backwards) + " " if draws.chance(0.55) else ""
        phrase = modifier + head
        return {
            "a": phrase if many else f"{article(phrase)} {phrase}",
            "the": f"the {phrase}",
            "this": f"{'these' if many else 'this'} {phrase}",
            "n": head,
            "h": noun.singular,
            "it": "they" if many else "it",
            "is": "are" if many else "is",
            "was": "were" if many else "was",
            "has": "have" if many else "has",
            "s": "" if many else "s",
        }

    def _chinese_noun(self) -> dict[str, str]:
        draws = self.draws
        if self.language == MIXED and draws.chance(0.6):
            english: EnglishNoun = draws.skewed(self.topic.nouns_en, self.backwards)
            measure, word = "个", f" {english.singular} "
        else:
            noun: ChineseNoun = draws.skewed(self.topic.nouns_zh, self.backwards)
            measure, word = noun.measure, noun.word
        modifier = draws.skewed(self.topic.modifiers_zh, self.backwards) if draws.chance(0.45) else ""
        return {
            "a": f"一{measure}{modifier}{word}",
            "this": f"这{measure}{word}",
            "n": modifier + word,
            "h": word,
            "c": measure,
        }

    def focus(self, slot: str, which: str) -> str:
        """A form of the first or second focus noun."""
        return self.nouns[int(which) - 1][slot]

    def word(self, slot: str) -> str:
        """A word for a slot without a focus noun."""
        if slot in self.extra:
            return self.extra[slot]
        return _WORDS[slot](self)

    def link(self) -> str:
        """A link to a brand's page on this topic."""
        brand = self.draws.pick(self.topic.brands_en).lower()
        return f"https://{brand}.example/{self.topic.name}/{self.draws.between(10, 99999)}"

    def adjective(self) -> str:
        """An adjective of the topic."""
        if self.language == EN:
            return str(self.draws.skewed(self.topic.adjectives_en, self.backwards))
        if self.language == MIXED and self.draws.chance(0.3):
            return f" {self.draws.skewed(self.topic.adjectives_en, self.backwards)} "
        return str(self.draws.skewed(self.topic.adjectives_zh, self.backwards))

    def verb(self, form: str) -> str:
        """A verb of the topic; Chinese has one form."""
        if self.language == EN:
            return str(getattr(self.draws.skewed(self.topic.verbs_en, self.backwards), form))
        return str(self.draws.skewed(self.topic.verbs_zh, self.backwards))


_WORDS: dict[str, Callable[[Sentence], str]] = {
    "adj": Sentence.adjective,
    "adj2": Sentence.adjective,
    "v": lambda s: s.verb("base"),
    "v2": lambda s: s.verb("base"),
    "ved": lambda s: s.verb("past"),
    "ving": lambda s: s.verb("ing"),
    "place": lambda s: s.draws.pick(s.topic.places_en if s.language == EN else s.topic.places_zh),
    "brand": lambda s: s.draws.pick(s.topic.brands_zh if s.language == ZH else s.topic.brands_en),
    "name": lambda s: s.draws.pick(s.words["names"]),
    "city": lambda s: s.draws.pick(s.words["cities"]),
    "when": lambda s: s.draws.pick(s.words["when"]),
    "very": lambda s: s.draws.pick(s.words["very"]),
    "num": lambda s: str(s.draws.between(2, 40)),
    "topic": lambda s: s.topic.tag_en if s.language == EN else s.topic.tag_zh,
    "link": Sentence.link,
}


@lru_cache(maxsize=4096)
def _parts(template: str) -> list[tuple[str, str | None, str | None]]:
    """A template as triples: literal, then a slot's name and the number of its noun (None at the end)."""
    parts: list[tuple[str, str | None, str | None]] = []
    at = 0
    for match in _SLOT.finditer(template):
        parts.append((template[at : match.start()], match[1], match[2]))
        at = match.end()
    parts.append((template[at:], None, None))
    return parts


def render(template: str, sentence: Sentence) -> str:
    """Fill a template; an English sentence starts with a capital."""
    out = []
    for literal, slot, which in _parts(template):
        out.append(literal)
        if slot is not None:
            out.append(sentence.word(slot) if which is None else sentence.focus(slot, which))
    text = "".join(out)
    if sentence.language == EN:
        return text[:1].upper() + text[1:]
    return text.replace("  ", " ").strip()

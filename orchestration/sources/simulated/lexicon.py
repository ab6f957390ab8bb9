"""The simulated world's vocabulary: hand-written seeds, and the inflections and brand names made from them."""

import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

EN, ZH, MIXED = 0, 1, 2
"""Languages of a post; `mixed` is Chinese with English nouns in it."""

_FOLDER = Path(__file__).parent / "seeds"
_BRANDS = 24
_SYLLABLES = [
    "no",
    "va",
    "ri",
    "kel",
    "to",
    "mi",
    "zan",
    "lu",
    "per",
    "sol",
    "ta",
    "quo",
    "bren",
    "dy",
    "fa",
    "lix",
]
_CHARACTERS = "云山野海星木禾青石月风舟橙白鹿南川知乐原"
_AN = re.compile(r"^([aeio]|u(?!ni|se|sb|til)|[FHLMNRSX][A-Z])")


@dataclass(frozen=True)
class EnglishNoun:
    """A noun in both numbers."""

    singular: str
    plural: str


@dataclass(frozen=True)
class ChineseNoun:
    """A noun with its measure word."""

    measure: str
    word: str


@dataclass(frozen=True)
class Verb:
    """An English verb as base, past and -ing form."""

    base: str
    past: str
    ing: str


@dataclass(frozen=True)
class Topic:
    """One topic's words in both languages."""

    name: str
    community: str
    tag_en: str
    tag_zh: str
    nouns_en: list[EnglishNoun]
    nouns_zh: list[ChineseNoun]
    modifiers_en: list[str]
    modifiers_zh: list[str]
    adjectives_en: list[str]
    adjectives_zh: list[str]
    verbs_en: list[Verb]
    verbs_zh: list[str]
    places_en: list[str]
    places_zh: list[str]
    brands_en: list[str]
    brands_zh: list[str]


def article(phrase: str) -> str:
    """`a` or `an` before `phrase`."""
    return "an" if _AN.match(phrase) else "a"


def plural(word: str) -> str:
    """Regular plural of the last word of `word`; `singular/plural` in the seeds says the others."""
    if re.search(r"(s|x|ch|sh)$", word):
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + "s"


def _noun(entry: str) -> EnglishNoun:
    singular, _, irregular = entry.partition("/")
    return EnglishNoun(singular, irregular or plural(singular))


def _verb(entry: str) -> Verb:
    base, *forms = entry.split("/")
    if forms:
        return Verb(base, forms[0], forms[1])
    stem = base[:-1] if base.endswith("e") else base
    past = base[:-1] + "ied" if re.search(r"[^aeiou]y$", base) else stem + "ed"
    return Verb(base, past, stem + "ing")


def _brands(topic: str) -> tuple[list[str], list[str]]:
    """Brand names of a topic, made of syllables; the same in every world."""
    english, chinese = [], []
    for index in range(_BRANDS):
        number = zlib.crc32(f"{topic}/{index}".encode())
        parts = [_SYLLABLES[(number >> shift) % len(_SYLLABLES)] for shift in (0, 4, 8)]
        english.append("".join(parts[: 2 + index % 2]).capitalize())
        chinese.append("".join(_CHARACTERS[(number >> shift) % len(_CHARACTERS)] for shift in (3, 9)))
    return english, chinese


def _topic(name: str, entry: dict[str, Any]) -> Topic:
    english, chinese = entry["en"], entry["zh"]
    brands_en, brands_zh = _brands(name)
    return Topic(
        name=name,
        community=entry["community"],
        tag_en=entry["tag"]["en"],
        tag_zh=entry["tag"]["zh"],
        nouns_en=[_noun(noun) for noun in english["nouns"]],
        nouns_zh=[ChineseNoun(*noun.split(" ", 1)) for noun in chinese["nouns"]],
        modifiers_en=english["modifiers"],
        modifiers_zh=chinese["modifiers"],
        adjectives_en=english["adjectives"],
        adjectives_zh=chinese["adjectives"],
        verbs_en=[_verb(verb) for verb in english["verbs"]],
        verbs_zh=chinese["verbs"],
        places_en=english["places"],
        places_zh=chinese["places"],
        brands_en=brands_en,
        brands_zh=brands_zh,
    )


def _load(name: str) -> Any:
    return yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def topics() -> list[Topic]:
    """All topics; a topic's index in this list is its number everywhere in the simulation."""
    return [_topic(name, entry) for name, entry in _load("topics.yaml").items()]


@lru_cache(maxsize=1)
def topic_communities() -> list[int]:
    """The community's number of each topic."""
    names = list(dict.fromkeys(topic.community for topic in topics()))
    return [names.index(topic.community) for topic in topics()]


@lru_cache(maxsize=2)
def wording(language: str) -> dict[str, Any]:
    """Names, places, phrases and sentences of `en` or `zh`."""
    words: dict[str, Any] = _load(f"{language}.yaml")
    return words

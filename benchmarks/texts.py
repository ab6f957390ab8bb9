"""Text to train on and to be measured by: a file read, cut after nine tenths, and turned into token ids."""

import gzip
import json
import lzma
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.generator.config import TokenizerConfig
from training.generator.data import clean_text
from training.generator.tokenizer import END_ID, SPECIAL, Tokenizer

TRAINING_SHARE = 0.9
LEVELS = ("char", "bpe")
_MANY_CHARACTERS = 256
"""Alphabets are smaller; a level that is not named is `bpe` beyond it."""
_UNKNOWN = len(SPECIAL)
_RARE = 2
"""Characters seen less often in training are unknown, so that there is something to learn about unknown ones."""
_UNKNOWN_NATS = math.log(0x110000)
"""What naming an unknown character costs: all of Unicode alike."""


@dataclass(frozen=True)
class Texts:
    """Documents in the order of the file: the first nine tenths of the text train, the rest validates."""

    train: list[str]
    validation: list[str]

    @property
    def characters(self) -> int:
        """Of the validation text, an end counted for every document if there are several."""
        return sum(map(len, self.validation)) + self._ends

    @property
    def n_bytes(self) -> int:
        """Of the validation text in UTF-8, ends counted likewise."""
        return sum(len(text.encode()) for text in self.validation) + self._ends

    @property
    def _ends(self) -> int:
        return len(self.validation) if len(self.validation) > 1 else 0

    def xz_bits_per_byte(self) -> float:
        """What `xz -9e` needs for the validation text after the training text; documents end with a line break."""
        first, whole = (
            len(lzma.compress("\n".join(texts).encode(), preset=9 | lzma.PRESET_EXTREME))
            for texts in (self.train, self.train + self.validation)
        )
        return 8 * (whole - first) / self.n_bytes


def read(path: Path) -> Texts:
    """Plain text is one document, `posts.jsonl` one a line (its field `text`); both may be gzipped.

    Raises OSError, and ValueError with one clear line.
    """
    try:
        data = path.read_bytes()
        content = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as text ({error})") from error
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        posts = _posts(path, content)
        cut = int(TRAINING_SHARE * len(posts))
        train, validation = posts[:cut], posts[cut:]
    else:
        cut = int(TRAINING_SHARE * len(content))
        train, validation = [content[:cut]], [content[cut:]]
    if sum(map(len, train)) < 1000 or not any(validation):
        raise ValueError(f"{path} holds too little text: at least 1,000 characters must be left to train on")
    return Texts(train, validation)


def _posts(path: Path, content: str) -> list[str]:
    posts = []
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["text"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} line {number} is no post with a text") from error
        if isinstance(text, str) and text.strip():
            posts.append(clean_text(text))
    return posts


@dataclass(frozen=True)
class Encoded:
    """`Texts` as token ids, the same for every contender."""

    train: list[np.ndarray]
    """int32 [tokens] each, without end tokens"""
    validation: list[np.ndarray]
    vocabulary: int
    characters: int
    n_bytes: int
    unknown_nats: float
    """What naming the unknown characters of the validation text adds to every contender's loss"""

    def save(self, path: Path) -> None:
        """As .npz."""
        arrays = {}
        for name in ("train", "validation"):
            documents = getattr(self, name)
            arrays[name] = np.concatenate(documents)
            arrays[f"{name}_sizes"] = np.array([len(ids) for ids in documents])
        facts = {
            name: getattr(self, name) for name in ("vocabulary", "characters", "n_bytes", "unknown_nats")
        }
        np.savez(path, **arrays, **facts)

    @classmethod
    def load(cls, path: Path) -> "Encoded":
        """What `save` wrote."""
        with np.load(path) as found:
            parts = [
                np.split(found[name], np.cumsum(found[f"{name}_sizes"])[:-1])
                for name in ("train", "validation")
            ]
            facts = [int(found[name]) for name in ("vocabulary", "characters", "n_bytes")]
            return cls(*parts, *facts, float(found["unknown_nats"]))


def level_of(texts: Texts) -> str:
    """`char` for alphabets, `bpe` for scripts of many characters and for many documents."""
    return "char" if len(set().union(*texts.train)) <= _MANY_CHARACTERS else "bpe"


def encode(texts: Texts, level: str) -> Encoded:
    """Characters, or byte pairs as tidegate learns them; learned from the training text alone."""
    if level == "bpe":
        tokenizer = Tokenizer.fit(
            texts.train, sum(len(text.encode()) for text in texts.train), TokenizerConfig()
        )
        encoded = [tokenizer.encode_all(part) for part in (texts.train, texts.validation)]
        return Encoded(*encoded, tokenizer.size, texts.characters, texts.n_bytes, 0.0)
    counts = Counter(character for text in texts.train for character in text)
    known = sorted(character for character, count in counts.items() if count >= _RARE)
    number = {character: rank for rank, character in enumerate(known, start=_UNKNOWN + 1)}
    train, validation = (_characters(part, number) for part in (texts.train, texts.validation))
    unknown = sum(int((ids == _UNKNOWN).sum()) for ids in validation)
    size = _UNKNOWN + 1 + len(known)
    return Encoded(train, validation, size, texts.characters, texts.n_bytes, unknown * _UNKNOWN_NATS)


def _characters(texts: Sequence[str], number: dict[str, int]) -> list[np.ndarray]:
    assert END_ID < _UNKNOWN
    return [np.array([number.get(character, _UNKNOWN) for character in text], np.int32) for text in texts]

"""Byte-level byte-pair encoding: text in, ids out, and every string comes back exactly.

Special tokens cannot be typed: `<|endoftext|>` in a user's text is encoded as ordinary characters. A digit is a token
of its own, so that numbers have no memorable pieces. A run of Han characters is one piece, so that merges may form
Chinese words; other letters are cut at spaces and where Han begins. (Joining Han with punctuation makes 4 % fewer
tokens of Weibo posts and 0.4 % more bits a byte.)
"""

import math
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path
from typing import get_args

import numpy as np
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as Encoder

from training.generator.characters import CharacterRules
from training.generator.config import TokenizerConfig
from training.generator.script import Script, beginning_in

END, USER, ASSISTANT = "<|endoftext|>", "<|user|>", "<|assistant|>"
SPECIAL = (END, USER, ASSISTANT)
END_ID = 0
FILE = "tokenizer.json"

_SMALLEST = 512
_PIECES = (
    r"'(?:[sdmt]|ll|ve|re)"
    r"| ?(?:(?!\p{Han})\p{L})+"
    r"|\p{N}"
    r"|\p{Han}+"
    r"| ?[^\s\p{L}\p{N}]+"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@cache
def byte_of_character() -> dict[str, int]:
    """The printable stand-ins that byte-level encoding uses for bytes (GPT-2's table), inverted."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(256 + rank): byte for rank, byte in enumerate(others)}


class Rendered(str):
    """A prompt that a bundle's chat template made: the special tokens in it are meant, nobody else wrote any."""

    __slots__ = ()


class Tokenizer:
    """Encodes text, and knows the bytes of every token."""

    other_ends = np.empty(0, np.int64)
    """Ids besides END_ID that end a text."""
    silent = np.arange(END_ID + 1, len(SPECIAL))
    """Ids that are never generated, int64."""

    def __init__(self, encoder: Encoder) -> None:
        encoder.encode_special_tokens = True
        self._encoder = encoder

    @classmethod
    def fit(cls, texts: Iterable[str], n_bytes: int, config: TokenizerConfig) -> "Tokenizer":
        """Learn merges from `texts`, which are `n_bytes` long in UTF-8."""
        encoder = Encoder(models.BPE())
        encoder.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_PIECES), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        encoder.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size(n_bytes, config),
            min_frequency=config.min_frequency,
            special_tokens=list(SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        encoder.train_from_iterator(texts, trainer)
        return cls(encoder)

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Read `tokenizer.json`. Raises OSError and ValueError when it cannot be read."""
        return cls(Encoder.from_str((folder / FILE).read_text(encoding="utf-8")))

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`."""
        (folder / FILE).write_text(self._encoder.to_str(), encoding="utf-8")

    @property
    def size(self) -> int:
        """Entries of the vocabulary."""
        return int(self._encoder.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """Ids of valid Unicode `text`, without an end token."""
        return list(self._encoder.encode(text).ids)

    def encode_all(self, texts: list[str]) -> list[np.ndarray]:
        """Ids of each text, int32, without end tokens."""
        return [np.array(encoding.ids, np.int32) for encoding in self._encoder.encode_batch_fast(texts)]

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes of each token; special tokens have none."""
        table = byte_of_character()
        pieces = [self._encoder.id_to_token(token) for token in range(self.size)]
        return [b"" if piece in SPECIAL else bytes(table[c] for c in piece or "") for piece in pieces]

    @cached_property
    def characters(self) -> CharacterRules:
        """Which tokens may follow each other within a character."""
        return CharacterRules(self.token_bytes)

    @cached_property
    def openings(self) -> dict[Script, np.ndarray]:
        """Which tokens begin with a letter of a script, bool [vocabulary]."""
        return {script: beginning_in(script, self.token_bytes) for script in get_args(Script)}

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that `ids` stand for, which need not be whole characters."""
        return b"".join(self.token_bytes[token] for token in ids)


def vocabulary_size(n_bytes: int, config: TokenizerConfig) -> int:
    """As configured, or 1.1 times the square root of the bytes, rounded to 64s.

    The square root follows Heaps' law: the rarest entry is then seen about equally often in corpora of any size.
    """
    if config.vocabulary:
        return max(config.vocabulary, 256 + len(SPECIAL))
    wanted = round(1.1 * math.sqrt(n_bytes) / 64) * 64
    return max(_SMALLEST, min(wanted, config.max_vocabulary))

"""A public model's tokenizer behind the interface of our own: END_ID ends a document, every token's bytes are known.

The id that ends a text and id 0 change places, so that all code that knows END_ID holds here too; `PretrainedNetwork`
does the same to its weights. Special tokens cannot be typed, as in our own tokenizer.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer as Encoder

from training.errors import UserError
from training.generator.tokenizer import END_ID, FILE, Rendered, Tokenizer, byte_of_character

FILES = (FILE, "tokenizer_config.json")
_PROBE = "Naïve café №7, costs $5.90!\n\n今天天气很好，我们去看𠮷野家😀 ünï-çødé"
_SPACE = "\u2581"
"""How SentencePiece writes a space."""


class PretrainedTokenizer(Tokenizer):
    """Encodes text as the public model was taught to; `size` counts the rows of its embedding, used or not."""

    def __init__(
        self, files: dict[str, bytes], size: int, end: int, begin: int, other_ends: Sequence[int] = ()
    ) -> None:
        """`files` are its files by name; ids are the model's own.

        Raises UserError for a tokenizer that loses text, because its bits per byte could not be compared, and for one
        with more tokens than the model knows.
        """
        super().__init__(Encoder.from_str(files[FILE].decode()))
        self._files, self._size, self._end = files, size, end
        self.begin, self.special = self._swapped(begin), self._special_tokens()
        self.other_ends = np.array([self._swapped(token) for token in other_ends], np.int64)
        self.silent = np.array(
            [i for i, data in enumerate(self.token_bytes) if not data and i != END_ID], np.int64
        )
        self._check()

    def save(self, folder: Path) -> None:
        """Write its files as they came."""
        for name, content in self._files.items():
            (folder / name).write_bytes(content)

    @property
    def size(self) -> int:
        """Rows of the model's embedding."""
        return self._size

    def _swapped(self, token: int) -> int:
        return {END_ID: self._end, self._end: END_ID}.get(token, token)

    def _swap(self, ids: Sequence[int]) -> np.ndarray:
        out = np.array(ids, np.int32)
        at_end, at_zero = out == self._end, out == END_ID
        out[at_end], out[at_zero] = END_ID, self._end
        return out

    def encode(self, text: str) -> list[int]:
        """Ids of valid Unicode `text`, without begin and end tokens; special tokens in a rendered prompt stay so."""
        if isinstance(text, Rendered):
            return self._encode_rendered(text)
        return [int(token) for token in self._swap(self._encoder.encode(text, add_special_tokens=False).ids)]

    def _encode_rendered(self, text: str) -> list[int]:
        ids = [int(token) for token in self._swap(self._marked.encode(text, add_special_tokens=False).ids)]
        # What every text begins with is put first anyway.
        return ids[1:] if ids[:1] == [self.begin] else ids

    @cached_property
    def _marked(self) -> Encoder:
        return Encoder.from_str(self._files[FILE].decode())

    def encode_all(self, texts: list[str]) -> list[np.ndarray]:
        """Ids of each text, int32, without begin and end tokens."""
        found = self._encoder.encode_batch_fast(texts, add_special_tokens=False)
        return [self._swap(encoding.ids) for encoding in found]

    def named(self, name: str) -> str:
        """The text of what the model's own settings call `name`, such as `bos_token`; empty where there is none."""
        found = json.loads(self._files["tokenizer_config.json"]).get(name) or ""
        return str(found["content"]) if isinstance(found, dict) else str(found)

    def _special_tokens(self) -> dict[str, int]:
        """Special tokens by their text."""
        added = self._encoder.get_added_tokens_decoder()
        return {token.content: self._swapped(index) for index, token in added.items() if token.special}

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """The bytes of each token; special tokens and unused ids have none."""
        added = {index: token.content for index, token in self._encoder.get_added_tokens_decoder().items()}
        spell = _byte_level if self._is_byte_level else _sentence_piece
        out = [b""] * self._size
        for token in range(min(self._size, self._encoder.get_vocab_size())):
            if token in added:
                text = added[token]
                out[self._swapped(token)] = b"" if text in self.special else text.encode()
            else:
                out[self._swapped(token)] = spell(self._encoder.id_to_token(token) or "")
        return out

    @property
    def _is_byte_level(self) -> bool:
        return '"ByteLevel"' in json.dumps(self._description.get("decoder"))

    @cached_property
    def _description(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._files[FILE])
        return found

    def _check(self) -> None:
        known = self._encoder.get_vocab_size()
        if known > self._size:
            raise UserError(f"the base model's tokenizer has {known} tokens, its embedding {self._size}")
        back = self.decode_bytes(self.encode(_PROBE)).removeprefix(b" ").decode(errors="replace")
        if back != _PROBE:
            raise UserError(
                "the base model's tokenizer loses text, so that its bits per byte could not be compared: it reads "
                f"{_PROBE[-24:]!r} as {back[-24:]!r}"
            )


def _byte_level(piece: str) -> bytes:
    table = byte_of_character()
    return bytes(table[character] for character in piece)


def _sentence_piece(piece: str) -> bytes:
    if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace(_SPACE, " ").encode()

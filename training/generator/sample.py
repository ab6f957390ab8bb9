"""Sampling: text out of a language model, one text as a stream of pieces, or many side by side."""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import torch

from training.bundle import Bundle
from training.generator.characters import WHOLE
from training.generator.mixture import LanguageModel
from training.generator.networks import State
from training.generator.tasks.form import MARKS
from training.generator.tasks.model import REMEMBERED, TaskModel, remembered
from training.generator.tokenizer import END_ID

LONGEST_PROMPT = 512
"""Tokens of a prompt that are read where the network's context sets no limit."""
_COLDEST = 1e-3
"""Below this temperature sampling is greedy: the division would overflow."""


class Decoder:
    """Rows of one document each that begin alike and go on each its own way, a token at a time.

    Tokens that would break a character get no probability: a network trained for seconds spells rare ones wrong.
    """

    def __init__(self, model: LanguageModel, prompt: Sequence[int], rows: int = 1) -> None:
        self._model = model
        padding = [END_ID] * max(model.ngram.order - 1, 1)
        read = [*padding, *prompt[-prompt_limit(model) :]]
        self._tokens = np.tile(np.array(read, np.int64), (rows, 1))
        self._state: State = None
        self._covered = 0
        self._characters = np.full(rows, WHOLE)
        self._hidden = self._read(self._tokens[:, len(padding) - 1 :])

    def push(self, tokens: np.ndarray) -> None:
        """Go on with `tokens`, int64 [rows]."""
        keep = max(self._model.ngram.order, _context(self._model) or 0)
        self._tokens = np.concatenate([self._tokens[:, -keep:], tokens[:, None]], axis=1)
        self._characters = self._model.tokenizer.characters.after[self._characters, tokens]
        self._hidden = self._read(tokens[:, None])

    def probabilities(self) -> np.ndarray:
        """Of the next token, float64 [rows, vocabulary]."""
        p = self._model.next_token(self._hidden, self._tokens[:, 1 - self._model.ngram.order :])
        p = p * self._model.tokenizer.characters.allowed[self._characters]
        return p / p.sum(axis=1, keepdims=True)

    @torch.inference_mode()
    def _read(self, new: np.ndarray) -> torch.Tensor | None:
        network, context = self._model.network, _context(self._model)
        if network is None:
            return None
        if context is not None and self._covered + new.shape[1] > context:
            # As `LanguageModel.score` reads long documents: half of the context again, then on.
            new, self._state, self._covered = self._tokens[:, context // 2 - context - 1 :], None, 0
        hidden, self._state = network(torch.from_numpy(new), self._state)
        self._covered += new.shape[1]
        return hidden[:, -1]


def _context(model: LanguageModel) -> int | None:
    return model.network.context if model.network is not None else None


def prompt_limit(model: LanguageModel) -> int:
    """Most tokens of a prompt that the model reads; the older ones are cut off."""
    context = _context(model)
    return LONGEST_PROMPT if context is None else context - 1


def pick(p: np.ndarray, temperature: float, top_p: float, uniform: np.ndarray) -> np.ndarray:
    """One token a row, int64 [rows], from probabilities `p` [rows, vocabulary] and draws `uniform` in [0, 1) [rows].

    Temperature 0 takes the likeliest. `top_p` keeps the likeliest tokens that together have at least that mass after
    the temperature is applied (Holtzman et al. 2020).
    """
    if temperature < _COLDEST:
        return p.argmax(axis=1)
    weights = p
    if temperature != 1.0:
        with np.errstate(divide="ignore"):
            logs = np.log(p) / temperature
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
    if top_p >= 1.0:
        return _inverse(weights, uniform)
    order = np.argsort(-weights, axis=1, kind="stable")
    ranked = np.take_along_axis(weights, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked
    ranked[before >= top_p * ranked.sum(axis=1, keepdims=True)] = 0.0
    return order[np.arange(len(p)), _inverse(ranked, uniform)]


def _inverse(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    cumulated = np.cumsum(weights, axis=1)
    passed = (cumulated <= (uniform * cumulated[:, -1])[:, None]).sum(axis=1)
    return np.minimum(passed, weights.shape[1] - 1)


def sample_texts(
    model: LanguageModel,
    prompt: str,
    rows: int,
    *,
    max_tokens: int,
    temperature: float,
    top_p: float,
    seed: int | Sequence[int],
) -> list[str]:
    """`rows` texts that go on from `prompt` (not part of them), each to its end token or `max_tokens`."""
    rng = np.random.default_rng(seed)
    read, memory = remembered(model, model.tokenizer.encode(prompt))
    decoder = Decoder(model, read, rows)
    said = np.full((rows, 1), END_ID)
    chosen: list[np.ndarray] = []
    open_rows = np.ones(rows, bool)
    while len(chosen) < max_tokens and open_rows.any():
        if chosen:
            decoder.push(chosen[-1])
        p = decoder.probabilities()
        if memory is not None:
            p = np.stack([memory.mixed(row, before.tolist()) for row, before in zip(p, said, strict=True)])
        token = pick(p, temperature, top_p, rng.random(rows))
        said = np.concatenate([said, token[:, None]], axis=1)
        open_rows &= token != END_ID
        # END_ID has no bytes: what a closed row goes on to say is not heard.
        chosen.append(np.where(open_rows, token, END_ID))
    texts = (model.tokenizer.decode_bytes(row.tolist()) for row in np.stack(chosen, axis=1))
    return [_whole_characters().decode(text) for text in texts]


def _whole_characters() -> codecs.IncrementalDecoder:
    """Holds the bytes of a character back until it is whole."""
    return codecs.getincrementaldecoder("utf-8")()


@dataclass(frozen=True)
class Piece:
    """Some text (it may be empty), the tokens generated so far, and with the last piece why it is the last."""

    text: str
    tokens: int
    finish: Literal["stop", "length"] | None = None


class _Stops:
    """Holds text back that might be the beginning of a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """What may be shown, and whether a stop string ends it there."""
        text = self._held + text
        # The one that is complete first, so that it does not matter how the text was cut.
        found = [(text.find(stop) + len(stop), text.find(stop)) for stop in self._stops if stop in text]
        if found:
            self._held = ""
            return text[: min(found)[1]], True
        held = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held], False

    def rest(self) -> str:
        """What was held back, when the text ends without a stop string."""
        return self._held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-n:])), 0)


class TextGenerator:
    """A language model that continues prompts. Safe to call from several threads: a text shares nothing with others."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._longest_token = max(len(token) for token in model.tokenizer.token_bytes)

    @classmethod
    def load(cls, bundle: Bundle) -> Self:
        """From a verified bundle. Raises BundleError when its parts do not fit together."""
        from training.generator.export import read_model

        return cls(read_model(bundle))

    def prompt_tokens(self, prompt: str) -> int:
        """Tokens of `prompt` that the model reads: a longer prompt is cut on the left."""
        return len(self._encode(prompt))

    def _encode(self, prompt: str) -> list[int]:
        limit = prompt_limit(self._model)
        if isinstance(self._model, TaskModel) and any(mark in prompt for mark in MARKS):
            limit = max(limit, REMEMBERED)
        # A token has no more characters than bytes, so nothing is cut before encoding that could be read.
        return self._model.tokenizer.encode(prompt[-limit * self._longest_token :])[-limit:]

    def generate(
        self,
        prompt: str,
        *,
        max_tokens: int,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int | None = None,
        stop: Sequence[str] = (),
    ) -> Iterator[Piece]:
        """Continue `prompt`, a piece a token. The same seed gives the same text; None a new one each time.

        The text ends before the first of `stop` (`stop`), at an end token (`stop`), or after `max_tokens` (`length`);
        no piece holds half a character.
        """
        rng = np.random.default_rng(seed)
        read, memory = remembered(self._model, self._encode(prompt))
        decoder, said = Decoder(self._model, read), [END_ID]
        characters, stops = _whole_characters(), _Stops(stop)
        for count in range(max_tokens):
            p = decoder.probabilities()
            if memory is not None:
                p = memory.mixed(p[0], said)[None]
            token = pick(p, temperature, top_p, rng.random(1))
            said.append(int(token[0]))
            if token[0] == END_ID:
                yield Piece(stops.rest(), count, "stop")
                return
            text = characters.decode(self._model.tokenizer.token_bytes[int(token[0])])
            shown, ended = stops.push(text)
            yield Piece(shown, count + 1, "stop" if ended else None)
            if ended:
                return
            if count + 1 < max_tokens:
                decoder.push(token)
        yield Piece(stops.rest(), max_tokens, "length")

    def complete(self, prompt: str, max_tokens: int) -> str:
        """The greedy continuation as one string."""
        return "".join(piece.text for piece in self.generate(prompt, max_tokens=max_tokens, temperature=0.0))

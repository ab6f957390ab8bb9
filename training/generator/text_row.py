"""One text under way: tokens in; whole characters, stop strings, log-probabilities and the reason why it ends out."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.generator.sampling import History, Sampling
from training.generator.script import LED, OTHER, Script
from training.generator.tasks.cache import Recollection
from training.generator.tokenizer import END_ID, Tokenizer


@dataclass(frozen=True)
class TokenChance:
    """How likely a token was, by the model alone: before temperature, penalties and biases."""

    data: bytes
    logprob: float
    """Natural logarithm."""
    top: tuple[tuple[bytes, float], ...]
    """The likeliest tokens in its place, best first."""
    offset: int
    """Where it begins in the text, in characters; below 0 within the prompt."""


@dataclass(frozen=True)
class Piece:
    """Some text (it may be empty), the tokens generated so far, and with the last piece why it is the last."""

    text: str
    tokens: int
    finish: Literal["stop", "length"] | None = None
    chances: tuple[TokenChance, ...] = ()
    """Of the tokens whose text has been shown with this piece; where asked for."""


class Stops:
    """Holds text back that might be the beginning of a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""

    def push(self, text: str) -> tuple[str, bool]:
        """What may be shown, and whether a stop string ends it there."""
        if not self._stops:
            return text, False
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


def whole_characters() -> codecs.IncrementalDecoder:
    """Holds the bytes of a character back until it is whole."""
    return codecs.getincrementaldecoder("utf-8")()


def chance_of(p: np.ndarray, token: int, likeliest: int, offset: int, tokenizer: Tokenizer) -> TokenChance:
    """Of `token` under the probabilities `p`, float64 [vocabulary]."""
    data = tokenizer.token_bytes
    with np.errstate(divide="ignore"):
        best = np.argpartition(-p, min(likeliest, len(p) - 1))[:likeliest]
        best = best[np.lexsort((best, -p[best]))]
        top = tuple((data[index], float(np.log(p[index]))) for index in best if p[index] > 0)
        return TokenChance(data[token], float(np.log(p[token])), top, offset)


class TextRow:
    """One text, from its first token on. Holds no part of the model's state."""

    def __init__(
        self,
        sampling: Sampling,
        prompt: Sequence[int],
        tokenizer: Tokenizer,
        memory: Recollection | None = None,
    ) -> None:
        self.sampling = sampling
        self.prompt_tokens = len(prompt)
        self.prompt_chances: tuple[TokenChance, ...] = ()
        """Of the prompt's tokens, once they are read and where asked for."""
        self.tokens = 0
        self._tokenizer = tokenizer
        self._ends = frozenset([END_ID, *tokenizer.other_ends.tolist()])
        self._history = History(sampling, prompt) if sampling.reweighs else None
        self._memory, self._said = memory, [END_ID]
        self._random = np.random.default_rng(sampling.seed)
        self._characters, self._stops = whole_characters(), Stops(sampling.stop)
        self._held: list[TokenChance] = []
        self._decoded = self._shown = 0

    def uniform(self) -> float:
        """The next of its own random numbers, in [0, 1)."""
        return self._random.random()

    def recalled(self, p: np.ndarray) -> np.ndarray:
        """Probabilities `p`, float64 [vocabulary], with what the prompt of a task has the next token be."""
        return p if self._memory is None else self._memory.mixed(p, self._said)

    def reweighed(self, p: np.ndarray) -> np.ndarray | None:
        """Weights by which to draw instead of the probabilities `p`, float64 [vocabulary]; None: by those."""
        script = self.sampling.script if self.tokens < LED else None
        if self._history is None and script is None:
            return None
        weights = p.copy()
        if self._history is not None:
            self._history.reweigh(weights)
        if script is not None and (led := weights * self._in_script(script)).any():
            weights = led
        return weights / weights.sum()

    def _in_script(self, script: Script) -> np.ndarray:
        openings = self._tokenizer.openings
        return openings[script] if self.tokens == 0 else ~openings[OTHER[script]]

    def accept(self, token: int, p: np.ndarray) -> Piece:
        """Go on with `token`, drawn after the probabilities `p`, float64 [vocabulary]."""
        if token in self._ends:
            return self._piece(self._stops.rest(), "stop")
        self.tokens += 1
        if self._memory is not None:
            self._said.append(token)
        if self._history is not None:
            self._history.add(token)
        if (likeliest := self.sampling.logprobs) is not None:
            self._held.append(chance_of(p, token, likeliest, self._decoded, self._tokenizer))
        text = self._characters.decode(self._tokenizer.token_bytes[token])
        self._decoded += len(text)
        shown, ended = self._stops.push(text)
        if ended:
            return self._piece(shown, "stop", cut=True)
        return self.close(shown) if self.tokens >= self.sampling.max_tokens else self._piece(shown, None)

    def close(self, shown: str = "") -> Piece:
        """The last piece of a text that is long enough."""
        return self._piece(shown + self._stops.rest(), "length")

    def _piece(self, shown: str, finish: Literal["stop", "length"] | None, cut: bool = False) -> Piece:
        self._shown += len(shown)
        if not self._held:
            return Piece(shown, self.tokens, finish)
        whole = finish is not None and not cut
        ready = [chance for chance in self._held if whole or chance.offset < self._shown]
        self._held = self._held[len(ready) :]
        return Piece(shown, self.tokens, finish, tuple(ready))

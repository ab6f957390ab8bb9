"""How the next token is drawn: the settings of one text, and the draw for many texts at once, each by its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.generator.script import Script

_COLDEST = 1e-3
"""Below this temperature sampling is greedy: the division would overflow."""
_SEEDS = 1 << 31
_RANKED = 128
"""Likeliest tokens among which the nucleus is looked for first."""
_BLOCK = 64
"""Tokens whose weights are added before any is looked at alone."""


@dataclass(frozen=True)
class Sampling:
    """How to generate one text: temperature 0 is greedy; the text ends before the first of `stop`."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    """Draw from the likeliest tokens that together have this share (Holtzman et al. 2020)."""
    seed: int | None = None
    stop: tuple[str, ...] = ()
    trim_start: bool = False
    """Leave out white space before the first visible character (an answer in a conversation); for whoever shows it."""
    echo: bool = False
    """Show the prompt before the text; for whoever shows it."""
    min_p: float = 0.0
    """Draw from tokens at least this many times as likely as the likeliest (Nguyen et al. 2024)."""
    repetition_penalty: float = 1.0
    """Log-probabilities of tokens in the prompt or the text are multiplied by it (Keskar et al. 2019, whose rule for
    negative logits this is: log-probabilities have no other sign)."""
    presence_penalty: float = 0.0
    """Taken from the log-probability of every token that is in the text (as in OpenAI's API)."""
    frequency_penalty: float = 0.0
    """Taken from it once for every time that the token is in the text."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Token ids and what is added to their log-probabilities."""
    script: Script | None = None
    """The first token begins with a letter of it, the next few with none of the other's (`script.py`), as far as the
    vocabulary has such tokens."""
    logprobs: int | None = None
    """Report log-probabilities of the text's tokens and of so many of the likeliest in their places; None: do not."""
    prompt_logprobs: int | None = None
    """The same of the prompt's tokens."""

    def seeded(self, number: int) -> "Sampling":
        """The same for the text `number` of an answer: its stream of random numbers follows from the seed alone."""
        return self if self.seed is None else replace(self, seed=(self.seed + number) % _SEEDS)

    @property
    def reweighs(self) -> bool:
        """Whether `History` has anything to do."""
        penalties = (self.repetition_penalty - 1.0, self.presence_penalty, self.frequency_penalty)
        return any(penalties) or bool(self.logit_bias)


class History:
    """The tokens of one text, and what they and the biases do to the weights of the next."""

    def __init__(self, sampling: Sampling, prompt: Sequence[int]) -> None:
        self._sampling = sampling
        self._prompt = dict.fromkeys(prompt)
        self._counts: dict[int, int] = {}
        self._biased = np.array([token for token, _ in sampling.logit_bias], np.int64)
        self._biases = np.exp([bias for _, bias in sampling.logit_bias])

    def add(self, token: int) -> None:
        """One more token of the text."""
        self._counts[token] = self._counts.get(token, 0) + 1

    def reweigh(self, weights: np.ndarray) -> None:
        """Change probabilities, float64 [vocabulary], in place; they need not sum to 1 afterwards."""
        sampling = self._sampling
        if sampling.repetition_penalty != 1.0:
            seen = np.fromiter({**self._prompt, **self._counts}, np.int64)
            weights[seen] **= sampling.repetition_penalty
        if self._counts and (sampling.presence_penalty or sampling.frequency_penalty):
            tokens = np.fromiter(self._counts, np.int64)
            counts = np.fromiter(self._counts.values(), np.float64)
            weights[tokens] *= np.exp(-sampling.presence_penalty - sampling.frequency_penalty * counts)
        weights[self._biased] *= self._biases


@dataclass(frozen=True)
class Settings:
    """The settings of several texts as arrays, float64 [rows]."""

    temperature: np.ndarray
    top_p: np.ndarray
    min_p: np.ndarray

    @classmethod
    def of(cls, samplings: Sequence[Sampling]) -> "Settings":
        """An entry each."""
        table = np.array([(s.temperature, s.top_p, s.min_p) for s in samplings], np.float64).reshape(-1, 3)
        return cls(table[:, 0], table[:, 1], table[:, 2])


def pick(
    p: np.ndarray,
    temperature: float | np.ndarray,
    top_p: float | np.ndarray,
    uniform: np.ndarray,
    min_p: float | np.ndarray = 0.0,
) -> np.ndarray:
    """One token a row, int64 [rows], from weights `p` [rows, vocabulary] and draws `uniform` in [0, 1) [rows].

    Settings are for all rows or an entry a row. Temperature 0 takes the likeliest. `top_p` and `min_p` (see `Sampling`)
    hold after the temperature is applied. A row's token does not depend on the other rows.
    """
    temperature, top_p, min_p = (np.broadcast_to(value, len(p)) for value in (temperature, top_p, min_p))
    chosen = np.empty(len(p), np.int64)
    cold = temperature < _COLDEST
    if cold.any():
        chosen[cold] = p[cold].argmax(axis=1)
        warm = np.flatnonzero(~cold)
        if len(warm):
            chosen[warm] = pick(p[warm], temperature[warm], top_p[warm], uniform[warm], min_p[warm])
        return chosen
    weights = p
    if (rows := np.flatnonzero(temperature != 1.0)).size:
        with np.errstate(divide="ignore"):
            logs = np.log(p[rows]) / temperature[rows, None]
        weights = p.copy()
        weights[rows] = np.exp(logs - logs.max(axis=1, keepdims=True))
    dropped = _below_min_p(weights, min_p) | _beyond_top_p(weights, top_p)
    return _inverse(np.where(dropped, 0.0, weights) if dropped.any() else weights, uniform)


def _below_min_p(weights: np.ndarray, min_p: np.ndarray) -> np.ndarray:
    if not min_p.any():
        return np.zeros((len(weights), 1), bool)
    return weights < (min_p * weights.max(axis=1))[:, None]


def _beyond_top_p(weights: np.ndarray, top_p: np.ndarray) -> np.ndarray:
    """Of equally likely tokens the earlier ones are kept."""
    rows = np.flatnonzero(top_p < 1.0)
    if not rows.size:
        return np.zeros((len(weights), 1), bool)
    some = weights if len(rows) == len(weights) else weights[rows]
    kept, least = _nucleus(some, top_p[rows] * some.sum(axis=1), _RANKED)
    dropped = some < least[:, None]
    for row in np.flatnonzero(some.shape[1] - dropped.sum(axis=1) > kept):
        equal = np.flatnonzero(some[row] == least[row])
        dropped[row, equal[int(kept[row]) - int((some[row] > least[row]).sum()) :]] = True
    if len(rows) == len(weights):
        return dropped
    spread = np.zeros(weights.shape, bool)
    spread[rows] = dropped
    return spread


def _nucleus(weights: np.ndarray, mass: np.ndarray, ranked: int) -> tuple[np.ndarray, np.ndarray]:
    """How many of the likeliest have at least `mass` [rows] together, and the weight of the last of them.

    The `ranked` likeliest are looked at, then as many as it takes: sorting them all costs more than the model.
    """
    ranked = min(ranked, weights.shape[1])
    beyond = weights.shape[1] - ranked
    best = np.sort(np.partition(weights, beyond, axis=1)[:, beyond:] if beyond else weights, axis=1)[:, ::-1]
    cumulated = np.cumsum(best, axis=1)
    kept = (cumulated - best < mass[:, None]).sum(axis=1)
    least = best[np.arange(len(best)), kept - 1]
    if beyond and (short := np.flatnonzero(cumulated[:, -1] < mass)).size:
        kept[short], least[short] = _nucleus(weights[short], mass[short], 8 * ranked)
    return kept, least


def _inverse(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """The token at which the cumulated weights pass the share `uniform`: first its block, then its place in it."""
    rows, size = weights.shape
    blocks = -(-size // _BLOCK)
    padded = np.zeros((rows, blocks * _BLOCK))
    padded[:, :size] = weights
    cut = padded.reshape(rows, blocks, _BLOCK)
    sums = cut.sum(axis=2)
    block, rest = _passed(sums, uniform * sums.sum(axis=1))
    place, _ = _passed(cut[np.arange(rows), block], rest)
    return block * _BLOCK + place


def _passed(weights: np.ndarray, aim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the cumulated weights pass `aim`, and how much of it is left for that place."""
    cumulated = np.cumsum(weights, axis=1)
    # Rounding must not lead beyond the last place that has a weight.
    aim = np.minimum(aim, np.nextafter(cumulated[:, -1], 0.0))
    at = (cumulated <= aim[:, None]).sum(axis=1)
    every = np.arange(len(weights))
    return at, aim - (cumulated[every, at] - weights[every, at])

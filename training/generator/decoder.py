"""Texts side by side, a token at a time: rows of different length that join and leave while the others go on.

What a row is given does not depend on the rows beside it: matrix products add a row's terms in the same order whatever
the number of rows as long as it is a multiple of four (measured bit for bit with MKL; other numbers may take other
paths), so batches are filled up with copies. Where that does not hold probabilities agree within about 1e-6.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch

from training.generator.characters import WHOLE
from training.generator.mixture import LanguageModel
from training.generator.networks import State
from training.generator.tokenizer import END_ID

LONGEST_PROMPT = 512
"""Tokens of a prompt that are read where the network's context sets no limit."""
_STEADY = 4


class Decoder:
    """Rows of one document each, begun by prompts of any length.

    Tokens that would break a character get no probability: a network trained for seconds spells rare ones wrong.
    """

    _model: LanguageModel
    _rows: int
    _tokens: np.ndarray
    """int64 [filled rows, as many of the newest as an n-gram or a second reading needs]"""
    _characters: np.ndarray
    _covered: np.ndarray
    """int64 [filled rows]: tokens in the network's state"""
    _state: State
    _hidden: torch.Tensor | None

    def __init__(self, model: LanguageModel, prompts: Sequence[Sequence[int]]) -> None:
        """Read `prompts`, at least one, each cut on the left to `prompt_limit`; equal ones are read once."""
        limit = prompt_limit(model)
        cut = [(END_ID, *prompt[-limit:]) for prompt in prompts]
        distinct = sorted(set(cut), key=len)
        read = _read_together(Decoder.unread(model, len(distinct)), distinct)
        vars(self).update(vars(read.take([distinct.index(prompt) for prompt in cut])))

    @classmethod
    def unread(cls, model: LanguageModel, rows: int = 1) -> "Decoder":
        """Rows that have to `read` the end token, with which every document begins, and the rest of their prompts."""
        self = cls.__new__(cls)
        self._model, self._rows = model, rows
        context = _context(model)
        again = context - context // 2 + 1 if context is not None else 1
        self._tokens = np.full((rows, max(model.order - 1, again)), END_ID, np.int64)
        self._characters = np.full(rows, WHOLE)
        self._covered = np.zeros(rows, np.int64)
        self._state = None
        self._hidden = None
        return self

    @property
    def rows(self) -> int:
        """Texts under way."""
        return self._rows

    @property
    def begun(self) -> bool:
        """Whether anything has been read."""
        return bool(self._covered.any())

    def take(self, index: Sequence[int] | np.ndarray) -> "Decoder":
        """A decoder of the rows `index`, at least one, repeated ones too; this one is not changed."""
        return self._select(np.asarray(index, np.int64))

    def join(self, other: "Decoder") -> "Decoder":
        """A decoder of these rows, then those of `other`, a decoder of the same model."""
        ours, theirs = self._select(np.arange(self._rows)), other._select(np.arange(other._rows))
        both = copy.copy(ours)
        both._rows = ours._rows + theirs._rows
        both._tokens = np.concatenate([ours._tokens, theirs._tokens])
        both._characters = np.concatenate([ours._characters, theirs._characters])
        both._covered = np.concatenate([ours._covered, theirs._covered])
        if ours._hidden is not None and theirs._hidden is not None:
            both._state = ours._state.join(theirs._state)
            both._hidden = torch.cat([ours._hidden, theirs._hidden])
        return both

    def _select(self, index: np.ndarray) -> "Decoder":
        chosen = copy.copy(self)
        chosen._rows = len(index)
        chosen._tokens, chosen._characters = self._tokens[index], self._characters[index]
        chosen._covered = self._covered[index]
        if self._hidden is not None:
            rows = torch.from_numpy(index.astype(np.int64))
            chosen._state, chosen._hidden = self._state.take(rows), self._hidden[rows]
        return chosen

    def _fill(self) -> None:
        """Complete the rows to a number that does not matter."""
        if len(self._tokens) % _STEADY:
            filled = self._select(_steady(np.arange(self._rows)))
            filled._rows = self._rows
            vars(self).update(vars(filled))

    def push(self, tokens: np.ndarray) -> None:
        """Go on with `tokens`, int64 [rows]."""
        self._fill()
        tokens = self._with_filling(tokens)
        self._advance(tokens[:, None])
        self._characters = self._model.tokenizer.characters.after[self._characters, tokens]

    def read(self, tokens: np.ndarray) -> None:
        """Read on in the prompts: `tokens`, int64 [rows, tokens], that `prompt_limit` leaves room for."""
        self._advance(self._with_filling(tokens))

    def score(self, tokens: np.ndarray) -> np.ndarray:
        """Read on, and say what the probabilities were before each of `tokens`: float64 [rows, tokens, vocabulary].

        Something must have been read before.
        """
        tokens = self._with_filling(tokens)
        count, order = tokens.shape[1], self._model.order
        earlier = np.concatenate([self._tokens, tokens], axis=1)[:, 1 - count - order : -1]
        before = self._hidden
        hidden = self._advance(tokens)
        if before is not None and hidden is not None:
            hidden = torch.cat([before[:, None], hidden[:, :-1]], dim=1).flatten(0, 1)
        recent = np.stack([earlier[:, at : at + order - 1] for at in range(count)], axis=1)
        p = self._model.next_token(hidden, recent.reshape(len(tokens) * count, order - 1))
        return p.reshape(len(tokens), count, -1)[: self._rows]

    def probabilities(self) -> np.ndarray:
        """Of the next token, float64 [rows, vocabulary]."""
        self._fill()
        p = self._model.next_token(self._hidden, self._recent()[: self._rows])[: self._rows]
        p *= self._model.tokenizer.characters.allowed[self._characters[: self._rows]]
        p /= p.sum(axis=1, keepdims=True)
        return p

    def _recent(self) -> np.ndarray:
        return self._tokens[:, self._tokens.shape[1] + 1 - self._model.order :]

    def _with_filling(self, tokens: np.ndarray) -> np.ndarray:
        beyond = len(self._tokens) - self._rows
        return np.resize(tokens, (len(tokens) + beyond, *tokens.shape[1:])) if beyond else tokens

    @torch.inference_mode()
    def _advance(self, new: np.ndarray) -> torch.Tensor | None:
        """Hidden vectors after each of `new`, int64 [filled rows, tokens]."""
        network, context = self._model.network, _context(self._model)
        tokens = np.concatenate([self._tokens, new], axis=1)[:, -self._tokens.shape[1] :]
        covered, hidden = self._covered + new.shape[1], None
        if network is not None:
            if context is not None and (over := covered > context).any():
                return self._read_again(tokens, over, new)
            hidden, self._state = network(torch.from_numpy(new), self._state)
            self._hidden = hidden[:, -1]
        self._tokens, self._covered = tokens, covered
        return hidden

    def _read_again(self, tokens: np.ndarray, over: np.ndarray, new: np.ndarray) -> torch.Tensor:
        """As `LanguageModel.score` reads long documents: the rows `over` their context read half of it again."""
        network, context = self._model.network, _context(self._model)
        if network is None or context is None or new.shape[1] > 1:
            raise ValueError(f"a prompt of more than {prompt_limit(self._model)} tokens does not fit")
        again = context - context // 2 + 1
        begun, going = np.flatnonzero(over), np.flatnonzero(~over)
        steady = _steady(begun)
        hidden, state = network(torch.from_numpy(tokens[steady, -again:]), None)
        newest = hidden[:, -1]
        covered = np.where(over, again, self._covered + 1)
        if len(going):
            others = _steady(going)
            hidden, other_state = network(
                torch.from_numpy(new[others]), self._state.take(torch.from_numpy(others))
            )
            state, newest = state.join(other_state), torch.cat([newest, hidden[:, -1]])
        # Where each row's newest vector and state lie now; what filled up the two parts is left behind.
        places = np.concatenate([np.arange(len(begun)), len(steady) + np.arange(len(going))])
        order = torch.from_numpy(places[np.argsort(np.concatenate([begun, going]))])
        self._state, self._hidden = state.take(order), newest[order]
        self._tokens, self._covered = tokens, covered
        return self._hidden[:, None]


def _read_together(begun: Decoder, prompts: Sequence[Sequence[int]]) -> Decoder:
    """`prompts` read by the rows of `begun`, the shortest first; a row steps aside when its prompt is read."""
    ready: Decoder | None = None
    at, left = 0, list(prompts)
    while left:
        upto = len(left[0])
        if upto > at:
            begun.read(np.array([prompt[at:upto] for prompt in left], np.int64))
        at = upto
        ends = sum(len(prompt) == upto for prompt in left)
        done = begun.take(np.arange(ends))
        ready = done if ready is None else ready.join(done)
        left = left[ends:]
        if left:
            begun = begun.take(np.arange(ends, begun.rows))
    if ready is None:
        raise ValueError("there is no prompt, not even an empty one")
    return ready


def _steady(index: np.ndarray) -> np.ndarray:
    """`index`, filled up with repetitions to a multiple of `_STEADY`."""
    return np.resize(index, -(-len(index) // _STEADY) * _STEADY)


def _context(model: LanguageModel) -> int | None:
    return model.network.context if model.network is not None else None


def prompt_limit(model: LanguageModel) -> int:
    """Most tokens of a prompt that the model reads; the older ones are cut off."""
    context = _context(model)
    return LONGEST_PROMPT if context is None else context - 1

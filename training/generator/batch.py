"""Continuous batching: texts of one model side by side; each step gives every one of them a token.

A text joins between two steps, as soon as its prompt is read, and leaves the moment it ends (Yu et al. 2022, Orca).
Long prompts are read in parts between the steps, several prompts in turn, so that nobody waits for a stranger's prompt
(Agrawal et al. 2023, Sarathi). A text that fails leaves alone. For one thread; knows nothing of requests.
"""

import codecs
import functools
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from training.generator.decoder import Decoder, prompt_limit
from training.generator.mixture import LanguageModel
from training.generator.sampling import Sampling, Settings, pick
from training.generator.tasks.model import remembered
from training.generator.text_row import Piece, TextRow, TokenChance, chance_of
from training.generator.tokenizer import END_ID, Tokenizer

_PART = 64
"""Tokens of a prompt read at once, and about the most of all prompts between two steps. Parts begin at fixed places, so
that how a prompt is read does not depend on the others."""

Outcome = tuple[TextRow, Piece | Exception]


class _Prompt:
    """A prompt being read, and the rows that will go on from it."""

    def __init__(self, model: LanguageModel, prompt: Sequence[int], rows: list[TextRow]) -> None:
        self.rows = rows
        self._tokenizer = model.tokenizer
        self._likeliest = rows[0].sampling.prompt_logprobs
        self._decoder = Decoder.unread(model)
        self._chances: list[TokenChance] = []
        self._offsets: list[int] = []
        begin, left = [], [END_ID, *prompt]
        if self._likeliest is not None:
            # Each token of a prompt that is scored needs one that was read before it.
            begin, left = [[END_ID]], list(prompt)
            self._offsets = _offsets(self._tokenizer, prompt)
        self._parts = deque([*begin, *(left[at : at + _PART] for at in range(0, len(left), _PART))])

    def read(self) -> int:
        """Read one part; its length."""
        part = np.array([self._parts.popleft()], np.int64)
        if self._likeliest is None or not self._decoder.begun:
            self._decoder.read(part)
            return part.shape[1]
        for token, p in zip(part[0].tolist(), self._decoder.score(part)[0], strict=True):
            offset = self._offsets[len(self._chances)]
            self._chances.append(chance_of(p, token, self._likeliest, offset, self._tokenizer))
        return part.shape[1]

    def ready(self) -> Decoder | None:
        """With a row for each text that goes on; None while there is more to read."""
        if self._parts:
            return None
        for row in self.rows:
            row.prompt_chances = tuple(self._chances)
        return self._decoder.take([0] * len(self.rows))


def _offsets(tokenizer: Tokenizer, prompt: Sequence[int]) -> list[int]:
    """Where each token of a prompt begins, in characters from the prompt's end."""
    # A prompt that was cut on the left may begin within a character.
    characters = codecs.getincrementaldecoder("utf-8")("ignore")
    ends = np.cumsum([len(characters.decode(tokenizer.token_bytes[token])) for token in prompt])
    return [int(end) for end in [0, *ends[:-1]] - ends[-1]] if len(prompt) else []


class TextBatch:
    """Texts under way. `step` until `empty`; `add` and `drop` between steps."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._rows: list[TextRow] = []
        self._decoder: Decoder | None = None
        self._settings = Settings.of([])
        self._prompts: deque[_Prompt] = deque()
        self._leaving: set[TextRow] = set()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self._rows and not self._prompts

    def add(self, prompt: Sequence[int], samplings: Sequence[Sampling]) -> list[TextRow]:
        """Begin texts that all continue `prompt`, which is read once; at most `prompt_limit` of its newest tokens."""
        read, memory = remembered(self._model, prompt)
        read = read[-prompt_limit(self._model) :]
        known = prompt if memory is not None else read
        rows = [TextRow(sampling, known, self._model.tokenizer, memory) for sampling in samplings]
        self._prompts.append(_Prompt(self._model, read, rows))
        return rows

    def drop(self, row: TextRow) -> None:
        """`row` gets no more tokens."""
        self._leaving.add(row)

    def step(self) -> list[Outcome]:
        """A token for every text whose prompt is read: what came of each, and what failed.

        A text is in no later step once its piece has a `finish` or it failed.
        """
        self._leave()
        outcomes = self._read_prompts()
        p = self._each(lambda decoder, _: _finite(decoder.probabilities()), outcomes)
        if p is None:
            return outcomes
        for place, row in enumerate(self._rows):
            p[place] = row.recalled(p[place])
        tokens, going = self._draw(p), []
        for place, row in enumerate(self._rows):
            try:
                piece = row.accept(int(tokens[place]), p[place])
            except Exception as error:  # noqa: BLE001 - handed to whoever asked for this text
                outcomes.append((row, error))
                continue
            outcomes.append((row, piece))
            if piece.finish is None:
                going.append(place)
        self._keep(going)
        tokens = tokens[going]
        self._each(lambda decoder, places: decoder.push(tokens[places]), outcomes)
        return outcomes

    def _leave(self) -> None:
        if not self._leaving:
            return
        for prompt in self._prompts:
            prompt.rows = [row for row in prompt.rows if row not in self._leaving]
        self._prompts = deque(prompt for prompt in self._prompts if prompt.rows)
        self._keep([place for place, row in enumerate(self._rows) if row not in self._leaving])
        self._leaving.clear()

    def _keep(self, places: list[int]) -> None:
        if len(places) == len(self._rows):
            return
        self._rows = [self._rows[place] for place in places]
        self._settings = Settings.of([row.sampling for row in self._rows])
        self._decoder = self._decoder.take(places) if self._decoder is not None and places else None

    def _read_prompts(self) -> list[Outcome]:
        """Parts of the prompts in turn; those that are read join."""
        outcomes: list[Outcome] = []
        left = _PART
        while self._prompts and left > 0:
            prompt = self._prompts.popleft()
            try:
                left -= prompt.read()
                decoder = prompt.ready()
            except Exception as error:  # noqa: BLE001 - handed to whoever asked for these texts
                outcomes += [(row, error) for row in prompt.rows]
                continue
            if decoder is None:
                self._prompts.append(prompt)
            else:
                outcomes += self._join(prompt.rows, decoder)
        return outcomes

    def _join(self, rows: list[TextRow], decoder: Decoder) -> list[Outcome]:
        silent = [row for row in rows if row.sampling.max_tokens == 0]
        if speaking := [place for place, row in enumerate(rows) if row not in silent]:
            joining = decoder.take(speaking) if silent else decoder
            self._decoder = joining if self._decoder is None else self._decoder.join(joining)
            self._rows += [rows[place] for place in speaking]
            self._settings = Settings.of([row.sampling for row in self._rows])
        return [(row, row.close()) for row in silent]

    def _each(
        self, action: Callable[[Decoder, np.ndarray], np.ndarray | None], outcomes: list[Outcome]
    ) -> np.ndarray | None:
        """What `action` makes of all rows; if it fails, of each row alone, so that only those end that fail again."""
        if self._decoder is None:
            return None
        everybody = self._decoder
        try:
            return action(everybody, np.arange(everybody.rows))
        except Exception:  # noqa: BLE001 - the row that it is about fails again
            alone = [everybody.take([place]) for place in range(everybody.rows)]
        kept, results = [], []
        for place, decoder in enumerate(alone):
            try:
                results.append(action(decoder, np.array([place])))
            except Exception as error:  # noqa: BLE001 - handed to whoever asked for this text
                outcomes.append((self._rows[place], error))
            else:
                kept.append(place)
        self._rows = [self._rows[place] for place in kept]
        self._settings = Settings.of([row.sampling for row in self._rows])
        self._decoder = functools.reduce(Decoder.join, [alone[place] for place in kept]) if kept else None
        found = [result for result in results if result is not None]
        return np.concatenate(found) if found else None

    def _draw(self, p: np.ndarray) -> np.ndarray:
        weights, settings = p, self._settings
        for place, row in enumerate(self._rows):
            if (own := row.reweighed(p[place])) is not None:
                weights = p.copy() if weights is p else weights
                weights[place] = own
        uniform = np.array([row.uniform() for row in self._rows])
        return pick(weights, settings.temperature, settings.top_p, uniform, settings.min_p)


def _finite(p: np.ndarray) -> np.ndarray:
    if not np.isfinite(p.sum()):
        raise ArithmeticError("the model gives probabilities that are no numbers")
    return p

"""Sampling: text out of a language model, one text as a stream of pieces, or many side by side."""

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np

from training.bundle import Bundle
from training.generator.batch import TextBatch
from training.generator.decoder import Decoder, prompt_limit
from training.generator.mixture import LanguageModel
from training.generator.sampling import Sampling, pick
from training.generator.tasks.form import MARKS
from training.generator.tasks.model import REMEMBERED, TaskModel, remembered
from training.generator.text_row import Piece, whole_characters
from training.generator.tokenizer import END_ID


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
    rng, ends = np.random.default_rng(seed), [END_ID, *model.tokenizer.other_ends]
    read, memory = remembered(model, model.tokenizer.encode(prompt))
    decoder = Decoder(model, [read] * rows)
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
        open_rows &= ~np.isin(token, ends)
        # END_ID has no bytes: what a closed row goes on to say is not heard.
        chosen.append(np.where(open_rows, token, END_ID))
    texts = (model.tokenizer.decode_bytes(row.tolist()) for row in np.stack(chosen, axis=1))
    return [whole_characters().decode(text) for text in texts]


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

    @property
    def vocabulary(self) -> int:
        """Tokens there are."""
        return self._model.tokenizer.size

    def encode(self, prompt: str) -> list[int]:
        """The tokens of `prompt` that the model reads: a longer prompt is cut on the left."""
        limit = prompt_limit(self._model)
        if isinstance(self._model, TaskModel) and any(mark in prompt for mark in MARKS):
            limit = max(limit, REMEMBERED)
        # A token has no more characters than bytes, so nothing is cut before encoding that could be read.
        newest = type(prompt)(prompt[-limit * self._longest_token :])
        return self._model.tokenizer.encode(newest)[-limit:]

    def batch(self) -> TextBatch:
        """For texts of this model side by side."""
        return TextBatch(self._model)

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
        """`run` with the settings that most callers need."""
        return self.run(prompt, Sampling(max_tokens, temperature, top_p, seed, tuple(stop)))

    def run(self, prompt: str, sampling: Sampling) -> Iterator[Piece]:
        """Continue `prompt`, a piece a token. The same seed gives the same text; None a new one each time.

        The text ends before the first stop string (`stop`), at an end token (`stop`), or after `max_tokens` (`length`);
        no piece holds half a character.
        """
        batch = self.batch()
        batch.add(self.encode(prompt), [sampling])
        while not batch.empty:
            for _, outcome in batch.step():
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome

    def complete(self, prompt: str, max_tokens: int) -> str:
        """The greedy continuation as one string."""
        return "".join(piece.text for piece in self.generate(prompt, max_tokens=max_tokens, temperature=0.0))

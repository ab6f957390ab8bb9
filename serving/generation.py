"""One request's texts on their way from the scheduler's thread to the event loop."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from serving.models import GeneratorEngine, Row, Sampling

if TYPE_CHECKING:
    from training.generator.text_row import Piece as Made
    from training.generator.text_row import TokenChance

MAX_SECONDS = 60.0
"""Wall time of one request's generations; what is there then is answered with finish_reason `length`."""
_SEEDS = 1 << 31

Finish = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True)
class Piece:
    """Some text of choice `index`; with `finish` it is the last of that choice, and `tokens` its length in tokens."""

    index: int
    text: str
    finish: Finish | None = None
    tokens: int = 0
    chances: "tuple[TokenChance, ...]" = ()
    """Of the tokens in it, where asked for; offsets count from the beginning of what the choice shows."""
    refusal: str = ""
    """Why the choice was not made, or not to its end, where `finish` is `content_filter`."""


class Choice:
    """One text of an answer. All of it passes through `show`, and nothing else reaches the client."""

    def __init__(self, index: int, prompt: str, sampling: Sampling, whole: bool) -> None:
        """`whole`: one piece at the end instead of many on the way."""
        self.index, self.sampling = index, sampling
        self.tokens = 0
        self.ended = False
        self._prompt = prompt if sampling.echo else ""
        self._begun = not sampling.trim_start
        self._whole = whole
        self._text: list[str] = []
        self._chances: list[TokenChance] = []
        self._first = True

    def show(self, made: "Made", row: Row | None) -> list[Piece]:
        """What the client gets to see of the next piece that the model made of this text."""
        self.tokens, self.ended = made.tokens, made.finish is not None
        text, chances = made.text, made.chances
        if not self._begun:
            text = text.lstrip()
            self._begun = bool(text)
        if self._first and self.sampling.echo:
            text = self._prompt + text
            chances = (*(row.prompt_chances if row is not None else ()), *chances)
        self._first = False
        if self._prompt and chances:
            chances = tuple(replace(chance, offset=chance.offset + len(self._prompt)) for chance in chances)
        return self._pieces(text, chances, made.finish)

    def _pieces(self, text: str, chances: "tuple[TokenChance, ...]", finish: Finish | None) -> list[Piece]:
        if self._whole:
            self._text.append(text)
            self._chances += chances
            if finish is None:
                return []
            return [Piece(self.index, "".join(self._text), finish, self.tokens, tuple(self._chances))]
        shown = [Piece(self.index, text, chances=chances)] if text or chances else []
        return [*shown, Piece(self.index, "", finish, self.tokens)] if finish is not None else shown


class Generation:
    """The answer to one request: `len(prompts) * n` choices, made side by side. Iterate, or cancel."""

    def __init__(
        self,
        engine: GeneratorEngine,
        prompts: Sequence[str],
        n: int,
        sampling: Sampling,
        *,
        client: str,
        whole: bool,
        cancel: "Callable[[Generation], None]",
    ) -> None:
        base = sampling.seed if sampling.seed is not None else secrets.randbelow(_SEEDS)
        seeded = [replace(sampling, seed=base).seeded(number) for number in range(n)]
        self.engine, self.prompts, self.client = engine, prompts, client
        self.choices = [
            Choice(place * n + number, prompt, seeded[number], whole)
            for place, prompt in enumerate(prompts)
            for number in range(n)
        ]
        self.asked = time.monotonic()
        self.deadline = self.asked + MAX_SECONDS
        self.begun = False
        self.prompt_tokens = 0
        self.finished = False
        self.cancelled = False
        self.loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Sequence[Piece] | BaseException | None] = asyncio.Queue()
        self._cancel = cancel

    @property
    def tokens_left(self) -> int:
        """Most steps until all choices have ended."""
        return max((c.sampling.max_tokens - c.tokens for c in self.choices if not c.ended), default=0)

    def cancel(self) -> None:
        """Make no more of it. To be called from the event loop."""
        if not (self.cancelled or self.finished):
            self.cancelled = True
            self._cancel(self)

    async def __aiter__(self) -> AsyncIterator[Piece]:
        """Pieces as they are made. Raises what the model raised."""
        try:
            while (pieces := await self._pieces.get()) is not None:
                if isinstance(pieces, BaseException):
                    raise pieces
                for piece in pieces:
                    yield piece
            self.finished = True
        finally:
            self.cancel()

    def receive(self, pieces: Sequence[Piece] | BaseException | None) -> None:
        """Pieces, what went wrong, or None at the end; called in the event loop."""
        self._pieces.put_nowait(pieces)


Delivery = tuple[Generation, Sequence[Piece] | BaseException | None]


def deliver(deliveries: Sequence[Delivery]) -> None:
    """Hand over what was made, each event loop woken once."""
    for loop in {generation.loop for generation, _ in deliveries}:
        mine = [delivery for delivery in deliveries if delivery[0].loop is loop]
        # The loop is closed only when the server was told not to wait for its generations.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_receive, mine)


def _receive(deliveries: Sequence[Delivery]) -> None:
    for generation, pieces in deliveries:
        generation.receive(pieces)

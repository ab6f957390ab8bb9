"""Generations in worker threads: bounded in number and time, cancelled when the client goes away.

The event loop is never blocked: a worker pulls pieces of text from the model and hands them over. A slot is free again
when its worker has really ended, so the bound holds for threads, not for connections.
"""

import asyncio
import contextlib
import secrets
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import structlog

from serving.metrics import Metrics
from serving.models import GeneratorEngine, Sampling
from serving.problems import ProblemError

MAX_SECONDS = 60.0
"""Wall time of one request's generations; what is there then is answered with finish_reason `length`."""
_SEEDS = 1 << 31

Finish = Literal["stop", "length"]


@dataclass(frozen=True)
class Piece:
    """Some text of choice `index`; with `finish` it is the last of that choice, and `tokens` its length in tokens."""

    index: int
    text: str
    finish: Finish | None = None
    tokens: int = 0


class Generation:
    """The answers to one request: `len(prompts) * n` choices, made one after the other. Iterate, or cancel."""

    def __init__(self, engine: GeneratorEngine, prompts: list[str], n: int, sampling: Sampling) -> None:
        self._engine = engine
        self._jobs = [(prompt, number) for prompt in prompts for number in range(n)]
        self._sampling = sampling
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[Piece | BaseException | None] = asyncio.Queue()
        self._cancelled = threading.Event()
        self.prompt_tokens = 0
        self.finished = False

    def cancel(self) -> None:
        """Ask the worker to stop after the piece it is making."""
        self._cancelled.set()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        """Pieces as they are made. Raises what the model raised."""
        try:
            while (piece := await self._pieces.get()) is not None:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
            self.finished = True
        finally:
            self.cancel()

    def work(self) -> None:
        """Make all choices; runs in a worker thread."""
        outcome: BaseException | None = None
        try:
            deadline = time.monotonic() + MAX_SECONDS
            base = self._sampling.seed if self._sampling.seed is not None else secrets.randbelow(_SEEDS)
            self.prompt_tokens = self._count_prompts()
            for index, (prompt, number) in enumerate(self._jobs):
                if self._cancelled.is_set():
                    return
                self._choice(index, prompt, self._sampling.seeded((base + number) % _SEEDS), deadline)
        except Exception as error:  # noqa: BLE001 - handed to the request, which answers and logs it
            outcome = error
        finally:
            self._hand_over(outcome)

    def _count_prompts(self) -> int:
        distinct = list(dict.fromkeys(prompt for prompt, _ in self._jobs))
        return sum(self._engine.prompt_tokens(prompt) for prompt in distinct)

    def _choice(self, index: int, prompt: str, sampling: Sampling, deadline: float) -> None:
        run = self._engine.generate(prompt, sampling)
        begun = not sampling.trim_start
        with contextlib.closing(run.pieces) as pieces:
            for text in pieces:
                if self._cancelled.is_set():
                    return
                shown = text if begun else text.lstrip()
                if shown:
                    begun = True
                    self._hand_over(Piece(index, shown))
                if time.monotonic() > deadline:
                    break
        self._hand_over(Piece(index, "", run.finish, run.tokens))

    def _hand_over(self, piece: Piece | BaseException | None) -> None:
        # The loop is closed only when the server was told not to wait for its workers.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)


class GenerationPool:
    """Runs at most `slots` generations at once."""

    def __init__(self, slots: int, metrics: Metrics) -> None:
        self._slots = threading.BoundedSemaphore(slots)
        self._count = slots
        self._metrics = metrics
        self._executor = ThreadPoolExecutor(slots, thread_name_prefix="generation")
        self._running: set[Generation] = set()
        self._log = structlog.get_logger()

    def start(self, engine: GeneratorEngine, prompts: list[str], n: int, sampling: Sampling) -> Generation:
        """Begin a generation. Raises ProblemError (429) when all slots are taken."""
        if not self._slots.acquire(blocking=False):
            self._metrics.generations_refused.inc()
            raise ProblemError(
                "too-many-generations",
                f"{self._count} generations are under way; try again in a second",
                headers={"Retry-After": "1"},
            )
        generation = Generation(engine, prompts, n, sampling)
        self._running.add(generation)
        self._metrics.generations.inc()
        self._executor.submit(self._run, generation)
        return generation

    def _run(self, generation: Generation) -> None:
        try:
            generation.work()
        finally:
            self._running.discard(generation)
            self._metrics.generations.dec()
            self._slots.release()

    def close(self) -> None:
        """Cancel what runs and wait for the workers."""
        for generation in list(self._running):
            generation.cancel()
        self._executor.shutdown(wait=True, cancel_futures=True)

"""One thread makes all texts: it lets choices into the running batch, steps it, and hands over what came of it.

Choices wait when the batch is full; the next to join is one of the client that has the fewest texts under way. Texts
end on the model that they began on: after a swap both models are stepped in turn until the old one has none left.
"""

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from serving.generation import Choice, Delivery, Generation, deliver
from serving.metrics import Metrics
from serving.models import Batch, GeneratorEngine, Row

_SMOOTHING = 0.05


@dataclass(frozen=True)
class Job:
    """Choices of one prompt, which is read once for all of them."""

    generation: Generation
    prompt: Sequence[int]
    choices: Sequence[Choice]


@dataclass(frozen=True)
class _Seat:
    """Where a text under way belongs."""

    generation: Generation
    choice: Choice
    batch: Batch
    row: Row


class Scheduler:
    """Makes at most `rows` texts side by side."""

    def __init__(self, rows: int, metrics: Metrics, ended: Callable[[Generation], None]) -> None:
        """`ended` hears of every submitted generation of which no more will be made."""
        self._most, self._metrics, self._ended = rows, metrics, ended
        self._inbox: queue.SimpleQueue[tuple[Generation, Sequence[Job] | None] | None] = queue.SimpleQueue()
        self._waiting: dict[str, deque[Job]] = {}
        self._batches: dict[GeneratorEngine, Batch] = {}
        self._seats: dict[Row, _Seat] = {}
        self._left: Counter[Generation] = Counter()
        self._texts: Counter[str] = Counter()
        self._deliveries: list[Delivery] = []
        self._thread = threading.Thread(target=self._run, name="generation", daemon=True)
        self.step_seconds = 0.0
        """Of one step, smoothed."""

    def submit(self, generation: Generation, jobs: Sequence[Job]) -> None:
        """Make these choices, all of the generation's."""
        self._inbox.put((generation, jobs))

    def cancel(self, generation: Generation) -> None:
        """Make no more of `generation`; one that has ended is left alone."""
        self._inbox.put((generation, None))

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def close(self) -> None:
        """End what runs and wait for the thread."""
        self._inbox.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while self._take_messages():
            self._expire()
            self._admit()
            self._step_all()
            self._metrics.generation_rows.set(len(self._seats))
            self._hand_over()
        for generation in list(self._left):
            self._end(generation)
        self._hand_over()

    def _take_messages(self) -> bool:
        """Do what was asked for, waiting for it where there is nothing else to do. False: to end."""
        while True:
            try:
                message = self._inbox.get(block=not (self._left or self._deliveries))
            except queue.Empty:
                return True
            if message is None:
                return False
            generation, jobs = message
            if jobs is None:
                self._end(generation)
                continue
            self._left[generation] = len(generation.choices)
            if generation.cancelled:
                self._end(generation)
            else:
                self._waiting.setdefault(generation.client, deque()).extend(jobs)

    def _expire(self) -> None:
        now = time.monotonic()
        for generation in [late for late in self._left if late.deadline < now]:
            from training.generator.text_row import Piece

            seats = {seat.choice: seat for seat in self._seats.values() if seat.generation is generation}
            pieces = []
            for choice in generation.choices:
                if not choice.ended:
                    row = seats[choice].row if choice in seats else None
                    pieces += choice.show(row.close() if row else Piece("", choice.tokens, "length"), row)
            self._deliveries.append((generation, pieces))
            self._end(generation)

    def _admit(self) -> None:
        while self._waiting:
            client = min(self._waiting, key=lambda name: self._texts[name])
            jobs = self._waiting[client]
            if len(self._seats) + len(jobs[0].choices) > self._most:
                return
            job = jobs.popleft()
            if not jobs:
                del self._waiting[client]
            self._seat(job)

    def _seat(self, job: Job) -> None:
        engine = job.generation.engine
        batch = self._batches.get(engine) or engine.batch()
        try:
            rows = batch.add(job.prompt, [choice.sampling for choice in job.choices])
        except Exception as error:  # noqa: BLE001 - handed to the request, which answers and logs it
            self._end(job.generation, error)
            return
        self._batches[engine] = batch
        self._metrics.tokens.labels("prompt").inc(len(job.prompt))
        for row, choice in zip(rows, job.choices, strict=True):
            self._seats[row] = _Seat(job.generation, choice, batch, row)
            self._texts[job.generation.client] += 1

    def _step_all(self) -> None:
        used = {id(seat.batch) for seat in self._seats.values()}
        # A batch that nobody has a seat in holds a model that may have been swapped out.
        self._batches = {engine: batch for engine, batch in self._batches.items() if id(batch) in used}
        if not self._batches:
            return
        began = time.monotonic()
        for batch in self._batches.values():
            self._step(batch)
        seconds = time.monotonic() - began
        self.step_seconds += _SMOOTHING * (seconds - self.step_seconds) if self.step_seconds else seconds

    def _step(self, batch: Batch) -> None:
        made = 0
        try:
            outcomes = batch.step()
        except Exception as error:  # noqa: BLE001 - a batch that breaks must not end the thread
            outcomes = [(seat.row, error) for seat in self._seats.values() if seat.batch is batch]
        for row, outcome in outcomes:
            seat = self._seats.get(row)
            if seat is None:
                continue
            if isinstance(outcome, Exception):
                self._end(seat.generation, outcome)
                continue
            if not seat.generation.begun:
                seat.generation.begun = True
                self._metrics.first_token.observe(time.monotonic() - seat.generation.asked)
            made += outcome.tokens - seat.choice.tokens
            try:
                pieces = seat.choice.show(outcome, row)
            except Exception as error:  # noqa: BLE001 - handed to the request, which answers and logs it
                self._end(seat.generation, error)
                continue
            if pieces:
                self._deliveries.append((seat.generation, pieces))
            if seat.choice.ended:
                self._close(seat, outcome.finish is None)
        self._metrics.tokens.labels("completion").inc(made)

    def _close(self, seat: _Seat, goes_on: bool) -> None:
        if goes_on:
            seat.batch.drop(seat.row)
        self._unseat(seat)
        self._left[seat.generation] -= 1
        if not self._left[seat.generation]:
            self._end(seat.generation)

    def _unseat(self, seat: _Seat) -> None:
        del self._seats[seat.row]
        client = seat.generation.client
        self._texts[client] -= 1
        if not self._texts[client]:
            del self._texts[client]

    def _end(self, generation: Generation, error: Exception | None = None) -> None:
        """Make no more of `generation`. All of it fails when one of its choices does."""
        if self._left.pop(generation, None) is None:
            return
        for seat in [seat for seat in self._seats.values() if seat.generation is generation]:
            seat.batch.drop(seat.row)
            self._unseat(seat)
        client = generation.client
        if kept := deque(job for job in self._waiting.pop(client, ()) if job.generation is not generation):
            self._waiting[client] = kept
        self._deliveries.append((generation, error))
        self._ended(generation)

    def _hand_over(self) -> None:
        deliver(self._deliveries)
        self._deliveries.clear()

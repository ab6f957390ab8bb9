"""Admission of requests for text: a bound on those under way, prompts encoded beside the event loop."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from serving.generation import MAX_SECONDS, Generation, deliver
from serving.metrics import Metrics
from serving.models import GeneratorEngine, Sampling
from serving.problems import ProblemError
from serving.scheduler import Job, Scheduler

_ENCODERS = 2


class GenerationPool:
    """Lets at most `slots` requests in, of which at most `rows` texts are made side by side. For one event loop."""

    def __init__(self, slots: int, rows: int, metrics: Metrics) -> None:
        self._most, self._metrics = slots, metrics
        self._under_way: set[Generation] = set()
        self._scheduler = Scheduler(rows, metrics, self._release)
        self._encoders = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="encode")
        self._started = False

    def start(
        self,
        engine: GeneratorEngine,
        prompts: Sequence[str],
        n: int,
        sampling: Sampling,
        *,
        client: str = "",
        whole: bool = False,
    ) -> Generation:
        """Begin a generation of `n` choices for each prompt. Raises ProblemError (429) when too many are under way.

        `client` says who asks: among clients that wait, the one with the fewest texts under way is next. `whole` gives
        each choice as one piece.
        """
        if len(self._under_way) >= self._most:
            self._metrics.generations_refused.inc()
            seconds = self.free_in()
            raise ProblemError(
                "too-many-generations",
                f"{self._most} generations are under way; try again in {seconds} s",
                headers={"Retry-After": str(seconds)},
            )
        if not self._started:
            self._scheduler.start()
            self._started = True
        generation = Generation(
            engine, prompts, n, sampling, client=client, whole=whole, cancel=self._scheduler.cancel
        )
        self._under_way.add(generation)
        self._metrics.generations.inc()
        self._encoders.submit(self._submit, generation, n)
        return generation

    def free_in(self) -> int:
        """Whole seconds, at least 1, until a generation under way has ended, if none ends before its length limit."""
        steps = min((generation.tokens_left for generation in list(self._under_way)), default=0)
        return max(1, math.ceil(min(steps * self._scheduler.step_seconds, MAX_SECONDS)))

    def _submit(self, generation: Generation, n: int) -> None:
        try:
            encoded = {
                prompt: generation.engine.encode(prompt) for prompt in dict.fromkeys(generation.prompts)
            }
        except Exception as error:  # noqa: BLE001 - handed to the request, which answers and logs it
            deliver([(generation, error)])
            self._release(generation)
            return
        generation.prompt_tokens = sum(len(prompt) for prompt in encoded.values())
        choices = generation.choices
        jobs = [
            Job(generation, encoded[prompt], choices[place * n : place * n + n])
            for place, prompt in enumerate(generation.prompts)
        ]
        self._scheduler.submit(generation, jobs)

    def _release(self, generation: Generation) -> None:
        self._under_way.discard(generation)
        self._metrics.generations.dec()

    def close(self) -> None:
        """Cancel what runs and wait for the threads."""
        self._encoders.shutdown(wait=True, cancel_futures=True)
        self._scheduler.close()

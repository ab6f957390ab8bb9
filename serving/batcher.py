"""Answers together what is asked at the same time.

Nobody is made to wait for company: a request that finds nobody at work is answered alone, at once. What arrives
meanwhile is taken together by the thread that is at work when it is done, or by another one as soon as `company` wait:
batches grow with the load and with nothing else, and threads that want the same interpreter are not woken for one.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, Protocol, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")
Q_contra = TypeVar("Q_contra", contravariant=True)
A_co = TypeVar("A_co", covariant=True)


class Answerer(Protocol[Q_contra, A_co]):
    """What answers; asked from several threads at once."""

    def answer(self, requests: Sequence[Q_contra]) -> Sequence[A_co]:
        """One answer a request, in their order."""
        ...


class Batcher(Generic[Q, A]):
    """`threads` threads, each of which answers at most `most` requests together; while one is at work another joins in
    when `company` requests wait. Used from one event loop."""

    def __init__(self, threads: int, most: int, name: str, company: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._threads, self._idle, self._most, self._company = threads, threads, most, company
        self._waiting: deque[tuple[Answerer[Q, A], Q, asyncio.Future[A]]] = deque()

    async def ask(self, answerer: Answerer[Q, A], request: Q) -> A:
        """The answer. Raises what `answerer` raises on this request when it is asked alone."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((answerer, request, future))
        self._employ()
        return await future

    def close(self) -> None:
        """Let what was asked finish, then stop."""
        self._pool.shutdown(wait=True)

    def _employ(self) -> None:
        loop = asyncio.get_running_loop()
        while self._idle and len(self._waiting) >= (1 if self._idle == self._threads else self._company):
            answerer = self._waiting[0][0]
            requests: list[Q] = []
            futures: list[asyncio.Future[A]] = []
            while self._waiting and self._waiting[0][0] is answerer and len(requests) < self._most:
                _, request, future = self._waiting.popleft()
                # Nobody waits any more for what was cancelled.
                if not future.done():
                    requests.append(request)
                    futures.append(future)
            if requests:
                self._idle -= 1
                work = loop.run_in_executor(self._pool, _answers, answerer, requests)
                work.add_done_callback(partial(self._deliver, futures))

    def _deliver(
        self, futures: "list[asyncio.Future[A]]", work: "asyncio.Future[Sequence[A | Exception]]"
    ) -> None:
        self._idle += 1
        for answer, future in zip(work.result(), futures, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        self._employ()


def _answers(answerer: Answerer[Q, A], requests: Sequence[Q]) -> "Sequence[A | Exception]":
    """Answers, or what was raised. Where asking together fails each is asked alone, so that one cannot spoil others."""
    try:
        return answerer.answer(requests)
    except Exception as error:  # noqa: BLE001 - a model may raise anything; whoever asked gets it
        if len(requests) == 1:
            return [error]
        return [answer for request in requests for answer in _answers(answerer, [request])]

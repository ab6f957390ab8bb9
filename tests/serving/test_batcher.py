"""Requests that wait are answered together; nobody waits for company, and nobody suffers for a neighbour."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from serving.batcher import Batcher


class Echo:
    """Answers with the request; each batch waits until `go` is set. A request that is negative breaks its batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def answer(self, requests: Sequence[int]) -> list[int]:
        self.batches.append(list(requests))
        self.begun.set()
        assert self.go.wait(30)
        if min(requests) < 0:
            raise ValueError(f"no answer to {min(requests)}")
        return [10 * request for request in requests]


def together(check: Callable[[Batcher[int, int]], Awaitable[None]], threads: int = 1, most: int = 4) -> None:
    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(threads, most, "test")
        try:
            await check(batcher)
        finally:
            batcher.close()

    asyncio.run(main())


async def asked(batcher: Batcher[int, int], echo: Echo, requests: Sequence[int]) -> list[asyncio.Task[int]]:
    """The first request is being answered, alone; the others wait behind it."""
    tasks = [asyncio.create_task(batcher.ask(echo, requests[0]))]
    await asyncio.to_thread(echo.begun.wait, 30)
    tasks += [asyncio.create_task(batcher.ask(echo, request)) for request in requests[1:]]
    await asyncio.sleep(0)
    return tasks


def test_the_first_is_answered_alone_and_what_waits_meanwhile_together_up_to_the_limit() -> None:
    echo = Echo()

    async def check(batcher: Batcher[int, int]) -> None:
        tasks = await asked(batcher, echo, range(7))
        echo.go.set()
        assert await asyncio.gather(*tasks) == [0, 10, 20, 30, 40, 50, 60]

    together(check)
    assert echo.batches == [[0], [1, 2, 3, 4], [5, 6]]


def test_a_request_that_breaks_the_model_fails_alone() -> None:
    echo = Echo()

    async def check(batcher: Batcher[int, int]) -> None:
        tasks = await asked(batcher, echo, [0, 1, -2, 3])
        echo.go.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert answers[:2] + answers[3:] == [0, 10, 30]
        with pytest.raises(ValueError, match="no answer to -2"):
            raise answers[2]

    together(check)
    assert echo.batches == [[0], [1, -2, 3], [1], [-2], [3]]


def test_requests_to_different_models_are_not_mixed() -> None:
    first, second = Echo(), Echo()
    second.go.set()

    async def check(batcher: Batcher[int, int]) -> None:
        tasks = await asked(batcher, first, [0, 1])
        tasks += [asyncio.create_task(batcher.ask(second, 2)), asyncio.create_task(batcher.ask(second, 3))]
        await asyncio.sleep(0)
        first.go.set()
        assert await asyncio.gather(*tasks) == [0, 10, 20, 30]

    together(check)
    assert (first.batches, second.batches) == ([[0], [1]], [[2, 3]])


def test_what_was_cancelled_while_it_waited_is_not_computed() -> None:
    echo = Echo()

    async def check(batcher: Batcher[int, int]) -> None:
        tasks = await asked(batcher, echo, [0, 1, 2])
        tasks[1].cancel()
        await asyncio.sleep(0)
        echo.go.set()
        assert [await tasks[0], await tasks[2]] == [0, 20]

    together(check)
    assert echo.batches == [[0], [2]]


def test_while_one_thread_is_at_work_another_joins_in_for_company_only() -> None:
    echo = Echo()

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(2, 8, "test", company=3)
        try:
            tasks = await asked(batcher, echo, [0, 1, 2])
            assert echo.batches == [[0]]
            tasks.append(asyncio.create_task(batcher.ask(echo, 3)))
            await asyncio.sleep(0)
            tasks.append(asyncio.create_task(batcher.ask(echo, 4)))
            await asyncio.sleep(0)
            echo.go.set()
            assert await asyncio.gather(*tasks) == [0, 10, 20, 30, 40]
        finally:
            batcher.close()

    asyncio.run(main())
    assert echo.batches == [[0], [1, 2, 3], [4]]

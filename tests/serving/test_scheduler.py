"""The pool and its thread over tiny models, without HTTP. A step takes 2 ms, so that there is time to come and go."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from serving.generation import Generation, Piece
from serving.metrics import Metrics
from serving.models import Sampling
from serving.pool import GenerationPool
from serving.problems import ProblemError
from tests.serving.fakes import FakeGenerator

LONG = Sampling(100_000, temperature=0.0)


def model(words: tuple[str, ...] = ("alpha", "beta", "gamma"), delay: float = 0.002) -> FakeGenerator:
    return FakeGenerator({"words": list(words), "delay": delay})


def short(tokens: int) -> Sampling:
    return Sampling(tokens, temperature=0.0)


def in_pool(
    scene: Callable[[GenerationPool], Coroutine[Any, Any, None]], slots: int = 8, rows: int = 8
) -> Metrics:
    """Play a scene with a pool of its own; its metrics."""
    metrics = Metrics()

    async def play() -> None:
        pool = GenerationPool(slots, rows, metrics)
        try:
            await asyncio.wait_for(scene(pool), 30)
        finally:
            await asyncio.to_thread(pool.close)

    asyncio.run(play())
    return metrics


async def text(generation: Generation) -> str:
    return "".join([piece.text async for piece in generation])


async def first(generation: Generation) -> Piece:
    return await anext(aiter(generation))


def test_a_short_text_ends_while_long_ones_go_on() -> None:
    engine = model()

    async def scene(pool: GenerationPool) -> None:
        running = [pool.start(engine, ["x"], 1, LONG) for _ in range(4)]
        for generation in running:
            await first(generation)
        assert await text(pool.start(engine, ["x"], 1, short(3))) == " alpha beta gamma"

    in_pool(scene)


def test_the_client_with_the_fewest_texts_is_next_when_the_batch_is_full() -> None:
    engine, ended = model(), []

    async def answered(pool: GenerationPool, client: str, tokens: int) -> None:
        await text(pool.start(engine, ["x"], 4, short(tokens), client=client))
        ended.append(client)

    async def scene(pool: GenerationPool) -> None:
        greedy = [asyncio.create_task(answered(pool, "greedy", 30)) for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.gather(*greedy, asyncio.create_task(answered(pool, "modest", 3)))

    in_pool(scene)
    assert ended.index("modest") <= 2, "it came last and waited for none but those already in the batch"


def test_a_full_pool_refuses_and_says_when_to_come_back() -> None:
    engine = model()

    async def scene(pool: GenerationPool) -> None:
        generation = pool.start(engine, ["x"], 1, short(5000))
        async for piece in generation:
            if piece.text:
                break
        with pytest.raises(ProblemError) as refused:
            pool.start(engine, ["x"], 1, LONG)
        assert 5 <= int(refused.value.headers["Retry-After"]) <= 60

    assert in_pool(scene, slots=1).generations_refused._value.get() == 1


def test_texts_end_on_the_model_they_began_on() -> None:
    old, new = model(("old",)), model(("new",))

    async def scene(pool: GenerationPool) -> None:
        before = asyncio.create_task(text(pool.start(old, ["x"], 1, short(40))))
        assert await text(pool.start(new, ["x"], 1, short(3))) == " new new new"
        assert await before == " old" * 40

    in_pool(scene)


def test_a_request_that_fails_fails_alone() -> None:
    engine = model()

    async def scene(pool: GenerationPool) -> None:
        well = asyncio.create_task(text(pool.start(engine, ["x"], 1, short(20))))
        for bad in ("explode", "midway"):
            with pytest.raises(RuntimeError):
                await text(pool.start(engine, [bad], 1, short(20)))
        assert (await well).count(" ") == 20

    assert in_pool(scene).generations._value.get() == 0


def test_a_batch_that_breaks_ends_its_own_texts_and_the_next_are_made() -> None:
    broken, engine = model(), model()

    def fail() -> None:
        raise ZeroDivisionError

    async def scene(pool: GenerationPool) -> None:
        batch = broken.batch()
        batch.step = fail  # type: ignore[assignment,method-assign]
        broken.batch = lambda: batch  # type: ignore[method-assign]
        with pytest.raises(ZeroDivisionError):
            await text(pool.start(broken, ["x"], 3, short(20)))
        assert await text(pool.start(engine, ["x"], 1, short(1))) == " alpha"

    assert in_pool(scene).generations._value.get() == 0


def test_nothing_is_made_of_a_cancelled_text_even_one_that_waits() -> None:
    engine = model()

    async def scene(pool: GenerationPool) -> None:
        running = pool.start(engine, ["x"], 8, LONG)
        await first(running)
        waiting = pool.start(engine, ["x"], 1, LONG)
        waiting.cancel()
        assert await text(waiting) == ""
        running.cancel()
        assert (await text(pool.start(engine, ["x"], 8, short(2)))).count("beta") == 8

    assert in_pool(scene).generations._value.get() == 0


def test_time_that_is_over_ends_all_choices_as_too_long() -> None:
    engine = model()

    async def scene(pool: GenerationPool) -> None:
        made, ends = pool.start(engine, ["x"] * 2, 8, LONG), []
        async for piece in made:
            # As soon as there is text, time is over.
            made.deadline = 0.0
            ends += [piece] if piece.finish else []
        assert [piece.finish for piece in ends] == ["length"] * 16
        assert sum(piece.tokens > 0 for piece in ends) == 8, "the second prompt's never had their turn"

    in_pool(scene)


def test_a_choice_as_a_whole_is_one_piece() -> None:
    async def scene(pool: GenerationPool) -> None:
        pieces = [piece async for piece in pool.start(model(), ["x"], 2, short(3), whole=True)]
        assert sorted(piece.index for piece in pieces) == [0, 1]
        assert {(piece.text, piece.finish, piece.tokens) for piece in pieces} == {
            (" alpha beta gamma", "length", 3)
        }

    in_pool(scene)

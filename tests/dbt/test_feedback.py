"""Feedback to pairs through all models at once, in whatever order it arrives."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.dbt.project import World

START = datetime(2026, 3, 1, tzinfo=UTC)
MODELS = (
    "feedback",
    "generations",
    "judgements",
    "rating_votes",
    "prompts",
    "preference_pairs",
    "rated_responses",
)
Row = dict[str, Any]


def generated(request: str, prompt: str, *responses: str) -> list[Row]:
    return [
        {
            "request_id": request,
            "choice": choice,
            "occurred_at": START,
            "prompt": prompt,
            "response": response,
            "finish_reason": "stop",
            "model_version": "3",
        }
        for choice, response in enumerate(responses)
    ]


def word(request: str, minute: int, **said: Any) -> Row:
    return {"request_id": request, "occurred_at": START + timedelta(minutes=minute)} | said


GENERATIONS = [
    *generated("r1", "Today my cat", " slept.", " mail ann@example.com now", " 13812345678"),
    *generated("r2", "today, my CAT", " slept.", " ran away"),
    *generated("r3", "今天", "天气很好", "天气很坏"),
]
FEEDBACK = [
    word("r1", 1, choice=0, user_id="ann", rating=1),
    word("r1", 2, choice=1, user_id="ann", rating=-1),
    word("r1", 3, choice=2, user_id="bob", rating=-1, edited_text="Today my cat purred."),
    word("r2", 4, choice=0, user_id="bob", rating=1),
    word("r2", 5, choice=1, user_id="bob", rating=1),
    word("r2", 6, choice=1, user_id="bob", rating=-1),
    word("r3", 7, choice=0, user_id="ann", rating=1),
    word("r3", 8, choice=1, user_id="ann", edited_text=""),
    word("r3", 9, user_id="ann", rating=1),
]


def marts(world: World) -> dict[str, list[tuple[Any, ...]]]:
    for model in world.project.models:
        if model.relation.rsplit(".", 1)[1].removeprefix("stg_") in MODELS:
            world.build_model(model)
    return {
        "pairs": world.rows(
            "select prompt, chosen, rejected, kind, n_votes from lake.marts.preference_pairs order by all"
        ),
        "rated": world.rows(
            "select prompt, response, verdict, is_paired from lake.marts.rated_responses order by all"
        ),
        "all": world.rows("from lake.marts.preference_pairs order by all"),
    }


def test_prompts_that_say_the_same_pair_up_and_texts_are_masked(world: World) -> None:
    world.emptied().load(feedback=FEEDBACK, generations=GENERATIONS)
    found = marts(world)
    prompt = "Today my cat"
    assert found["pairs"] == [
        (prompt, " purred.", " <phone>", "edit", 1),
        (prompt, " slept.", " <phone>", "rating", 1),
        (prompt, " slept.", " mail <email> now", "rating", 1),
        (prompt, " slept.", " ran away", "rating", 1),
    ]
    assert ("今天", "天气很好", 1, False) in found["rated"]
    assert not any("example" in str(row) or "1381" in str(row) for rows in found.values() for row in rows)


def test_feedback_in_any_order_and_twice_gives_the_same_pairs(world: World) -> None:
    world.emptied().load(feedback=FEEDBACK, generations=GENERATIONS)
    wanted = marts(world)
    rows = [("feedback", row) for row in FEEDBACK] + [("generations", row) for row in GENERATIONS]
    for seed in range(8):
        world.emptied()
        shuffled = Random(seed).sample(rows, len(rows)) + Random(seed).sample(rows, 4)
        for stream, row in shuffled:
            world.load(**{stream: [row]})
        assert marts(world) == wanted, seed

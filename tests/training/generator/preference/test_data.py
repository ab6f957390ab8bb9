from datetime import timedelta

import pyarrow as pa
import pytest

from tests.training.generator.preference.feedback import START, pair, pairs, rated
from training.errors import NotEnoughDataError, UserError
from training.generator.preference.config import FeedbackConfig
from training.generator.preference.data import held_out_pairs, split_feedback

CONFIG = FeedbackConfig(min_pairs=10, min_heldout_prompts=5, heldout_share=0.25)


def ids(table: pa.Table) -> set[str]:
    return set(table["pair_id"].to_pylist())


def test_the_newest_prompts_are_held_out_and_no_prompt_is_on_both_sides() -> None:
    rows = [pair(n) for n in range(40)]
    # An old prompt that is answered again, after the cut: neither learnt from nor judged by.
    rows.append(pair(3, pair_id="again", chosen="好", occurred_at=START + timedelta(minutes=39)))
    split = split_feedback(pairs(rows), rated([]), CONFIG, 1)
    old, new = ids(split.training) | ids(split.validation), ids(split.held_out)
    assert split.until == START + timedelta(minutes=29)
    assert new == {f"pair{n:04d}" for n in range(29, 40)}
    assert old == {f"pair{n:04d}" for n in range(29)}
    assert not ids(split.training) & ids(split.validation)
    assert any("1 newer pairs" in note for note in split.notes)


def test_a_prompt_that_resembles_an_older_one_is_not_judged_by() -> None:
    rows = [pair(n) for n in range(40)]
    rows[35]["prompt"] = "  " + rows[2]["prompt"].upper() + "!"
    rows[36]["prompt"] = rows[37]["prompt"] = ""
    split = split_feedback(pairs(rows), rated([]), CONFIG, 1)
    assert "pair0035" not in ids(split.held_out)
    assert {"pair0036", "pair0037"} <= ids(split.held_out), "nobody began from nothing before"


def test_ratings_without_an_opposite_are_learnt_from_up_to_the_cut() -> None:
    late = START + timedelta(minutes=35)
    said = rated(
        [
            {"response": "old"},
            {"response": "disliked", "verdict": -1},
            {"response": "neither", "verdict": 0},
            {"response": "paired", "is_paired": True},
            {"response": "late", "occurred_at": late},
        ]
    )
    split = split_feedback(pairs([pair(n) for n in range(40)]), said, CONFIG, 1)
    assert split.unpaired["response"].to_pylist() == ["disliked", "old"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "there are none"),
        ([pair(n) for n in range(12)], "at least 10 pairs from before"),
        (
            [pair(n, prompt_id="one", prompt="今天", first_judged_at=START) for n in range(40)],
            "at least 10 pairs",
        ),
        (
            [
                pair(n, prompt_id=f"{min(n, 30)}", first_judged_at=START + timedelta(minutes=min(n, 30)))
                for n in range(40)
            ],
            "at least 5 prompts",
        ),
    ],
    ids=["no pairs", "few pairs", "one prompt", "few new prompts"],
)
def test_too_little_feedback_is_told_by_what_is_missing(rows: list, said: str) -> None:
    table = pairs(rows) if rows else pairs([pair(0)]).slice(0, 0)
    with pytest.raises(NotEnoughDataError, match=said):
        split_feedback(table, rated([]), CONFIG, 1)


def test_held_out_pairs_do_not_depend_on_the_order_of_rows() -> None:
    rows = [pair(n) for n in range(20)]
    start = START + timedelta(minutes=10)
    found = held_out_pairs(pairs(rows), start, 0.7)
    assert found.equals(held_out_pairs(pairs(rows[::-1]), start, 0.7))
    assert found.num_rows == 10


def test_a_missing_column_is_named() -> None:
    with pytest.raises(UserError, match="the table of pairs lacks the column chosen"):
        held_out_pairs(pairs([pair(0)]).drop_columns(["chosen"]), START, 0.7)

"""Feedback split in time and by prompt: old prompts train, the newest are kept to judge by.

A held-out prompt was answered for the first time at or after the cut, and resembles no prompt from before it; a
training pair was complete before the cut. So no prompt is on both sides, and nothing learnt is newer than what judges
it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.abuse.model import AbuseModel
from training.errors import NotEnoughDataError, UserError
from training.generator.data import clean_text
from training.generator.near_copies import near_copies
from training.generator.preference.config import FeedbackConfig
from training.privacy.find import find, replaced

PAIR_COLUMNS = (
    *("pair_id", "prompt_id", "prompt", "chosen", "rejected"),
    *("chosen_ended", "rejected_ended", "occurred_at", "first_judged_at"),
)
RATED_COLUMNS = ("prompt_id", "prompt", "response", "verdict", "ended", "is_paired", "occurred_at")
_INSTANT = pa.timestamp("us", tz="UTC")
Encode = Callable[[list[str]], list[np.ndarray]]
"""Texts to token ids, as `Tokenizer.encode_all`."""


@dataclass(frozen=True)
class FeedbackSplit:
    """Tables with PAIR_COLUMNS; `unpaired` with RATED_COLUMNS."""

    training: pa.Table
    validation: pa.Table
    unpaired: pa.Table
    """Ratings without an opposite, from before the cut."""
    held_out: pa.Table
    until: datetime
    """UTC: nothing said at or after it is learnt from."""
    notes: list[str] = field(default_factory=list)


def _checked(table: pa.Table, columns: tuple[str, ...], name: str) -> pa.Table:
    missing = set(columns) - set(table.column_names)
    if missing:
        raise UserError(f"{name} lacks the column {min(missing)}")
    for column in set(columns) & {"occurred_at", "first_judged_at"}:
        table = table.set_column(table.column_names.index(column), column, table[column].cast(_INSTANT))
    return table.select(list(columns))


def held_out_pairs(pairs: pa.Table, start: datetime, similarity: float) -> pa.Table:
    """The pairs of prompts that were first answered at `start` (UTC) or later and resemble no older prompt.

    Sorted by `pair_id`: depends on table, start and similarity alone, so that two models are judged on the same rows.
    Raises UserError when a column is missing.
    """
    rows = _checked(pairs, PAIR_COLUMNS, "the table of pairs").sort_by("pair_id")
    new = pc.greater_equal(rows["first_judged_at"], pa.scalar(start, _INSTANT))
    fresh, old = rows.filter(new), rows.filter(pc.invert(new))
    known = sorted({prompt for prompt in old["prompt"].to_pylist() if prompt})
    asked = sorted({prompt for prompt in fresh["prompt"].to_pylist() if prompt})
    copies = {p for p, copied in zip(asked, near_copies(asked, known, similarity), strict=True) if copied}
    return fresh.filter(pa.array([p not in copies for p in fresh["prompt"].to_pylist()], pa.bool_()))


def _cut(pairs: pa.Table, share: float) -> datetime:
    """The latest instant from which on newly answered prompts hold at least `share` of the pairs."""
    first = np.sort(pairs["first_judged_at"].cast(pa.int64()).to_numpy())
    at = first[min(len(first) - 1, int(np.floor(len(first) * (1 - share))))]
    instant: datetime = pa.scalar(int(at), pa.int64()).cast(_INSTANT).as_py()
    return instant


def split_feedback(pairs: pa.Table, rated: pa.Table, config: FeedbackConfig, seed: int) -> FeedbackSplit:
    """Split pairs and ratings. Raises NotEnoughDataError saying what is missing, UserError for a missing column."""
    pairs = _checked(pairs, PAIR_COLUMNS, "the table of pairs")
    rated = _checked(rated, RATED_COLUMNS, "the table of ratings")
    if not pairs.num_rows:
        raise NotEnoughDataError("learning from feedback needs pairs of texts, and there are none")
    until = _cut(pairs, config.heldout_share)
    cut = pa.scalar(until, _INSTANT)
    held_out = held_out_pairs(pairs, until, config.near_copy_similarity)
    known = pairs.filter(pc.less(pairs["occurred_at"], cut)).sort_by("pair_id")
    _require(known.num_rows, config.min_pairs, f"pairs from before {until:%Y-%m-%d %H:%M:%S} UTC")
    n_prompts = pc.count_distinct(held_out["prompt_id"]).as_py()
    _require(
        n_prompts, config.min_heldout_prompts, f"prompts first answered from {until:%Y-%m-%d %H:%M:%S} UTC on"
    )
    alone = pc.and_(pc.invert(rated["is_paired"]), pc.not_equal(rated["verdict"], 0))
    unpaired = rated.filter(pc.and_(alone, pc.less(rated["occurred_at"], cut)))
    late = pairs.num_rows - known.num_rows - held_out.num_rows
    notes = [
        f"{known.num_rows} pairs and {unpaired.num_rows} ratings without an opposite from before "
        f"{until:%Y-%m-%d %H:%M:%S} UTC; {held_out.num_rows} pairs of {n_prompts} newer prompts are held out."
    ]
    if late:
        notes.append(f"{late} newer pairs of older prompts, or of prompts that resemble them, were left out.")
    chosen = _validation_prompts(known, config, seed)
    inside = pc.is_in(known["prompt_id"], value_set=chosen)
    ordered = unpaired.sort_by([("prompt_id", "ascending"), ("response", "ascending")])
    return FeedbackSplit(
        known.filter(pc.invert(inside)), known.filter(inside), ordered, held_out, until, notes
    )


def _validation_prompts(known: pa.Table, config: FeedbackConfig, seed: int) -> pa.Array:
    prompts = np.array(sorted(set(known["prompt_id"].to_pylist())), dtype=object)
    shuffled = np.random.default_rng([seed, 0xFB]).permutation(len(prompts))
    count = max(1, round(config.validation_share * len(prompts)))
    if count >= len(prompts):
        raise NotEnoughDataError("learning from feedback needs pairs of at least two older prompts")
    return pa.array(prompts[np.sort(shuffled[:count])].tolist(), pa.string())


def _require(found: int, needed: int, what: str) -> None:
    if found < needed:
        raise NotEnoughDataError(
            f"learning from feedback needs at least {needed:,} {what}, there are {found:,}"
        )


@dataclass(frozen=True)
class Continuation:
    """Token ids of a prompt and what goes on from it: those from `start` on are scored."""

    ids: np.ndarray
    """int32 [tokens], without end token"""
    start: int
    ended: bool
    """Whether the end token after them is scored too."""

    @property
    def n_scored(self) -> int:
        """Tokens that are scored."""
        return len(self.ids) - self.start + self.ended


def continuations(
    encode: Encode, prompts: list[str], responses: list[str], ended: list[bool], config: FeedbackConfig
) -> list[Continuation]:
    """Encode prompts and responses each by itself, as generation does; long ones are cut as configured.

    Personal data is masked as in documents that are trained on. A response that is cut has no end. Responses are not
    empty.
    """
    heads = encode([_masked(text) for text in prompts])
    tails = encode([_masked(text) for text in responses])
    found = []
    for head, tail, end in zip(heads, tails, ended, strict=True):
        head, kept = head[-config.max_prompt_tokens :], tail[: config.max_response_tokens]
        found.append(Continuation(np.concatenate([head, kept]), len(head), end and len(kept) == len(tail)))
    return found


def _masked(text: str) -> str:
    clean = clean_text(text)
    return replaced(clean, find(clean))


def without_abuse(split: FeedbackSplit, guard: AbuseModel | None) -> FeedbackSplit:
    """What is learnt from, without pairs and liked texts that would teach abuse. Held-out pairs stay as they are."""
    if guard is None:
        return split

    def decent(texts: pa.ChunkedArray) -> pa.Array:
        return pa.array(guard.probabilities(texts.to_pylist()) < guard.facts.threshold, pa.bool_())

    training = split.training.filter(decent(split.training["chosen"]))
    disliked = pc.less(split.unpaired["verdict"], 0)
    unpaired = split.unpaired.filter(pc.or_(disliked, decent(split.unpaired["response"])))
    return replace(split, training=training, unpaired=unpaired)

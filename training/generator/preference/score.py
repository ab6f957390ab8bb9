"""Two models on held-out pairs: which of them sets the text that people prefer further apart from the other one.

How far apart is told in bits a UTF-8 byte of the texts, given the prompt: comparable across tokenizers, and no text
wins by being short. The end counts where the model or a person ended the text. On log-ratios this is the accuracy of
the reward that direct preference optimisation implies (Rafailov et al. 2023, section 4); a change too small to be heard
is a tie, so that a model cannot win by hardly moving.
"""

from datetime import datetime

import numpy as np
import pyarrow as pa

from training.bundle import Bundle, BundleError
from training.generator.config import EvaluationConfig
from training.generator.data import clean_text
from training.generator.export import read_model
from training.generator.mixture import LanguageModel
from training.generator.preference.config import FeedbackConfig
from training.generator.preference.data import held_out_pairs
from training.generator.preference.origin import origin_of


def score_bundle_pairs(bundle: Bundle, pairs: pa.Table, start: datetime) -> pa.Table:
    """One row per held-out pair from `start` (UTC) on; see `held_out_pairs` and `score_pairs`.

    Raises BundleError when the bundle has learnt from feedback after `start` or is no generator, ValueError for a start
    without a time zone, UserError for a missing column.
    """
    if start.tzinfo is None:
        raise ValueError("the start needs a time zone")
    origin = origin_of(bundle)
    if origin is not None and origin.until > start:
        raise BundleError(
            f"{bundle.path} has learnt from feedback up to {origin.until.isoformat()}, so it cannot be judged on pairs "
            f"from {start.isoformat()} on"
        )
    rows = held_out_pairs(pairs, start, FeedbackConfig().near_copy_similarity)
    return score_pairs(read_model(bundle), rows, EvaluationConfig().batch_tokens)


def score_pairs(model: LanguageModel, pairs: pa.Table, batch_tokens: int) -> pa.Table:
    """Columns: pair_id, prompt_id, occurred_at, chosen and rejected (bits a byte), and apart, which is how many more
    the rejected text takes.
    """
    prompts = pairs["prompt"].to_pylist()
    chosen, rejected = (
        response_bits(
            model, prompts, pairs[side].to_pylist(), pairs[f"{side}_ended"].to_pylist(), batch_tokens
        )
        for side in ("chosen", "rejected")
    )
    return pa.table(
        {
            "pair_id": pairs["pair_id"],
            "prompt_id": pairs["prompt_id"],
            "occurred_at": pairs["occurred_at"],
            "chosen": pa.array(chosen, pa.float64()),
            "rejected": pa.array(rejected, pa.float64()),
            "apart": pa.array(rejected - chosen, pa.float64()),
        }
    )


def response_bits(
    model: LanguageModel, prompts: list[str], responses: list[str], ended: list[bool], batch_tokens: int
) -> np.ndarray:
    """Bits a byte of each response, which are not empty, given its prompt; float64 [responses]."""
    heads = model.tokenizer.encode_all([clean_text(text) for text in prompts])
    tails = model.tokenizer.encode_all([clean_text(text) for text in responses])
    documents = [np.concatenate(pair) for pair in zip(heads, tails, strict=True)]
    scores = model.score(documents, batch_tokens).mixed
    nats = [
        -float(score[len(head) : len(head) + len(tail) + end].sum())
        for score, head, tail, end in zip(scores, heads, tails, ended, strict=True)
    ]
    n_bytes = [len(clean_text(text).encode()) for text in responses]
    return np.array(nats) / np.log(2) / np.array(n_bytes, np.float64)

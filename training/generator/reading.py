"""Documents read by a network: which pieces of which documents go together, and what comes out of each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from training.generator.networks import Network
from training.generator.tokenizer import END_ID


@dataclass(frozen=True)
class Window:
    """A piece of a document."""

    document: int
    start: int
    """First input position read"""
    scored: int
    """First position scored"""
    end: int


def windows(lengths: list[int], context: int | None) -> list[Window]:
    """Pieces of documents of `lengths` positions so that each position is scored once.

    Within `context`, a document is one piece; a longer one is read in pieces of `context` that overlap by half.
    """
    pieces = []
    for document, length in enumerate(lengths):
        if context is None or length <= context:
            pieces.append(Window(document, 0, 0, length))
            continue
        step = context // 2
        pieces.append(Window(document, 0, 0, context))
        pieces += [
            Window(document, min(scored + step, length) - context, scored, min(scored + step, length))
            for scored in range(context, length, step)
        ]
    return pieces


def _batches(pieces: list[Window], batch_tokens: int) -> list[list[Window]]:
    """Pieces of similar length together, at most `batch_tokens` positions with padding, or one piece alone."""
    batches: list[list[Window]] = []
    for piece in sorted(pieces, key=lambda w: w.end - w.start):
        size = piece.end - piece.start
        if batches and (len(batches[-1]) + 1) * size <= batch_tokens:
            batches[-1].append(piece)
        else:
            batches.append([piece])
    return batches


@torch.inference_mode()
def read_batches(
    network: Network, documents: list[np.ndarray], batch_tokens: int
) -> Iterator[list[tuple[Window, torch.Tensor, np.ndarray]]]:
    """Run `network` over documents (ids without end tokens), each from the end token on.

    A batch is a list of pieces with the hidden vectors of the positions that are scored there, float32 [scored, width],
    and the tokens that follow them, int64 [scored]. While it runs the network is in evaluation mode.
    """
    was_training = network.training
    network.eval()
    lengths = [len(ids) + 1 for ids in documents]
    for batch in _batches(windows(lengths, network.context), batch_tokens):
        inputs = torch.full((len(batch), max(w.end - w.start for w in batch)), END_ID, dtype=torch.int64)
        for row, w in enumerate(batch):
            first = max(w.start, 1)
            ids = documents[w.document][first - 1 : w.end - 1].astype(np.int64)
            inputs[row, first - w.start : w.end - w.start] = torch.from_numpy(ids)
        hidden, _ = network(inputs)
        yield [
            (w, hidden[row, w.scored - w.start : w.end - w.start], _targets(documents[w.document], w))
            for row, w in enumerate(batch)
        ]
    network.train(was_training)


def _targets(ids: np.ndarray, w: Window) -> np.ndarray:
    return np.append(ids[w.scored : w.end], END_ID)[: w.end - w.scored].astype(np.int64)

"""The transformer and its transition scores at work: histories in, scores of the whole catalogue out."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.recommender.arrays import Ints
from training.recommender.sequential.network import SequentialNet
from training.recommender.sequential.terms import Occurrences, Terms
from training.recommender.sequential.transitions import Transitions

Scores = npt.NDArray[np.float32]


class Scorer(Protocol):
    """What every model of this package can do."""

    def score(self, histories: Sequence[npt.NDArray[Any]]) -> Scores:
        """[users, n_items] for histories of item ids, oldest first, none of them empty; higher is better."""


class SequentialRecommender:
    """score = net * (output(history) . vector + bias) + gate(history) * log(transition score)
            - popularity * log(1 + count) + lateness * log(share of latest occurrences)

    with net, popularity and lateness numbers (`Terms`). What was popular in training is less so later (post-hoc logit
    adjustment, Menon et al. 2021), what is new is about to be met more often.
    """

    def __init__(
        self,
        net: SequentialNet,
        transitions: Transitions,
        length: int,
        occurrences: Occurrences,
        terms: Terms,
    ) -> None:
        self.net, self.transitions, self.length = net.eval(), transitions, length
        self.occurrences, self.terms = occurrences, terms
        self.bias = terms.net * net.bias.detach() + terms.of_items(occurrences)

    @torch.inference_mode()
    def encode(self, histories: Sequence[npt.NDArray[Any]]) -> tuple[Tensor, Tensor]:
        """Weighted output [users, width] and gate [users] at the end of each history."""
        latest = [np.asarray(history[-self.length :], dtype=np.int64) for history in histories]
        sizes = torch.tensor([len(history) for history in latest])
        items = torch.full((len(latest), int(sizes.max())), self.net.n_items)
        for row, history in enumerate(latest):
            items[row, : len(history)] = torch.from_numpy(history)
        output, gate = self.net.encode(items)
        at = torch.arange(len(latest)), sizes - 1
        return output[at] * self.terms.net, gate[at]

    @torch.inference_mode()
    def score(self, histories: Sequence[npt.NDArray[Any]]) -> Scores:
        """[users, n_items]."""
        output, gate = self.encode(histories)
        logits = self.net.dots(output).add_(self.bias)
        return np.asarray(logits.addcmul_(self._log_transitions(histories), gate[:, None]).numpy())

    @torch.inference_mode()
    def learnt_and_counted(
        self, output: Tensor, gate: Tensor, histories: Sequence[npt.NDArray[Any]]
    ) -> tuple[Tensor, Tensor]:
        """[users, n_items] what the network says of each item and what the transitions say, of encoded histories."""
        return self.net.dots(output).add_(self.bias), self._log_transitions(histories).mul_(gate[:, None])

    def _log_transitions(self, histories: Sequence[npt.NDArray[Any]]) -> Tensor:
        return self.transitions.score([history[-self.length :] for history in histories]).log_()


def rank_targets(
    model: Scorer, histories: Sequence[npt.NDArray[Any]], targets: Ints, batch: int = 256
) -> npt.NDArray[np.float64]:
    """[users] place of each target, from 0, in a full ranking of what is not in the user's history.

    Equal scores share the mean of their places: a constant score ranks in the middle, not first.
    """
    parts = [slice(first, first + batch) for first in range(0, len(targets), batch)]
    ranks = [places_of(model.score(histories[part]), histories[part], targets[part]) for part in parts]
    return np.concatenate([np.zeros(0), *ranks])


def places_of(
    scores: Scores, histories: Sequence[npt.NDArray[Any]], targets: Ints
) -> npt.NDArray[np.float64]:
    """[users] place of each target by scores [users, n_items], which lose the items of the histories."""
    every = np.arange(len(targets))
    wanted = scores[every, targets]
    for row, history in enumerate(histories):
        scores[row, history] = -np.inf
    # Row by row: numpy counts truths in a flat array several times faster than along an axis.
    above = np.array([np.count_nonzero(row) for row in scores > wanted[:, None]], dtype=np.int64)
    equal = np.array([np.count_nonzero(row) for row in scores == wanted[:, None]], dtype=np.int64)
    # The target counts among its equals, unless the history holds it.
    return above + np.maximum(equal - (scores[every, targets] == wanted), 0) / 2

"""Choosing weights of the network and of the score's terms by the held-out items they rank best."""

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from training.recommender.arrays import Ints
from training.recommender.data import Floats
from training.recommender.ranking import TOP, ndcg
from training.recommender.sequential.config import SequentialConfig
from training.recommender.sequential.histories import Histories, Items
from training.recommender.sequential.model import SequentialRecommender, places_of
from training.recommender.sequential.network import SequentialNet
from training.recommender.sequential.terms import Occurrences, Terms
from training.recommender.sequential.transitions import Transitions

_LOOK_AT = 256
"""Users measured at a time, at most."""
_CELLS = 1 << 24
"""Scores that exist at a time while measuring."""
_ALL_CELLS = 1 << 28
"""Scores of one look: a long catalogue holds fewer users out."""
_SHORTEST = 3
"""Users with fewer items are not held out: something has to be left to learn from."""

Curves = list[dict[str, float]]


@dataclass
class Clock:
    """How much of the training is done, by time or by epochs, whichever is further."""

    seconds: float
    max_tokens: int = 1
    began: float = field(default_factory=time.monotonic)
    tokens: int = 0
    looking: float = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds."""
        return time.monotonic() - self.began

    @property
    def done(self) -> float:
        """0 to 1 and beyond."""
        return max(self.elapsed / self.seconds, self.tokens / self.max_tokens)


@dataclass(frozen=True)
class HeldOut:
    """What is left to learn from, and what it is judged by: users, what is known of them, the item that came next."""

    rest: Histories
    known: list[Items]
    targets: Ints

    @classmethod
    def of(cls, histories: Histories, config: SequentialConfig) -> "HeldOut":
        """The last items of a few users; in a rehearsal those of everybody, though a few are judged by.

        Then as much is missing from the counts as will be in use, where everybody's next item is unknown.
        """
        users = np.flatnonzero(histories.lengths >= _SHORTEST)
        most = min(config.max_validation, max(1, _ALL_CELLS // histories.n_items))
        size = min(most, int(config.validation_share * len(users)))
        chosen = np.sort(np.random.default_rng(config.seed).permutation(users)[:size])
        # By length: what is encoded together needs little padding.
        chosen = chosen[np.argsort(histories.lengths[chosen], kind="stable")]
        rest = histories.without_last(users if config.rehearsal else chosen)
        targets = histories.items[histories.stops[chosen] - 1].astype(np.int64)
        return cls(rest, [rest[user] for user in chosen.tolist()], targets)


@dataclass(frozen=True)
class _Encoded:
    """Some held-out users: histories, next items, the network's output and gate after the histories."""

    known: list[Items]
    targets: Ints
    output: Tensor
    gate: Tensor


class Chooser:
    """Keeps the weights of the network, and those of the terms, that rank the held-out items best."""

    def __init__(
        self,
        net: SequentialNet,
        transitions: Transitions,
        held_out: HeldOut,
        config: SequentialConfig,
        clock: Clock,
    ) -> None:
        self.held_out, self.config, self.clock, self.transitions = held_out, config, clock, transitions
        self.occurrences = Occurrences.of(held_out.rest)
        self.terms, self.value, self.cost = Terms(), -1.0, 0.0
        self.best, self.curves = self._model(net, self.terms), list[dict[str, float]]()

    def look(self, net: SequentialNet, step: int, loss: float) -> float:
        """Measure weights, and keep them when they are the best so far. Returns NDCG@10."""
        began, was_training = time.monotonic(), net.training
        self.terms, value = self._search(net)
        if value >= self.value:
            self.best, self.value = self._model(copy.deepcopy(net), self.terms), value
        net.train(was_training)
        self.cost = time.monotonic() - began
        self.clock.looking += self.cost
        row = {"step": step, "seconds": self.clock.elapsed, "sample/ndcg_at_10": value}
        self.curves.append(row | ({"train/loss": loss} if np.isfinite(loss) else {}))
        return value

    @torch.inference_mode()
    def _search(self, net: SequentialNet) -> tuple[Terms, float]:
        """One term after the other, and NDCG@10: of equals the first listed."""
        config, terms, value = self.config, Terms(), 0.0
        if not len(self.held_out.targets):
            return terms, value
        model = self._model(net, terms)
        encoded = [_Encoded(part, target, *model.encode(part)) for part, target in self._parts(net.n_items)]
        options = {"popularity": config.adjustments, "net": config.net_shares, "lateness": config.lateness}
        # The network may be worth more, and what is late less, once popularity is off.
        for name in ("net", "lateness", "popularity", "net", "lateness"):
            weights = options[name]
            tried = [replace(terms, **{name: weight}) for weight in weights]
            gains = self._gains(model, encoded, tried)
            best = int(np.argmax(gains))
            terms, value = tried[best], float(gains[best])
        return terms, value

    def _gains(
        self, model: SequentialRecommender, encoded: Sequence[_Encoded], tried: Sequence[Terms]
    ) -> Floats:
        """[tried] NDCG@10."""
        gains = np.zeros(len(tried))
        static = [terms.of_items(self.occurrences) for terms in tried]
        for part in encoded:
            learnt, counted = model.learnt_and_counted(part.output, part.gate, part.known)
            for index, (terms, of_items) in enumerate(zip(tried, static, strict=True)):
                scores = torch.add(counted, learnt, alpha=terms.net).add_(of_items).numpy()
                gains[index] += ndcg(places_of(scores, part.known, part.targets), TOP).sum()
        return gains / len(self.held_out.targets)

    def _parts(self, n_items: int) -> Iterator[tuple[list[Items], Ints]]:
        known, targets = self.held_out.known, self.held_out.targets
        users = min(_LOOK_AT, max(1, _CELLS // n_items))
        for first in range(0, len(targets), users):
            yield known[first : first + users], targets[first : first + users]

    def _model(self, net: SequentialNet, terms: Terms) -> SequentialRecommender:
        return SequentialRecommender(net, self.transitions, self.config.length, self.occurrences, terms)

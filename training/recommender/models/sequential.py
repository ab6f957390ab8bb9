"""The transformer over transition counts as a signal of the live feed: the chance of each known post to come next."""

from dataclasses import asdict, dataclass, field
from typing import ClassVar, Self

import numpy as np
import torch
from scipy import sparse, special

from training.recommender.arrays import ABSENT, Ints
from training.recommender.models.base import Events, Parts, Scores, Vocabulary, picked, removed
from training.recommender.sequences import Sequences
from training.recommender.sequential.choose import Curves
from training.recommender.sequential.config import DENSE_ITEMS, SequentialConfig
from training.recommender.sequential.fit import fit_sequential
from training.recommender.sequential.histories import Histories
from training.recommender.sequential.model import SequentialRecommender
from training.recommender.sequential.network import SequentialNet
from training.recommender.sequential.terms import Occurrences, Terms
from training.recommender.sequential.transitions import Transitions
from training.recommender.view import FeedView, UserBatch
from training.result import Progress


@dataclass
class SequentialSignal:
    """Softmax over the posts of training; zero for posts that came later and for users without a known post."""

    names: list[str]
    model: SequentialRecommender
    config: SequentialConfig
    key: ClassVar[str] = "sequential"
    kind: ClassVar[str] = "sequential"
    trained: ClassVar[bool] = True
    scale: ClassVar[float | None] = 0.01
    _vocabulary: Vocabulary = field(init=False)

    def __post_init__(self) -> None:
        self._vocabulary = Vocabulary(self.names)

    def value(self, view: FeedView, users: UserBatch, columns: Ints | None = None) -> Scores:
        """[users, posts]."""
        full = users.memo(f"sequential/{id(self)}/{id(view)}", lambda: self._chances(view, users))
        return picked(full, columns)

    def without(self, view: FeedView, users: UserBatch, columns: Ints, events: Events) -> Scores:
        """[events, columns]: read again, once per removed event."""
        return self._chances(view, removed(users, events))[:, columns]

    def _chances(self, view: FeedView, users: UserBatch) -> Scores:
        aligned = np.append(self._vocabulary.align(view), ABSENT)
        places = aligned[users.item]
        known = np.flatnonzero((places >= 0).any(axis=1))
        # The last column stands for every post that training did not know.
        chances = np.zeros((len(users), len(self.names) + 1), dtype=np.float32)
        if len(known):
            histories = [row[row >= 0] for row in places[known]]
            chances[known, :-1] = special.softmax(self.model.score(histories), axis=1)
        return chances[:, aligned[:-1]]

    def parts(self) -> Parts:
        """The network's weights, the transition table as a sparse matrix, the names of the posts."""
        table = self.model.transitions.table
        rows = table if isinstance(table, sparse.csr_array) else sparse.csr_array(table.numpy())
        arrays = {
            "data": rows.data.astype(np.float32),
            "indices": rows.indices.astype(np.int32),
            "indptr": rows.indptr.astype(np.int64),
            "weight": self.model.transitions.weight.numpy(),
            "counts": self.model.occurrences.counts,
            "latest": self.model.occurrences.latest,
        }
        arrays |= {f"net/{name}": value.numpy() for name, value in self.model.net.state_dict().items()}
        config = {
            "config": self.config.model_dump(),
            "width": self.model.net.width,
            "terms": asdict(self.model.terms),
        }
        return Parts(config, arrays, {"posts": self.names})

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """The inverse of `parts`."""
        config = SequentialConfig.model_validate(parts.config["config"])
        names, arrays = parts.vocabularies["posts"], parts.arrays
        shape = (len(names), len(names))
        rows = sparse.csr_array(tuple(arrays[k] for k in ("data", "indices", "indptr")), shape=shape)
        table = torch.from_numpy(rows.toarray()) if len(names) <= DENSE_ITEMS else rows
        transitions = Transitions(table, torch.from_numpy(arrays["weight"]), config.transitions)
        net = SequentialNet(arrays["counts"], config, parts.config["width"])
        weights = {
            k.removeprefix("net/"): torch.from_numpy(v) for k, v in arrays.items() if k.startswith("net/")
        }
        net.load_state_dict(weights)
        occurrences = Occurrences(arrays["counts"], arrays["latest"])
        terms = Terms(**parts.config["terms"])
        return cls(names, SequentialRecommender(net, transitions, config.length, occurrences, terms), config)


def fit_sequential_signal(
    sequences: Sequences, config: SequentialConfig, seconds: float, progress: Progress, threads: int = 0
) -> tuple[SequentialSignal, Curves] | None:
    """Train on what each user acted on, in order; None when nobody acted on two posts."""
    histories = Histories.between(sequences.starts, sequences.item.astype(np.int32), len(sequences.names))
    if not (histories.lengths >= 2).any():
        return None
    model, curves = fit_sequential(histories, config, seconds, progress, threads)
    return SequentialSignal(sequences.names, model, config), curves

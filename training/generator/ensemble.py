"""Several networks as one: the geometric mean of what each says on top of the same n-gram model.

Log-probabilities are z + a log p_ngram for each member (see `product.py`), so their mean has the same form: the mean of
the z, the mean of the a. What one member learned by heart the others do not repeat (Hansen and Salamon 1990).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn

from training.generator.networks import Network, Rows, State
from training.generator.product import PriorWeight


@dataclass(frozen=True)
class EnsembleState:
    """The states of all members, which have read the same tokens."""

    parts: Sequence[Rows]

    def take(self, index: torch.Tensor) -> "EnsembleState":
        """See `networks.Rows`."""
        return EnsembleState([part.take(index) for part in self.parts])

    def join(self, other: "EnsembleState") -> "EnsembleState":
        """See `networks.Rows`."""
        pairs = zip(self.parts, other.parts, strict=True)
        return EnsembleState([ours.join(theirs) for ours, theirs in pairs])


class EnsembleNetwork(Network):
    """Hidden vectors of the members side by side; logits are the mean of theirs."""

    def __init__(self, members: Sequence[Network]) -> None:
        """Raises ValueError for none, and for members of different vocabularies."""
        super().__init__()
        if len({member.vocabulary for member in members}) != 1:
            raise ValueError("an ensemble needs members, all of the same vocabulary")
        self.members = nn.ModuleList(members)
        self.vocabulary = members[0].vocabulary
        self._widths = [member.width for member in members]
        self.width = sum(self._widths)
        self.context = min((c for member in members if (c := member.context) is not None), default=None)

    def _networks(self) -> list[Network]:
        return cast(list[Network], list(self.members))

    def forward(self, tokens: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        """See `Network`."""
        before = state.parts if state is not None else [None] * len(self._widths)
        read = [member(tokens, part) for member, part in zip(self._networks(), before, strict=True)]
        return torch.cat([hidden for hidden, _ in read], dim=-1), EnsembleState([part for _, part in read])

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Network`."""
        parts = zip(self._networks(), hidden.split(self._widths, dim=-1), strict=True)
        return torch.stack([member.logits(part) for member, part in parts]).mean(dim=0)


@torch.no_grad()
def ensemble(members: Sequence[tuple[Network, PriorWeight]]) -> tuple[EnsembleNetwork, PriorWeight]:
    """The members, which are not copied, as one network, and the weight of the n-gram model beside it."""
    network = EnsembleNetwork([member for member, _ in members])
    weights = [weight for _, weight in members]
    joint = PriorWeight(network.width, weights[0].from_masses.in_features)
    joint.from_hidden.weight.copy_(torch.cat([w.from_hidden.weight for w in weights], dim=1) / len(weights))
    joint.from_hidden.bias.copy_(torch.stack([w.from_hidden.bias for w in weights]).mean(dim=0))
    joint.from_masses.weight.copy_(torch.stack([w.from_masses.weight for w in weights]).mean(dim=0))
    return network, joint

"""Networks with one interface: tokens in, a hidden vector a position out; logits are a separate, dearer step.

Neither knows of text, n-grams or files. Both carry a state from one call to the next, so that reading a text in pieces
gives what reading it at once gives.
"""

from abc import abstractmethod
from typing import Any, Protocol, Self

import torch
from torch import nn
from torch.nn import functional

from training.generator.config import LstmConfig
from training.generator.states import RecurrentState


class Rows(Protocol):
    """What a network remembers of the tokens read so far; rows may have read different numbers of them."""

    def take(self, index: torch.Tensor) -> Self:
        """The rows `index` (int64, repeated ones too), sharing nothing with this state."""
        ...

    def join(self, other: Self) -> Self:
        """These rows, then the `other` ones."""
        ...


State = Any
"""`Rows` of the network's own kind, or None at the beginning. Reading on from a state uses it up."""


class Network(nn.Module):
    """A next-token model over `vocabulary` ids."""

    vocabulary: int
    width: int
    """Size of a hidden vector."""
    context: int | None
    """Most tokens that one call and its state may cover; None: any number."""

    @abstractmethod
    def forward(self, tokens: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        """Hidden vectors, float32 [rows, tokens, width], after each of `tokens` (int64 [rows, tokens]); new state."""

    @abstractmethod
    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of the next token, float32 [..., vocabulary]."""

    def matrices(self) -> list[nn.Parameter]:
        """What maps vectors to vectors inside the network: may be fitted by Muon (Jordan 2024) instead of AdamW."""
        return []

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """For AdamW: matrices decay, vectors do not."""
        matrices = [p for p in self.parameters() if p.dim() > 1]
        vectors = [p for p in self.parameters() if p.dim() <= 1]
        return [
            {"params": matrices, "weight_decay": weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]


class RecurrentNetwork(Network):
    """LSTM whose output goes through a projection back to the token vectors (Inan et al. 2017: tied embeddings)."""

    context = None

    def __init__(self, vocabulary: int, config: LstmConfig) -> None:
        super().__init__()
        self.vocabulary, self.width = vocabulary, config.width
        self.embedding = nn.Embedding(vocabulary, config.embedding)
        nn.init.normal_(self.embedding.weight, std=0.05)
        self.lstm = nn.LSTM(
            config.embedding,
            config.width,
            config.layers,
            batch_first=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        for name, parameter in self.lstm.named_parameters():
            if name.startswith("bias_ih"):
                # A forget gate that begins open lets gradients reach far back (Jozefowicz et al. 2015).
                nn.init.ones_(parameter.data[config.width : 2 * config.width])
        self.projection = nn.Linear(config.width, config.embedding)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        """See `Network`."""
        before = (state.hidden, state.cell) if state is not None else None
        hidden, after = self.lstm(self.dropout(self.embedding(tokens)), before)
        return hidden, RecurrentState(*after)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Network`."""
        return functional.linear(self.projection(self.dropout(hidden)), self.embedding.weight, self.bias)

"""A public causal language model behind the interface of our own networks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from training.errors import UserError
from training.generator.networks import Network
from training.generator.pretrained.state import CacheState
from training.generator.tokenizer import END_ID

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOLERANCE = 1e-3


class PretrainedNetwork(Network):
    """`causal` with the embeddings of END_ID and of the model's own end token in each other's place.

    A document begins after the end token everywhere here; models that were taught another beginning (`begin`) are
    given that instead, on the first position of a fresh state.
    """

    def __init__(self, causal: "PreTrainedModel", end: int, begin: int, context: int) -> None:
        """`end` in the model's own ids, `begin` in ours. Raises UserError for a model of another build."""
        super().__init__()
        self.causal, self._end, self._begin, self.context = causal, end, begin, context
        self.vocabulary, self.width = causal.get_output_embeddings().weight.shape
        self._swap()
        self._check()

    def forward(self, tokens: torch.Tensor, state: CacheState | None = None) -> tuple[torch.Tensor, Any]:
        """See `Network`. In training mode there is no state: rows stand alone."""
        if state is None:
            first = tokens[:, :1]
            tokens = torch.cat([torch.where(first == END_ID, self._begin, first), tokens[:, 1:]], dim=1)
        if self.training:
            return self.causal.base_model(input_ids=tokens, use_cache=False).last_hidden_state, None
        rows, new = tokens.shape
        before = torch.zeros(rows, dtype=torch.int64) if state is None else state.lengths
        output = self.causal.base_model(
            input_ids=tokens,
            attention_mask=None if state is None else state.mask(new),
            position_ids=before[:, None] + torch.arange(new),
            past_key_values=_empty_cache() if state is None else state.cache(),
            use_cache=True,
        )
        layers = [(layer.keys, layer.values) for layer in output.past_key_values.layers]
        return output.last_hidden_state, CacheState(layers, before + new)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Network`."""
        found: torch.Tensor = self.causal.get_output_embeddings()(hidden)
        return found

    def parameter_groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """See `Network`; frozen weights are left out."""
        groups = super().parameter_groups(weight_decay)
        return [group | {"params": [p for p in group["params"] if p.requires_grad]} for group in groups]

    @contextmanager
    def original(self) -> "Iterator[PreTrainedModel]":
        """The model with its own order of ids, to be written down."""
        self._swap()
        try:
            yield self.causal
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        head = self.causal.get_output_embeddings()
        known = (self.causal.get_input_embeddings().weight, head.weight, head.bias)
        # Tied embeddings are one tensor.
        for tensor in {id(tensor): tensor for tensor in known if tensor is not None}.values():
            tensor[[END_ID, self._end]] = tensor[[self._end, END_ID]]

    def _check(self) -> None:
        """Hold the model to what this class takes for granted, on a few tokens."""
        self.eval()
        known = {END_ID, self._begin, self._end}
        ids = torch.tensor([[token for token in range(12) if token not in known][:8]])
        try:
            plain = self._is_plain(ids)
        except (AttributeError, TypeError):
            plain = False
        if not plain:
            kind = self.causal.config.model_type
            raise UserError(f"base models of the kind {kind} are not supported: they are no plain decoders")

    @torch.inference_mode()
    def _is_plain(self, ids: torch.Tensor) -> bool:
        """Whether logits are a projection of the hidden vectors, and a row in a joined state reads on as alone."""
        whole = self.causal(input_ids=ids, use_cache=False).logits.float()
        hidden, longer = self(ids[:, :6])
        joined = self(ids[:, 3:5])[1].join(longer).take([1, 0])
        stepped, _ = self(ids[0, 6:8, None], joined)
        pairs = ((self.logits(hidden), whole[:, :6]), (self.logits(stepped[:1]), whole[:, 6:7]))
        return all(torch.allclose(found, wanted, atol=_TOLERANCE, rtol=_TOLERANCE) for found, wanted in pairs)


def _empty_cache() -> Any:
    from transformers import DynamicCache

    return DynamicCache()

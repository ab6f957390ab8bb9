"""The transformer of bundles written by earlier releases, a Llama of the library transformers."""

import torch
from pydantic import BaseModel, ConfigDict

from training.generator.networks import Network, State
from training.generator.states import KeyValueState


class LlamaSizes(BaseModel):
    """What such a bundle says of its network; what concerned fitting alone is not read."""

    model_config = ConfigDict(extra="ignore")

    width: int
    layers: int
    heads: int
    feed_forward: int
    dropout: float
    initial_std: float
    row_tokens: int


class LlamaNetwork(Network):
    """A small Llama: pre-norm RMSNorm, rotary positions, gated feed-forward, tied embeddings."""

    def __init__(self, vocabulary: int, config: LlamaSizes) -> None:
        from transformers import LlamaConfig, LlamaForCausalLM

        super().__init__()
        self.vocabulary, self.width, self.context = vocabulary, config.width, config.row_tokens
        llama = LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=config.width,
            intermediate_size=config.feed_forward,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.heads,
            max_position_embeddings=config.row_tokens,
            attention_dropout=config.dropout,
            initializer_range=config.initial_std,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=None,
            dtype=torch.float32,
        )
        self.llama = LlamaForCausalLM(llama).to(torch.float32)

    def forward(self, tokens: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        """See `Network`. In training mode there is no state: rows stand alone."""
        if self.training:
            return self.llama.model(input_ids=tokens, use_cache=False).last_hidden_state, None
        if state is None:
            output = self.llama.model(input_ids=tokens, use_cache=True)
            layers = output.past_key_values.layers
            lengths = torch.full((len(tokens),), tokens.shape[1])
            keys, values = [layer.keys for layer in layers], [layer.values for layer in layers]
            return output.last_hidden_state, KeyValueState(keys, values, lengths)
        positions, mask = state.prepare(tokens.shape[1])
        output = self.llama.model(
            input_ids=tokens, position_ids=positions, attention_mask=mask, past_key_values=state
        )
        return output.last_hidden_state, state.advanced()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Network`."""
        return self.llama.lm_head(hidden)

"""nanoGPT's recipe for a CPU, by the library transformers: 4 layers, 128 wide, 64 tokens of context, batches of 12.

github.com/karpathy/nanoGPT, README, "I only have a macbook": AdamW at 1e-3 (betas .9 and .99, decay .1), 100 steps of
warm-up, a cosine down to 1e-4, gradients clipped at 1, no dropout. Its 2,000 steps are here as many as fit the time.
"""

import math
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.generator.networks import Network, State
from training.generator.ngram import join_documents

LAYERS, HEADS, WIDTH, CONTEXT, BATCH = 4, 4, 128, 64, 12
RATE, LAST_RATE, WARM_UP, DECAY, BETAS = 1e-3, 1e-4, 100, 0.1, (0.9, 0.99)


class NanoGpt(Network):
    """GPT-2's architecture in that size."""

    def __init__(self, vocabulary: int) -> None:
        from transformers import GPT2Config, GPT2LMHeadModel

        super().__init__()
        self.vocabulary, self.width, self.context = vocabulary, WIDTH, CONTEXT
        config = GPT2Config(
            vocab_size=vocabulary,
            n_positions=CONTEXT,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
            use_cache=False,
            dtype=torch.float32,
        )
        self.gpt = GPT2LMHeadModel(config)

    def forward(self, tokens: torch.Tensor, state: State = None) -> tuple[torch.Tensor, State]:
        """See `Network`; it keeps no state."""
        return self.gpt.transformer(input_ids=tokens).last_hidden_state, None

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """See `Network`."""
        return self.gpt.lm_head(hidden)


def fit_nanogpt(documents: list[np.ndarray], vocabulary: int, seconds: float) -> tuple[NanoGpt, float]:
    """Train within `seconds` on torch's own number of threads; the network, and tokens a second."""
    network = NanoGpt(vocabulary).train()
    stream = torch.from_numpy(join_documents(documents).astype(np.int64))
    groups = network.parameter_groups(DECAY)
    optimiser = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, fused=True)
    began, steps = time.monotonic(), 0
    while (spent := (time.monotonic() - began) / seconds) < 1:
        cosine = LAST_RATE + 0.5 * (1 + math.cos(math.pi * spent)) * (RATE - LAST_RATE)
        for group in optimiser.param_groups:
            group["lr"] = cosine * min(1.0, (steps + 1) / WARM_UP)
        at = torch.randint(len(stream) - CONTEXT, (BATCH, 1)) + torch.arange(CONTEXT + 1)
        rows = stream[at]
        hidden, _ = network(rows[:, :-1])
        loss = functional.cross_entropy(network.logits(hidden).flatten(0, 1), rows[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        steps += 1
    return network.eval(), steps * BATCH * CONTEXT / (time.monotonic() - began)

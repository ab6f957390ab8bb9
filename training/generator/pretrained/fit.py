"""Fine-tuning of a base model, by the loop of our own networks: low-rank adapters (Hu et al. 2022) or all weights."""

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from training.generator.config import FitConfig, PretrainedConfig
from training.generator.data import Documents
from training.generator.fit import FitReport, fit_network
from training.generator.pretrained.model import PretrainedModel
from training.result import Progress
from training.threads import torch_threads

RATES = {"lora": 2e-4, "full": 2e-5}
"""Peak learning rates by method, where none is configured."""


def fine_tune(
    base: PretrainedModel,
    documents: Documents,
    validation: Documents,
    config: PretrainedConfig,
    fit: FitConfig,
    batch_tokens: int,
    seed: int,
    progress: Progress,
    report_look: Callable[[int, float], None],
) -> FitReport:
    """Fit `base.network` in place; adapters are merged into its weights at the end.

    The first look at the validation documents comes before the first step: a fine-tuning that makes the model worse
    leaves it as it was. Raises ValueError when the loss is not a number.
    """
    settings = config.model_copy(update={"learning_rate": config.learning_rate or RATES[config.method]})
    looks = {"evaluations": config.evaluations, "evaluation_documents": config.evaluation_documents}
    at = np.linspace(0, len(validation) - 1, min(len(validation), config.evaluation_documents)).astype(int)
    shown = validation.take(at)
    threads = config.threads or len(os.sched_getaffinity(0))
    with torch.random.fork_rng(devices=[]), torch_threads(threads):
        torch.manual_seed(seed)
        finish = _adapt(base, config)
        report = fit_network(
            base.network,
            base.tokenizer.encode_all(documents.texts),
            base.tokenizer.encode_all(shown.texts),
            int(shown.n_bytes.sum()),
            settings,
            fit.model_copy(update=looks),
            batch_tokens,
            seed,
            progress,
            report_look,
            look_first=True,
            threads=threads,
        )
        finish()
    return report


def _adapt(base: PretrainedModel, config: PretrainedConfig) -> Callable[[], None]:
    """Prepare the weights for training; returns what is to be done at the end."""
    network = base.network
    if config.method == "full":
        return lambda: None
    from peft import LoraConfig, get_peft_model

    adapters = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # Of peft about transformers, and of a setting that it mends by itself.
        warnings.simplefilter("ignore")
        # The layers of `network.causal` are replaced in place.
        tuned: Any = get_peft_model(network.causal, adapters)

    def merge() -> None:
        network.causal = tuned.merge_and_unload().eval()

    return merge

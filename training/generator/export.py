"""Generators as bundles: weights and counts, configuration, vocabulary, what the safety report asks, golden requests.

- `weights.safetensors`: `ngram.*`, of a network also `network.*` and `gate.*`, and `cache.*` where tasks were learnt
- `config.json`: sizes by which the parts are put together again
- `tokenizer.json`: see `tokenizer.py`
- `safety.json`: planted canaries and the prompts of the sampled texts
- `tasks.json`: there where the model has learned the sections of `tasks.form`
- `abuse.json`, `abuse.safetensors`: the classifiers that filter and judge its texts, where there are labels
- `golden.json`: greedy completions, asked before the bundle goes into service

A pretrained model has `safety.json` and `golden.json` of these, and files of its own: see `pretrained/model.py`.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save
from torch import nn

from training.abuse.files import read_models, write_models
from training.abuse.fit import AbuseModels
from training.abuse.lexicon import is_insulting
from training.abuse.model import AbuseModel
from training.bundle import Bundle, BundleError, write_bundle
from training.generator.canaries import Canary
from training.generator.config import LstmConfig, TransformerConfig
from training.generator.decoder import Decoder
from training.generator.ensemble import EnsembleNetwork
from training.generator.llama import LlamaNetwork, LlamaSizes
from training.generator.mixture import Gate, LanguageModel
from training.generator.networks import Network, RecurrentNetwork
from training.generator.ngram import NgramModel
from training.generator.pretrained.model import PretrainedModel
from training.generator.pretrained.model import read as read_pretrained
from training.generator.product import PriorWeight
from training.generator.prompts import PROMPTS, SAMPLING_PROMPTS
from training.generator.sample import TextGenerator
from training.generator.tasks.cache import PromptCache
from training.generator.tasks.counted import SectionedNgram, mark_ids
from training.generator.tasks.form import KINDS
from training.generator.tasks.model import TaskModel
from training.generator.tokenizer import END_ID, Tokenizer
from training.generator.transformer import TransformerNetwork
from training.privacy.find import mask

ENSEMBLE = "ensemble"
ARCHITECTURES = ("ngram", "lstm", "transformer", ENSEMBLE)
"""Of the models from scratch, cheapest first."""
PRETRAINED = "pretrained"
WEIGHTS, CONFIG, SAFETY, GOLDEN = "weights.safetensors", "config.json", "safety.json", "golden.json"
TASKS = "tasks.json"
_GOLDEN_TOKENS = 24
_CLEAR = 1.01
"""A greedy choice this many times likelier than the second stays first when another processor rounds differently."""


@dataclass(frozen=True)
class SafetyQuestions:
    """What the safety report of a bundle asks of it."""

    canaries: list[Canary]
    prompts: list[str]


def build_network(architecture: str, vocabulary: int, config: dict[str, Any]) -> Network | None:
    """A network with fresh weights; None for the n-gram candidate. Raises ValueError for an unknown name.

    `config` holds the network's own settings, for an ensemble those of every member by its name.
    """
    if architecture == "ngram":
        return None
    if architecture == "lstm":
        return RecurrentNetwork(vocabulary, LstmConfig(**config))
    if architecture == "transformer":
        if "initial_std" in config:
            return LlamaNetwork(vocabulary, LlamaSizes(**config))
        return TransformerNetwork(vocabulary, TransformerConfig(**config))
    if architecture == ENSEMBLE:
        members = [build_network(name, vocabulary, sizes) for name, sizes in config.items()]
        return EnsembleNetwork([member for member in members if member is not None])
    raise ValueError(f"{architecture} is no known generator")


def export(
    target: Path,
    architecture: str,
    model: LanguageModel,
    network_config: dict[str, Any],
    canaries: list[Canary],
    trained_until: datetime,
    lineage: dict[str, Any],
    abuse: AbuseModels | None = None,
) -> Bundle:
    """Write the bundle of `model` at `target`, with the classifiers that guard and judge what it says.

    Raises BundleError when there is something already, OSError."""

    def write_files(folder: Path) -> None:
        _write_parts(folder, model, network_config)
        write_models(folder, abuse or AbuseModels())
        golden = golden_requests(model, guard=abuse.guard if abuse else None)
        questions = {"canaries": [canary.to_dict() for canary in canaries], "prompts": list(SAMPLING_PROMPTS)}
        if isinstance(model, TaskModel):
            reads = dict(zip(KINDS, model.cache.reads.tolist(), strict=True))
            _write_json(folder / TASKS, {"prompt_tokens_read": reads})
        for name, value in ((SAFETY, questions), (GOLDEN, golden)):
            _write_json(folder / name, value)

    parameters = sum(p.numel() for p in model.network.parameters()) if model.network is not None else 0
    facts: dict[str, Any] = {
        "vocabulary": model.tokenizer.size,
        "parameters": parameters,
        "ngrams": sum(len(order.keys) for order in model.ngram.orders) if model.ngram is not None else 0,
    }
    if isinstance(model, PretrainedModel):
        facts["base_model"] = model.provenance.to_dict()
    return write_bundle(
        target,
        "generator",
        architecture,
        write_files,
        trained_until=trained_until,
        lineage=lineage,
        extra=facts,
    )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def _write_parts(folder: Path, model: LanguageModel, network_config: dict[str, Any]) -> None:
    if isinstance(model, PretrainedModel):
        model.write(folder)
        return
    if model.ngram is None:
        raise ValueError("only a pretrained network goes without an n-gram model")
    model.tokenizer.save(folder)
    (folder / WEIGHTS).write_bytes(save(_arrays(model, model.ngram)))
    _write_json(folder / CONFIG, {"network": network_config, "ngram_order": model.ngram.order})


def export_tuned(
    target: Path,
    source: Bundle,
    model: LanguageModel,
    trained_until: datetime,
    lineage: dict[str, Any],
    extra: dict[str, Any],
) -> Bundle:
    """Write a bundle that has the files of `source` but for the weights of `model` and its golden answers.

    `extra` is added to what the manifest of `source` says. Raises as `export`, ValueError for a public model.
    """
    if model.ngram is None:
        raise ValueError("a public model is written by its own trainer")
    arrays = _arrays(model, model.ngram)

    def write_files(folder: Path) -> None:
        for name in source.manifest["files"]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((source.path / name).read_bytes())
        (folder / WEIGHTS).write_bytes(save(arrays))
        golden = golden_requests(model, guard=read_abuse(source).guard)
        (folder / GOLDEN).write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n", "utf-8")

    return write_bundle(
        target,
        "generator",
        source.architecture,
        write_files,
        trained_until=trained_until,
        lineage=lineage,
        extra=source.manifest["extra"] | extra,
    )


def _parts(model: LanguageModel) -> dict[str, nn.Module]:
    parts = {"network": model.network, "gate": model.gate}
    return {name: part for name, part in parts.items() if part is not None}


def _arrays(model: LanguageModel, ngram: NgramModel) -> dict[str, np.ndarray]:
    arrays = ngram.arrays()
    if isinstance(model, TaskModel):
        arrays |= {"cache.weights": model.cache.weights, "cache.reads": model.cache.reads}
    for prefix, part in _parts(model).items():
        # `named_parameters` names tied weights once.
        arrays |= {f"{prefix}.{name}": p.detach().numpy() for name, p in part.named_parameters()}
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def read_model(bundle: Bundle) -> LanguageModel:
    """The model of a verified bundle. Raises BundleError when it is no generator or its parts do not fit together."""
    if bundle.kind != "generator" or bundle.architecture not in (*ARCHITECTURES, PRETRAINED):
        raise BundleError(f"{bundle.path} holds a {bundle.kind} {bundle.architecture}, not a known generator")
    try:
        return _read(bundle.path, bundle.architecture)
    except Exception as error:  # tokenizers raises plain Exception for a file that it cannot read
        raise BundleError(
            f"{bundle.path}: the parts of {bundle.architecture} cannot be put together ({error})"
        ) from error


def _read(folder: Path, architecture: str) -> LanguageModel:
    if architecture == PRETRAINED:
        return read_pretrained(folder)
    sizes = json.loads((folder / CONFIG).read_text("utf-8"))
    arrays = load_file(folder / WEIGHTS)
    tokenizer = Tokenizer.load(folder)
    ngram = SectionedNgram.over(
        NgramModel.from_arrays(tokenizer.size, sizes["ngram_order"], arrays), tokenizer
    )
    network = build_network(architecture, tokenizer.size, sizes["network"])
    # Bundles of earlier releases, and those fitted without a prior, mix probabilities.
    kind = Gate if "gate.out.weight" in arrays else PriorWeight
    gate = kind(network.width, ngram.order - 1) if network is not None else None
    model = LanguageModel(tokenizer, ngram, network, gate)
    if "cache.weights" in arrays:
        cache = PromptCache(arrays["cache.weights"], arrays["cache.reads"], mark_ids(tokenizer))
        model = TaskModel.of(model, cache)
    known = {name for name in arrays if name.startswith(("ngram.", "cache."))}
    for prefix, part in _parts(model).items():
        known |= _fill(part, prefix, arrays)
    if surplus := set(arrays) - known:
        raise ValueError(f"{min(surplus)} belongs to no part")
    return model


@torch.no_grad()
def _fill(part: nn.Module, prefix: str, arrays: dict[str, np.ndarray]) -> set[str]:
    names = set()
    for name, parameter in part.named_parameters():
        found = torch.from_numpy(arrays[f"{prefix}.{name}"])
        if found.shape != parameter.shape:
            raise ValueError(f"{prefix}.{name} is {tuple(found.shape)}, not {tuple(parameter.shape)}")
        parameter.copy_(found)
        names.add(f"{prefix}.{name}")
    return names


def read_questions(bundle: Bundle) -> SafetyQuestions:
    """What the safety report asks. Raises BundleError when it is not there or malformed."""
    try:
        found = json.loads((bundle.path / SAFETY).read_text("utf-8"))
        questions = SafetyQuestions([Canary(**entry) for entry in found["canaries"]], list(found["prompts"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{bundle.path}: {SAFETY} cannot be read ({error})") from error
    if not questions.canaries or not questions.prompts:
        raise BundleError(f"{bundle.path}: {SAFETY} holds no canaries or no prompts")
    return questions


def read_abuse(bundle: Bundle) -> AbuseModels:
    """Guard and judge of a bundle; neither where it has none. Raises BundleError when they are malformed."""
    try:
        return read_models(bundle.path) or AbuseModels()
    except (OSError, ValueError) as error:
        raise BundleError(f"{bundle.path}: the abuse classifiers cannot be read ({error})") from error


def golden_requests(model: LanguageModel, guard: AbuseModel | None = None) -> list[dict[str, Any]]:
    """Greedy completions of fixed prompts, English and Chinese, each cut before the first choice that is nearly a tie.

    Prompts whose very first choice is one are left out, and those whose answer the content filter would change. Raises
    ValueError when none is left.
    """
    generator = TextGenerator(model)
    golden = []
    for prompt in [prompt for prompts in PROMPTS.values() for prompt in prompts]:
        tokens = _clear_tokens(model, prompt)
        text = generator.complete(prompt, tokens) if tokens else ""
        if (
            tokens
            and mask(text) == text
            and not is_insulting(text)
            and not (guard and guard.is_abusive(text))
        ):
            request = {"prompt": prompt, "max_tokens": tokens, "temperature": 0}
            golden.append({"request": request, "expect": {"text": text}})
    if not golden:
        raise ValueError("no prompt has a clear greedy continuation: the model has learned nothing")
    return golden


def _clear_tokens(model: LanguageModel, prompt: str) -> int:
    """Greedy tokens, at most _GOLDEN_TOKENS, before the first that the second likeliest comes close to."""
    decoder = Decoder(model, [model.tokenizer.encode(prompt)])
    for count in range(_GOLDEN_TOKENS):
        p = decoder.probabilities()
        second, first = np.partition(p[0], -2)[-2:]
        if first < _CLEAR * second:
            return count
        token = p.argmax(axis=1)
        if token[0] == END_ID:
            return count + 1
        decoder.push(token)
    return _GOLDEN_TOKENS

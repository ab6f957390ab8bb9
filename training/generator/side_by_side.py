"""What two models say to the same fixed prompts with the same seeds: for people to read, not to be counted."""

from collections.abc import Mapping

from training.bundle import Bundle
from training.generator.config import SafetyConfig
from training.generator.export import read_model
from training.generator.mixture import LanguageModel
from training.generator.prompts import PROMPTS, REPLIED
from training.generator.sample import sample_texts
from training.generator.tasks.model import rendered
from training.generator.tasks.prompt import TaskPrompt, Turn, reply_prompt
from training.threads import torch_threads

SAMPLES = 2
"""Texts of each prompt."""
_SEED = 0x51DE


def side_by_side(bundles: Mapping[str, Bundle | None], config: SafetyConfig) -> dict[str, list[str]]:
    """Columns of a table with a row a prompt and sample: `task`, `lang`, `prompt`, `sample`, and a column of texts for
    each of `bundles`, empty where there is none. Raises BundleError for a bundle that is no generator.
    """
    models = {name: read_model(bundle) if bundle is not None else None for name, bundle in bundles.items()}
    table: dict[str, list[str]] = {name: [] for name in ("task", "lang", "prompt", "sample", *models)}
    for number, (task, lang, shown, prompt) in enumerate(_prompts()):
        texts = {
            name: _said(model, prompt, config, number) if model is not None else [""] * SAMPLES
            for name, model in models.items()
        }
        for sample in range(SAMPLES):
            row = {"task": task, "lang": lang, "prompt": shown, "sample": str(sample + 1)}
            row |= {name: said[sample] for name, said in texts.items()}
            for name, value in row.items():
                table[name].append(value)
    return table


def _prompts() -> list[tuple[str, str, str, str | TaskPrompt]]:
    """Task, language, what a reader sees, and what the model reads."""
    plain: list[tuple[str, str, str, str | TaskPrompt]]
    plain = [("continue", lang, text, text) for lang, texts in PROMPTS.items() for text in texts]
    replies = [
        ("reply", lang, text, reply_prompt([Turn(text)], lang))
        for lang, texts in REPLIED.items()
        for text in texts
    ]
    return plain + replies


def _said(model: LanguageModel, prompt: str | TaskPrompt, config: SafetyConfig, number: int) -> list[str]:
    with torch_threads(1):
        return sample_texts(
            model,
            prompt if isinstance(prompt, str) else rendered(model, prompt),
            SAMPLES,
            max_tokens=config.sample_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            seed=[_SEED, number],
        )

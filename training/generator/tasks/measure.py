"""How well a model does the tasks: bits per byte of what people wrote, given the prompt, and what the prompt is worth.

A gain is the bits of the same target without any prompt less those with it, over the target's bytes. Intervals
resample writers, 95 %, percentile method. The gain over another's prompt tells whether it is this writer's past, or
this post, that helps, and not merely a prompt of that form.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from training.generator.config import EvaluationConfig, TaskConfig
from training.generator.data import Corpus
from training.generator.mixture import LanguageModel
from training.generator.tasks.examples import Example, Examples
from training.generator.tasks.history import History
from training.generator.tasks.model import rendered
from training.generator.tasks.prompt import TASKS

LEAST = 20
"""Examples of a task without which it has no figure."""
GAINS = {"personal_gain": ("draft",), "reply_gain": ("reply", "chat")}
_TEST = "test/"


def held_out_examples(corpus: Corpus, history: History, config: TaskConfig, seed: int) -> list[Example]:
    """At most `config.measured` examples of each task whose targets are test documents."""
    ids = [str(value) for value in corpus.test["document_id"].to_pylist()]
    counts: dict[str, int] = defaultdict(int)
    kept = []
    for example in Examples(history, config, seed).of(ids):
        if counts[example.task] < config.measured:
            counts[example.task] += 1
            kept.append(example)
    return kept


def missing_tasks(examples: Sequence[Example]) -> list[str]:
    """Tasks that have too few examples for a figure."""
    counts = Counter(example.task for example in examples)
    return [task for task in TASKS if task != "continue" and counts[task] < LEAST]


def target_bits(model: LanguageModel, pairs: Sequence[tuple[str, str]], batch_tokens: int) -> np.ndarray:
    """Bits of each target with its end after its prompt, float64 [pairs]; `pairs` are (prompt, target)."""
    prompts = model.tokenizer.encode_all([prompt for prompt, _ in pairs])
    targets = model.tokenizer.encode_all([target for _, target in pairs])
    joined = [np.concatenate(pair) for pair in zip(prompts, targets, strict=True)]
    scores = model.score(joined, batch_tokens).mixed
    return np.array(
        [-part[-len(target) - 1 :].sum() for part, target in zip(scores, targets, strict=True)]
    ) / np.log(2)


def clustered(
    values: np.ndarray, n_bytes: np.ndarray, owners: Sequence[str], resamples: int, seed: int
) -> np.ndarray:
    """[resamples] sum(values) / sum(bytes), `owners` resampled with replacement."""
    names, place = np.unique(np.array(owners, dtype=object).astype(str), return_inverse=True)
    total, size = (np.bincount(place, weights=column, minlength=len(names)) for column in (values, n_bytes))
    times = np.random.default_rng([seed, 0x6A]).multinomial(
        len(names), np.full(len(names), 1 / len(names)), resamples
    )
    return (times @ total) / (times @ size)


def task_metrics(
    model: LanguageModel,
    examples: Sequence[Example],
    texts: Sequence[str],
    config: EvaluationConfig,
    seed: int,
) -> dict[str, float]:
    """`test/bits_per_byte/task/<task>`, and the gains with `_low` and `_high`; tasks with few examples have none.

    `texts` are plain held-out documents: of each, the second half is to be continued from the first.
    """
    halves = [(text[: len(text) // 2], text[len(text) // 2 :]) for text in texts if len(text) > 1]
    out = {}
    if len(halves) >= LEAST:
        bits = target_bits(model, halves, config.batch_tokens)
        out[f"{_TEST}bits_per_byte/task/continue"] = float(bits.sum() / _bytes([b for _, b in halves]).sum())
    if not examples:
        return out
    with_prompt = _bits(model, [(rendered(model, e.prompt), e.target) for e in examples], config)
    alone = _bits(model, [("", e.target) for e in examples], config)
    swapped = _bits(
        model, [(rendered(model, e.other) if e.other else "", e.target) for e in examples], config
    )
    n_bytes, tasks = _bytes([e.target for e in examples]), np.array([e.task for e in examples])
    for task in np.unique(tasks):
        inside = tasks == task
        if inside.sum() >= LEAST:
            out[f"{_TEST}bits_per_byte/task/{task}"] = float(
                with_prompt[inside].sum() / n_bytes[inside].sum()
            )
    other = np.array([e.other is not None for e in examples])
    for name, kinds in GAINS.items():
        inside = np.isin(tasks, kinds)
        for ending, chosen, without in (("", inside, alone), ("_over_another", inside & other, swapped)):
            if chosen.sum() >= LEAST:
                owners = [e.author for e, own in zip(examples, chosen, strict=True) if own]
                gained = (without - with_prompt)[chosen]
                spread = clustered(gained, n_bytes[chosen], owners, config.bootstrap, seed)
                low, high = np.quantile(spread, [0.025, 0.975])
                full = f"{_TEST}{name}{ending}_bits_per_byte"
                out |= {full: float(gained.sum() / n_bytes[chosen].sum())}
                out |= {f"{full}_low": float(low), f"{full}_high": float(high)}
    return out


def _bits(model: LanguageModel, pairs: list[tuple[str, str]], config: EvaluationConfig) -> np.ndarray:
    return target_bits(model, pairs, config.batch_tokens)


def _bytes(texts: Sequence[str]) -> np.ndarray:
    return np.array([len(text.encode()) for text in texts], np.int64)

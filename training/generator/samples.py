"""What a model's texts look like beside what people wrote: held-out documents, cut early, are continued by both.

Texts are sampled with the settings of the safety report. Rates of the people's own continuations stand beside the
model's: language detection errs on short texts, and people repeat themselves, too.
"""

import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from training.generator.behaviour import distinct, repetition
from training.generator.config import SafetyConfig
from training.generator.data import Documents
from training.generator.mixture import LanguageModel
from training.generator.near_copies import near_copies
from training.generator.sample import sample_texts
from training.languages import UNDETERMINED, detect_languages
from training.threads import torch_threads

OPENINGS, ROWS = 4, 10
"""Openings continued, and texts of each."""
_USUAL = 0.05
"""Languages with a smaller share of the held-out documents have no openings: nobody could continue them."""
_CUT = 0.3
_LEAST_CHARS, _MOST_CHARS = 4, 40
_SPEED_TEXTS = 3


@dataclass(frozen=True)
class Continued:
    """An opening, its language, and how it goes on: by a person, and by the model."""

    opening: str
    lang: str
    person: str
    texts: list[str]


def openings(documents: Documents) -> list[tuple[str, str, str]]:
    """At most OPENINGS of (opening, the rest, language), in turn of the languages, evenly spread in time."""
    counts = sorted(Counter(documents.langs).items(), key=lambda entry: (-entry[1], entry[0]))
    least = _USUAL * len(documents)
    usual = [lang for lang, times in counts if lang != UNDETERMINED and times >= least]
    cut: dict[str, list[tuple[str, str]]] = {lang: [] for lang in usual}
    for text, lang in zip(documents.texts, documents.langs, strict=True):
        parts = _opened(text) if lang in cut else None
        if parts is not None:
            cut[lang].append(parts)
    chosen: list[tuple[str, str, str]] = []
    for number, lang in enumerate(usual):
        found = [(*parts, lang) for parts in cut[lang]]
        most = OPENINGS // len(usual) + (number < OPENINGS % len(usual))
        if found and most:
            index = np.unique(np.linspace(0, len(found) - 1, most).astype(np.int64))
            chosen += [found[i] for i in index.tolist()]
    return chosen


def _opened(text: str) -> tuple[str, str] | None:
    """The beginning and the rest, cut at a space where there is one near; None for texts too short to be cut."""
    at = min(round(_CUT * len(text)), _MOST_CHARS)
    if at < _LEAST_CHARS:
        return None
    space = text.rfind(" ", _LEAST_CHARS, at + 1)
    at = space if space > 0 else at
    return text[:at], text[at:]


def continue_openings(
    model: LanguageModel, documents: Documents, config: SafetyConfig, seed: int
) -> list[Continued]:
    """ROWS texts for each opening of `documents`."""
    with torch_threads(1):
        return [
            Continued(
                opening,
                lang,
                person,
                sample_texts(
                    model,
                    opening,
                    ROWS,
                    max_tokens=config.sample_tokens,
                    temperature=config.temperature,
                    top_p=config.top_p,
                    seed=[seed, 0x5A, number],
                ),
            )
            for number, (opening, person, lang) in enumerate(openings(documents))
        ]


def sample_metrics(
    continued: list[Continued], others: list[str], known: list[str], similarity: float
) -> dict[str, float]:
    """Figures of the continuations and of `others`, texts sampled elsewhere; `known` is the training text.

    `samples/` holds `distinct_1` to `_3`, `repetition`, `length_bytes_p10`, `_p50`, `_p90`, `language_consistency` and
    `near_copy_share`; `people/` the same of people, but for copies. Raises ValueError where nothing was continued.
    """
    if not continued:
        raise ValueError("no held-out document is long enough to be continued")
    texts = [text for entry in continued for text in entry.texts]
    people = [entry.person for entry in continued]
    whole = [entry.opening + text for entry in continued for text in entry.texts]
    visible = [text for text in [*whole, *others] if text.strip()]
    same = [(text, entry.lang) for entry in continued for text in entry.texts]
    own = [(entry.person, entry.lang) for entry in continued]
    copied = near_copies(visible, known, similarity)
    out = {"samples/near_copy_share": float(copied.mean()) if len(copied) else 0.0}
    for name, said, langs in (("samples", texts, same), ("people", people, own)):
        out |= {f"{name}/distinct_{n}": distinct(said, n) for n in (1, 2, 3)}
        out[f"{name}/repetition"] = float(np.mean([repetition(text) for text in said]))
        out[f"{name}/language_consistency"] = language_consistency(langs)
        sizes = np.array([len(text.encode()) for text in said])
        out |= {f"{name}/length_bytes_p{q}": float(np.quantile(sizes, q / 100)) for q in (10, 50, 90)}
    return out


def language_consistency(texts: list[tuple[str, str]]) -> float:
    """Share of (text, language) whose detected language is that one; texts without any letters count as wrong."""
    found = detect_languages(pa.array([text for text, _ in texts], pa.string())).to_pylist()
    return float(np.mean([tag == lang for tag, (_, lang) in zip(found, texts, strict=True)]))


def latency(model: LanguageModel, tokens: int) -> dict[str, float]:
    """Medians of a few texts, one at a time, on one thread, wall time: `latency/first_token_ms`, from a prompt to the
    first token, and `latency/text_ms`, to the last of at most `tokens`."""
    times = np.zeros((_SPEED_TEXTS, 2))
    with torch_threads(1):
        for number in range(_SPEED_TEXTS):
            for place, most in enumerate((1, tokens)):
                began = time.monotonic()
                sample_texts(model, "", 1, max_tokens=most, temperature=1.0, top_p=0.95, seed=number)
                times[number, place] = 1e3 * (time.monotonic() - began)
    first, whole = np.median(times, axis=0)
    return {"latency/first_token_ms": float(first), "latency/text_ms": float(whole)}

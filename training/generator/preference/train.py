"""One training from feedback: the champion, documents and feedback in, a candidate with metrics and a bundle out."""

import copy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from training.bundle import Bundle
from training.errors import NotEnoughDataError
from training.generator.data import Corpus, Documents, held_out_documents, split_corpus
from training.generator.evaluate import document_bits, window_metrics
from training.generator.export import export, export_tuned, read_abuse, read_model, read_questions
from training.generator.guard import guarded
from training.generator.mixture import LanguageModel
from training.generator.near_copies import near_copies
from training.generator.preference.config import PreferenceConfig
from training.generator.preference.data import (
    Continuation,
    FeedbackSplit,
    continuations,
    split_feedback,
    without_abuse,
)
from training.generator.preference.fit import Feedback, FitReport, Texts, fit_preferences
from training.generator.preference.origin import Origin
from training.generator.preference.report import comparison, preference_curves, side_by_side
from training.generator.preference.score import score_pairs
from training.generator.preference.wins import wins
from training.generator.prompts import PROMPTS
from training.generator.safety import report_on
from training.generator.sample import sample_texts
from training.generator.score import score_rows
from training.result import Candidate, Progress, TrainingOutcome
from training.threads import torch_threads

BASELINE = "ngram"
_SHOWN = 2
"""Continuations of each prompt on the page of samples."""


@dataclass(frozen=True)
class FeedbackTables:
    """The marts that hold feedback, and how many rows of raw feedback they were made of."""

    pairs: pa.Table
    rated: pa.Table
    rows: int


@dataclass(frozen=True)
class _Data:
    champion: Bundle
    model: LanguageModel
    split: FeedbackSplit
    corpus: Corpus
    window: tuple[datetime, datetime]
    """Test window of documents that neither model has seen"""
    test: pa.Table
    config: PreferenceConfig


def train_preferences(
    champion: Bundle,
    documents: pa.Table,
    feedback: FeedbackTables,
    config: PreferenceConfig,
    out_dir: Path,
    progress: Progress,
    lineage: dict[str, Any] | None = None,
) -> TrainingOutcome:
    """Train a candidate from `champion`; bundles are written to `out_dir`, its n-gram model as the baseline.

    Raises NotEnoughDataError saying what is missing, or that no weights were better than the champion's; UserError for
    a table that lacks a column, BundleError when the champion's parts do not fit together.
    """
    split = split_feedback(feedback.pairs, feedback.rated, config.feedback, config.seed)
    for note in split.notes:
        progress(note)
    with torch_threads(config.dpo.threads):
        data = _data(champion, documents, split, config, progress)
        tuned, report = _fit(data, progress)
        if report.best_step == 0:
            raise NotEnoughDataError(
                "learning from feedback found no weights that rank validation pairs better than the champion's without "
                "forgetting"
            )
        origin = Origin(champion.digest, split.until, feedback.rows)
        return _outcome(data, tuned, report, origin, out_dir, lineage or {}, progress)


def _data(
    champion: Bundle, documents: pa.Table, split: FeedbackSplit, config: PreferenceConfig, progress: Progress
) -> _Data:
    model = read_model(champion)
    if model.network is None:
        raise NotEnoughDataError("the champion is a model without weights that could learn from feedback")
    if model.ngram is None:
        raise NotEnoughDataError("the champion is a public model: those do not learn from feedback yet")
    corpus = split_corpus(documents, config.corpus)
    guard = read_abuse(champion).guard
    corpus = guarded(corpus, guard, config.corpus.leave_out_abuse, progress)
    if config.corpus.leave_out_abuse:
        split = without_abuse(split, guard)
    start, end = max(corpus.window[0], champion.trained_until), corpus.window[1]
    if start >= end:
        raise NotEnoughDataError("the champion has seen all documents: none are left to see forgetting by")
    test = held_out_documents(documents, (start, end), config.corpus)
    if test.num_rows < config.corpus.min_heldout_documents:
        raise NotEnoughDataError(
            f"learning from feedback needs at least {config.corpus.min_heldout_documents} documents that the champion "
            f"has not seen, there are {test.num_rows}"
        )
    return _Data(champion, model, split, corpus, (start, end), test, config)


def _fit(data: _Data, progress: Progress) -> tuple[LanguageModel, FitReport]:
    config, model = data.config, data.model
    moved = LanguageModel(
        model.tokenizer, model.ngram, copy.deepcopy(model.network), copy.deepcopy(model.gate)
    )
    known = data.corpus.fitting.plus(data.corpus.calibration)
    looked_at = _some(data.corpus.validation, config.dpo.evaluation_documents)
    size = int(looked_at.n_bytes.sum())
    report = fit_preferences(
        moved,
        _encoded(model, data.split.training, data.split.unpaired, config),
        _encoded(model, data.split.validation, data.split.unpaired.slice(0, 0), config),
        _openings(model, known.texts, config.dpo.document_tokens),
        lambda: float(document_bits(moved, looked_at.texts, config.evaluation.batch_tokens).sum()) / size,
        config.dpo,
        config.seed,
        progress,
    )
    progress(
        f"{report.steps} steps in {report.seconds:.1f} s, best after {report.best_step}, ended by {report.ended_by}"
    )
    return moved, report


def _some(documents: Documents, most: int) -> Documents:
    n = len(documents)
    return documents.take(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def _openings(model: LanguageModel, texts: list[str], most: int) -> list[Continuation]:
    """Documents from their beginning, with their end where it is within `most` tokens."""
    encoded = model.tokenizer.encode_all(texts)
    return [Continuation(ids[:most], 0, len(ids) < most) for ids in encoded if len(ids)]


def _encoded(model: LanguageModel, pairs: pa.Table, unpaired: pa.Table, config: PreferenceConfig) -> Feedback:
    def texts(table: pa.Table, side: str, ended: str) -> Texts:
        prompts, responses, ends = (table[name].to_pylist() for name in ("prompt", side, ended))
        encode = model.tokenizer.encode_all
        return Texts.of(model, continuations(encode, prompts, responses, ends, config.feedback))

    return Feedback(
        texts(pairs, "chosen", "chosen_ended"),
        texts(pairs, "rejected", "rejected_ended"),
        texts(unpaired, "response", "ended"),
        torch.tensor([verdict > 0 for verdict in unpaired["verdict"].to_pylist()], dtype=torch.bool),
    )


def _outcome(
    data: _Data,
    tuned: LanguageModel,
    report: FitReport,
    origin: Origin,
    out_dir: Path,
    lineage: dict[str, Any],
    progress: Progress,
) -> TrainingOutcome:
    champion, config = data.champion, data.config
    until = max(champion.trained_until, data.corpus.trained_until)
    name = f"{champion.architecture}_dpo"
    bundle = export_tuned(out_dir / name, champion, tuned, until, lineage, origin.as_extra())
    counts = LanguageModel(data.model.tokenizer, data.model.ngram)
    canaries = read_questions(champion).canaries
    baseline = export(
        out_dir / BASELINE, BASELINE, counts, {}, canaries, until, lineage, read_abuse(champion)
    )
    model = read_model(bundle)
    metrics = {"champion": _metrics(data.model, data), BASELINE: _metrics(counts, data)}
    metrics[name] = _metrics(model, data) | _behaviour(bundle, model, data, progress)
    metrics[name]["fit/steps"] = float(report.steps)
    for key in ("feedback/ranked_right", "feedback/apart_bits_per_byte", "test/bits_per_byte"):
        metrics[name][f"champion/{key}"] = metrics["champion"][key]
    notes = [*data.corpus.notes, *data.split.notes, _result(name, champion, metrics)]
    progress(notes[-1])
    table = comparison(metrics, notes)
    shared = {"seed": config.seed, **config.dpo.model_dump(), **config.feedback.model_dump()}
    shared |= {"ended_by": report.ended_by, "best_step": report.best_step}
    candidates = [
        Candidate(
            BASELINE, {"seed": config.seed}, metrics[BASELINE], baseline, texts={"comparison.md": table}
        ),
        Candidate(
            name=name,
            params=shared,
            metrics=metrics[name],
            bundle=bundle,
            curves=report.curves,
            plots={"preferences.png": preference_curves(name, report.curves)},
            texts={"comparison.md": table, "samples.md": _samples(data, model)},
            seconds=report.seconds,
        ),
    ]
    return TrainingOutcome(candidates, name, [BASELINE], data.window, notes)


def _result(name: str, champion: Bundle, metrics: dict[str, dict[str, float]]) -> str:
    bits = [metrics[model]["test/bits_per_byte"] for model in (name, "champion")]
    return (
        f"{name} started from the champion {champion.digest[:12]} and wins {metrics[name]['feedback/win_rate']:.1%} of "
        f"the held-out pairs against it; {bits[0]:.4f} bits/byte of documents against {bits[1]:.4f}."
    )


def _behaviour(bundle: Bundle, model: LanguageModel, data: _Data, progress: Progress) -> dict[str, float]:
    """Safety report, copies of training texts, and how much feedback there was."""
    safety, texts = report_on(
        model, read_questions(bundle), data.config.safety, progress, read_abuse(bundle).judge
    )
    return {f"safety/{key}": value for key, value in safety.items()} | {
        "samples/near_copy_share": _copied(texts, data.corpus, data.config),
        "feedback/training_pairs": float(data.split.training.num_rows),
        "feedback/unpaired_ratings": float(data.split.unpaired.num_rows),
    }


def _metrics(model: LanguageModel, data: _Data) -> dict[str, float]:
    evaluation = data.config.evaluation
    found = window_metrics(
        score_rows(model, data.test, evaluation.batch_tokens), evaluation, data.config.seed
    )
    for label, table in (("validation", data.split.validation), ("feedback", data.split.held_out)):
        apart, before = (
            score_pairs(one, table, evaluation.batch_tokens)["apart"].to_numpy()
            for one in (model, data.model)
        )
        found[f"{label}/win_rate"] = float(wins(apart, before).mean())
        found[f"{label}/apart_bits_per_byte"] = float(apart.mean())
        found[f"{label}/ranked_right"] = float((apart > 0).mean())
    return found


def _copied(texts: list[str], corpus: Corpus, config: PreferenceConfig) -> float:
    visible = [text for text in texts if text.strip()]
    known = corpus.fitting.texts + corpus.calibration.texts
    copied = near_copies(visible, known, config.corpus.near_copy_similarity)
    return float(copied.mean()) if len(copied) else 0.0


def _samples(data: _Data, tuned: LanguageModel) -> str:
    safety, seed = data.config.safety, data.config.seed
    prompts = ["", *(prompt for prompts in PROMPTS.values() for prompt in prompts)]

    def said(model: LanguageModel, prompt: str) -> list[str]:
        return sample_texts(
            model,
            prompt,
            _SHOWN,
            max_tokens=safety.sample_tokens,
            temperature=safety.temperature,
            top_p=safety.top_p,
            seed=seed,
        )

    shown = {prompt: (said(data.model, prompt), said(tuned, prompt)) for prompt in prompts}
    return side_by_side(shown, f"Temperature {safety.temperature}, top-p {safety.top_p}")

"""One training cycle of the generator: documents in, a candidate with metrics and a bundle for every model out."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import torch

from training.bundle import Bundle
from training.generator.canaries import Canary, draw_canaries, plant
from training.generator.config import GeneratorConfig, LstmConfig, TransformerConfig
from training.generator.cross_fit import CrossFitted
from training.generator.data import Corpus, Documents, split_corpus
from training.generator.decoder import Decoder
from training.generator.described import HeldOut, describe
from training.generator.ensemble import ensemble
from training.generator.evaluate import bits_per_byte, choose, document_bits, window_metrics
from training.generator.export import (
    ENSEMBLE,
    PRETRAINED,
    build_network,
    export,
    read_abuse,
    read_model,
    read_questions,
)
from training.generator.fit import FitReport, fit_network
from training.generator.guard import guarded, learn_abuse
from training.generator.mixture import Gate, LanguageModel, fit_gate
from training.generator.networks import Network
from training.generator.ngram import NgramModel
from training.generator.pretrained.source import require
from training.generator.product import Prior, PriorWeight
from training.generator.prompts import PROMPTS
from training.generator.report import bits_by_model, bits_by_slice, comparison, loss_curves, samples_page
from training.generator.safety import report_on
from training.generator.sample import sample_texts
from training.generator.sampling import pick
from training.generator.score import score_rows
from training.generator.tasks.counted import SectionedNgram
from training.generator.tasks.history import History
from training.generator.tasks.mix import fit_cache, task_examples
from training.generator.tasks.model import TaskModel
from training.generator.tokenizer import Tokenizer
from training.result import Candidate, Progress, Report, TrainingOutcome, no_report
from training.threads import torch_threads

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN = 3
"""Continuations of each prompt on the page of samples."""
_SPEED_TOKENS = 200


@dataclass
class Fitted:
    """One model as it comes out of fitting."""

    model: LanguageModel
    params: dict[str, Any]
    network_config: dict[str, Any]
    seconds: float
    report: FitReport | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    samples: str = ""
    plots: dict[str, "Figure"] = field(default_factory=dict)
    validation_bits: np.ndarray = field(default_factory=lambda: np.zeros(0))


def train(
    documents: pa.Table,
    config: GeneratorConfig,
    out_dir: Path,
    progress: Progress,
    lineage: dict[str, Any] | None = None,
    reports: pa.Table | None = None,
) -> TrainingOutcome:
    """Fit, choose and measure every model; bundles are written to `out_dir`/<model>.

    `documents` has a row a document with the columns `data.COLUMNS`, `reports` what users reported and hid of them (see
    `abuse.labels.reported`). Raises NotEnoughDataError saying what is missing, UserError for a table without a column
    or a base model that is not there, ValueError for a configuration that does not hold together, BundleError when
    `out_dir` already holds a bundle.
    """
    if config.base_model:
        require(config.base_model, config.pretrained)
    corpus = split_corpus(documents, config.corpus)
    abuse = learn_abuse(documents, reports, corpus, config.abuse, progress)
    corpus = guarded(corpus, abuse.guard, config.corpus.leave_out_abuse, progress)
    canaries = draw_canaries(config.safety, config.seed)
    with torch_threads(1):
        trainer = Trainer(corpus, canaries, config, progress)
        fitted = trainer.fit_all()
        held = HeldOut.of(corpus, trainer.history, config)
        best = _validate(corpus, fitted, config)
        progress(f"chosen on the validation window: {best}")
        candidates = {}
        for name, entry in fitted.items():
            bundle = export(
                out_dir / name,
                name,
                entry.model,
                entry.network_config,
                canaries,
                corpus.trained_until,
                lineage or {},
                abuse,
            )
            entry.metrics |= abuse.metrics
            _measure(bundle, entry, held, config, progress)
            candidates[name] = bundle
    corpus.notes.extend(abuse.notes)
    return _outcome(candidates, fitted, corpus, config, best)


class Trainer:
    """Tokenizer and counts once, then every model on top of them."""

    def __init__(
        self,
        corpus: Corpus,
        canaries: list[Canary],
        config: GeneratorConfig,
        progress: Progress,
        report: Report = no_report,
    ) -> None:
        if config.tasks.share and config.fit.on_ngrams:
            raise ValueError(
                "tasks.share needs fit.on_ngrams to be off: n-grams have counted what task documents say"
            )
        self._config, self._progress, self._report = config, progress, report
        began = time.monotonic()
        fitting = plant(corpus.fitting, canaries, config.seed)
        n_bytes = int(fitting.n_bytes.sum())
        self._tokenizer = Tokenizer.fit(fitting.texts, n_bytes, config.tokenizer)
        self._fitting_authors, self._authors = fitting.authors, fitting.authors + corpus.calibration.authors
        self._crossed: CrossFitted | None = None
        # Where no gate is to be calibrated, the calibration documents are for training.
        self._documents, self._validation = fitting.plus(corpus.calibration), corpus.validation
        self._fitting, self._calibration = self._encode(fitting), self._encode(corpus.calibration)
        part = corpus.validation.take(_spread(len(corpus.validation), config.fit.evaluation_documents))
        self._looks, self._looks_bytes = self._encode(part), int(part.n_bytes.sum())
        self._ngram = self._count(self._fitting + self._calibration, self._authors)
        self.history = History(corpus.rows)
        for_fitting, for_cache = task_examples(corpus, self.history, config.tasks, config.seed)
        self._mixed = self._fitting + self._tokenizer.encode_all([example.text for example in for_fitting])
        self._tasks = self._tokenizer.encode_all([example.text for example in for_cache])
        self._seconds = time.monotonic() - began
        tokens = sum(len(ids) for ids in self._mixed)
        progress(
            f"{len(fitting):,} documents of {n_bytes:,} bytes and {len(for_fitting):,} of tasks, {tokens:,} tokens of "
            f"{self._tokenizer.size:,} kinds; n-grams counted after {self._seconds:.1f} s"
        )

    def _encode(self, documents: Documents) -> list[np.ndarray]:
        return self._tokenizer.encode_all(documents.texts)

    def _count(self, documents: list[np.ndarray], authors: list[str]) -> NgramModel:
        ngram = self._config.ngram
        counted = NgramModel.fit(documents, authors, self._tokenizer.size, ngram.order, ngram.min_authors)
        return SectionedNgram.over(counted, self._tokenizer)

    def _prior(self, network: Network) -> Prior:
        ngram, size = self._config.ngram, self._tokenizer.size
        if self._crossed is None:
            began = time.monotonic()
            self._crossed = CrossFitted(
                self._fitting + self._calibration,
                self._authors,
                size,
                ngram.order,
                ngram.min_authors,
                ngram.folds,
            )
            self._progress(
                f"n-grams counted for {ngram.folds} parts of the text in {time.monotonic() - began:.1f} s"
            )
        return Prior(self._crossed, self._ngram, PriorWeight(network.width, ngram.order - 1))

    def fit_all(self) -> dict[str, Fitted]:
        """Every model, cheapest first."""
        model = self._remembering(LanguageModel(self._tokenizer, self._ngram))
        fitted = {"ngram": Fitted(model, self._config.ngram.model_dump(), {}, self._seconds)}
        networks = {
            "lstm": self._fit("lstm", self._config.lstm),
            "transformer": self._fit("transformer", self._config.transformer),
        }
        fitted |= networks
        if self._config.fit.on_ngrams:
            fitted[ENSEMBLE] = self._average(networks)
        if self._config.base_model:
            fitted[PRETRAINED] = self._fine_tune()
        return fitted

    def _average(self, members: dict[str, Fitted]) -> Fitted:
        """The networks as one: nothing more is fitted but the cache of prompts."""
        began = time.monotonic()
        pairs = [
            (entry.model.network, entry.model.gate)
            for entry in members.values()
            if entry.model.network is not None and isinstance(entry.model.gate, PriorWeight)
        ]
        model = self._remembering(LanguageModel(self._tokenizer, self._ngram, *ensemble(pairs)))
        seconds = time.monotonic() - began + sum(entry.seconds for entry in members.values())
        sizes = {name: entry.network_config for name, entry in members.items()}
        return Fitted(model, {"members": ", ".join(members)}, sizes, seconds)

    def _fine_tune(self) -> Fitted:
        from training.generator.pretrained.fit import fine_tune
        from training.generator.pretrained.model import load

        began = time.monotonic()
        config, base_model = self._config.pretrained, self._config.base_model
        model = load(base_model, config)
        report = fine_tune(
            model,
            self._documents,
            self._validation,
            config,
            self._config.fit,
            self._config.evaluation.batch_tokens,
            self._config.seed,
            lambda line: self._progress(f"{PRETRAINED}: {line}"),
            lambda look, bits: self._report(PRETRAINED, look, bits),
        )
        told = {f"base_model.{name}": value for name, value in model.provenance.to_dict().items()}
        params = config.model_dump() | told | {"base_model": base_model, "ended_by": report.ended_by}
        return Fitted(model, params, {}, time.monotonic() - began, report)

    def _fit(self, name: str, config: LstmConfig | TransformerConfig) -> Fitted:
        began = time.monotonic()
        fit, batch_tokens, seed = self._config.fit, self._config.evaluation.batch_tokens, self._config.seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_network(name, self._tokenizer.size, config.model_dump())
        assert network is not None
        prior = self._prior(network) if fit.on_ngrams else None
        report = fit_network(
            network,
            self._mixed if prior is None else self._fitting + self._calibration,
            self._looks,
            self._looks_bytes,
            config,
            fit,
            batch_tokens,
            seed,
            lambda line: self._progress(f"{name}: {line}"),
            lambda look, bits: self._report(name, look, bits),
            prior=prior,
            threads=fit.threads or len(os.sched_getaffinity(0)),
        )
        gate: Gate | PriorWeight
        if prior is not None:
            gate = prior.weight
        else:
            # The gate has to see counts that do not know the calibration documents; what is served knows them.
            blind = self._count(self._fitting, self._fitting_authors)
            gate = fit_gate(network, blind, self._calibration, batch_tokens, seed)
        model = self._remembering(LanguageModel(self._tokenizer, self._ngram, network, gate))
        params = config.model_dump() | fit.model_dump() | {"ended_by": report.ended_by}
        return Fitted(model, params, config.model_dump(), time.monotonic() - began, report)

    def _remembering(self, model: LanguageModel) -> LanguageModel:
        """`model` with a cache of the prompt, where the corpus has examples of tasks."""
        if not self._tasks:
            return model
        batch_tokens = self._config.evaluation.batch_tokens
        return TaskModel.of(model, fit_cache(model, self._tasks, self._config.tasks, batch_tokens))


def _spread(n: int, most: int) -> np.ndarray:
    return np.linspace(0, n - 1, min(n, most)).astype(np.int64)


def _validate(corpus: Corpus, fitted: dict[str, Fitted], config: GeneratorConfig) -> str:
    """Measure all on the validation window and choose."""
    resamples, seed = config.evaluation.bootstrap, config.seed
    texts, n_bytes = corpus.validation.texts, corpus.validation.n_bytes
    bits = {
        name: document_bits(entry.model, texts, config.evaluation.batch_tokens)
        for name, entry in fitted.items()
    }
    for name, entry in fitted.items():
        entry.validation_bits = bits[name]
        entry.metrics |= bits_per_byte("validation/bits_per_byte", bits[name], n_bytes, resamples, seed)
    return choose(bits, n_bytes, resamples, seed)


def _measure(
    bundle: Bundle, entry: Fitted, held: HeldOut, config: GeneratorConfig, progress: Progress
) -> None:
    """Fill in what the bundle, as it was written, does on the test window and in its own words."""
    model, safety = read_model(bundle), config.safety
    scores = score_rows(model, held.corpus.test, config.evaluation.batch_tokens)
    entry.metrics |= window_metrics(scores, config.evaluation, config.seed)
    report, texts = report_on(model, read_questions(bundle), safety, progress, read_abuse(bundle).judge)
    entry.metrics |= {f"safety/{name}": value for name, value in report.items()}
    metrics, entry.plots = describe(
        bundle.architecture, model, held, scores, entry.validation_bits, texts, config
    )
    entry.metrics |= metrics
    entry.metrics["samples/tokens_per_second"] = _speed(model)
    if entry.report is not None:
        entry.metrics["fit/tokens_per_second"] = entry.report.tokens_per_second
        entry.metrics["fit/steps"] = float(entry.report.steps)
        entry.metrics["fit/epochs"] = entry.report.epochs
    shown = [
        (prompt, text)
        for prompt in ["", *(prompt for prompts in PROMPTS.values() for prompt in prompts)]
        for text in sample_texts(
            model,
            prompt,
            _SHOWN,
            max_tokens=safety.sample_tokens,
            temperature=safety.temperature,
            top_p=safety.top_p,
            seed=config.seed,
        )
    ]
    entry.samples = samples_page(bundle.architecture, shown, safety.temperature, safety.top_p)
    progress(f"{bundle.architecture}: {entry.metrics['test/bits_per_byte']:.4f} bits/byte on the test window")


def _speed(model: LanguageModel) -> float:
    """Tokens a second of one text, on one thread as in service."""
    rng = np.random.default_rng(0)
    with torch_threads(1):
        decoder = Decoder(model, [[]])
        began = time.monotonic()
        for _ in range(_SPEED_TOKENS):
            decoder.push(pick(decoder.probabilities(), 1.0, 0.95, rng.random(1)))
        return _SPEED_TOKENS / (time.monotonic() - began)


def _outcome(
    bundles: dict[str, Bundle],
    fitted: dict[str, Fitted],
    corpus: Corpus,
    config: GeneratorConfig,
    best: str,
) -> TrainingOutcome:
    start, end = corpus.window
    notes = [
        *corpus.notes,
        f"Test window {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC, {corpus.test.num_rows} documents.",
        "Early stopping looked at validation documents on which the models are then compared.",
    ]
    if config.base_model:
        notes.append(
            f"The base model {config.base_model} was trained by others on text that is not known here: it may have "
            "read held-out documents, and look better for it."
        )
    metrics = {name: entry.metrics for name, entry in fitted.items()}
    table = comparison(metrics, best, notes)
    shared = {"seed": config.seed, **config.corpus.model_dump(), **config.tokenizer.model_dump()}
    candidates = [
        Candidate(
            name=name,
            params=shared | entry.params,
            metrics=entry.metrics,
            bundle=bundles[name],
            curves=entry.report.curves if entry.report else [],
            plots=_plots(name, entry, metrics),
            texts={"samples.md": entry.samples, "comparison.md": table},
            seconds=entry.seconds,
        )
        for name, entry in fitted.items()
    ]
    order = list(fitted)
    baselines = sorted(order[: order.index(best)], key=lambda name: metrics[name]["test/bits_per_byte"])
    return TrainingOutcome(candidates, best, baselines, corpus.window, notes)


def _plots(name: str, entry: Fitted, metrics: dict[str, dict[str, float]]) -> dict[str, "Figure"]:
    plots = {
        "bits_per_byte_by_model.png": bits_by_model(metrics),
        "bits_per_byte_by_slice.png": bits_by_slice(name, metrics[name]),
    } | entry.plots
    if entry.report is not None:
        plots["loss.png"] = loss_curves(name, entry.report.curves)
    return plots

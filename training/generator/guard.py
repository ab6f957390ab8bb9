"""What keeps personal data and abuse out of training: masks by the library, and documents that the guard leaves out.

Held-out documents stay as people wrote them: every model is judged on the same text.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from training.abuse.config import AbuseConfig
from training.abuse.fit import AbuseModels, fit_models
from training.abuse.labels import labelled, read_labels, reported
from training.abuse.model import AbuseModel
from training.generator.data import Corpus, Documents
from training.privacy.find import find, replaced
from training.result import Progress


def learn_abuse(
    documents: pa.Table, reports: pa.Table | None, corpus: Corpus, config: AbuseConfig, progress: Progress
) -> AbuseModels:
    """Guard and judge, from labelled texts where `config` names some and from reports of documents older than the
    corpus's held-out windows.

    Raises UserError for a file of labels that is not right.
    """
    known = read_labels(config.labels) if config.labels else labelled(())
    if reports is not None:
        until = pa.scalar(corpus.trained_until, documents["created_at"].type)
        old = documents.filter(pa.compute.less(documents["created_at"], until))
        known = known.plus(reported(old, reports, config))
    return fit_models(known, config, progress)


def guarded(corpus: Corpus, guard: AbuseModel | None, leave_out_abuse: bool, progress: Progress) -> Corpus:
    """`corpus` whose training documents hold no personal data, and no abuse where a guard is there and asked for."""
    notes = list(corpus.notes)
    parts, masked, left_out = [], 0, 0
    for part in (corpus.fitting, corpus.calibration):
        kept = part
        if guard is not None and leave_out_abuse:
            kept = part.take(np.flatnonzero(guard.probabilities(part.texts) < guard.facts.threshold))
        clean, count = _masked(kept)
        parts.append(clean)
        masked, left_out = masked + count, left_out + len(part) - len(kept)
    if left_out:
        notes.append(f"{left_out} training documents were left out as abusive by the classifier.")
    if masked:
        notes.append(
            f"{masked} forms of personal data were masked in training documents beside those of the feature models."
        )
    progress(f"guard: {masked} forms of personal data masked, {left_out} documents left out as abusive")
    return replace(corpus, fitting=parts[0], calibration=parts[1], notes=notes)


def _masked(documents: Documents) -> tuple[Documents, int]:
    texts, count = [], 0
    for text in documents.texts:
        spans = find(text)
        texts.append(replaced(text, spans) if spans else text)
        count += len(spans)
    return replace(documents, texts=texts), count

"""Scoring a bundle on a window it has not learned from: what the gate compares champions and candidates by."""

from datetime import datetime

import numpy as np
import pyarrow as pa

from training.bundle import Bundle
from training.generator.config import CorpusConfig, EvaluationConfig
from training.generator.data import held_out_documents, read_documents
from training.generator.evaluate import document_bits, slices_of
from training.generator.export import read_model
from training.generator.mixture import LanguageModel


def score_bundle(
    bundle: Bundle, documents: pa.Table, window: tuple[datetime, datetime], config: CorpusConfig | None = None
) -> pa.Table:
    """One row per held-out document of the half-open `window`, oldest first; see `score_rows` for the columns.

    Near copies of documents older than the window are left out, and the rest thinned evenly in time to
    `config.max_heldout_documents`. Equal tables and windows give equal rows in equal order: two bundles pair up by row.

    Raises BundleError when the window begins before `bundle.trained_until` or the bundle is no generator, ValueError
    for a window without a time zone or that ends before it begins, UserError for a missing column.
    """
    bundle.must_not_have_seen(window)
    rows = held_out_documents(documents, window, config or CorpusConfig())
    return score_rows(read_model(bundle), rows, EvaluationConfig().batch_tokens)


def score_rows(model: LanguageModel, rows: pa.Table, batch_tokens: int) -> pa.Table:
    """Score documents as `held_out_documents` gives them.

    Columns: document_id, author_id (the document's own id where not known), occurred_at, bits (end token included),
    n_bytes (UTF-8), bits_per_byte, and the slices lang, community, length_bucket.
    """
    documents = read_documents(rows)
    bits, n_bytes = document_bits(model, documents.texts, batch_tokens), documents.n_bytes
    columns: dict[str, pa.Array] = {
        "document_id": pa.array(documents.ids, pa.string()),
        "author_id": pa.array(documents.authors, pa.string()),
        "occurred_at": rows["created_at"].cast(pa.timestamp("us", tz="UTC")),
        "bits": pa.array(bits, pa.float64()),
        "n_bytes": pa.array(n_bytes, pa.int64()),
        "bits_per_byte": pa.array(bits / np.maximum(n_bytes, 1), pa.float64()),
    }
    columns |= {name: pa.array(values, pa.string()) for name, values in slices_of(documents).items()}
    return pa.table(columns)

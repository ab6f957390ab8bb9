"""Documents of one corpus, split in time: the oldest train, then validation, then test.

Knows nothing of tokens. What leaves here is clean Unicode (no lone surrogates), not empty, and no held-out document is a
near copy of a training document.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.errors import NotEnoughDataError, UserError
from training.generator.config import CorpusConfig
from training.generator.near_copies import near_copies

COLUMNS = ("document_id", "text", "lang", "community", "author_id", "created_at")
_NO_LANGUAGE = "und"
_NO_COMMUNITY = "none"


def clean_text(text: str) -> str:
    """`text` as valid Unicode: surrogate pairs become their character, lone surrogates U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@dataclass(frozen=True)
class Documents:
    """Parallel lists, one entry a document; `authors` has the document's own id where the author is not known."""

    ids: list[str]
    texts: list[str]
    langs: list[str]
    communities: list[str]
    authors: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def n_bytes(self) -> np.ndarray:
        """UTF-8 bytes of each text, int64 [documents]."""
        return np.array([len(text.encode()) for text in self.texts], np.int64)

    def take(self, index: np.ndarray | list[int]) -> "Documents":
        """The documents at `index`, in that order."""
        return Documents(
            *(
                [column[i] for i in index]
                for column in (self.ids, self.texts, self.langs, self.communities, self.authors)
            )
        )

    def plus(self, other: "Documents") -> "Documents":
        """These documents, then the others."""
        return Documents(
            self.ids + other.ids,
            self.texts + other.texts,
            self.langs + other.langs,
            self.communities + other.communities,
            self.authors + other.authors,
        )


@dataclass(frozen=True)
class Corpus:
    """The split. `calibration` is the newest part of training: networks are not fitted on it, the n-gram model is."""

    fitting: Documents
    calibration: Documents
    validation: Documents
    test: Documents
    trained_until: datetime
    """UTC; every training document is older, every held-out one is not."""
    window: tuple[datetime, datetime]
    """UTC, half-open: the test window."""
    notes: list[str] = field(default_factory=list)

    @property
    def training(self) -> Documents:
        """`fitting`, then `calibration`."""
        return self.fitting.plus(self.calibration)


def read_documents(table: pa.Table) -> Documents:
    """The rows of a table with at least `document_id` and `text`, in its order; rows without text are left out.

    Raises UserError when a required column is missing.
    """
    missing = {"document_id", "text"} - set(table.column_names)
    if missing:
        raise UserError(f"the corpus lacks the column {min(missing)}")
    texts = [clean_text(text or "") for text in table["text"].to_pylist()]
    columns = {
        name: table[name].to_pylist() if name in table.column_names else [None] * table.num_rows
        for name in ("document_id", "lang", "community", "author_id")
    }
    keep = [i for i, text in enumerate(texts) if text.strip()]
    return Documents(
        [str(columns["document_id"][i]) for i in keep],
        [texts[i] for i in keep],
        [columns["lang"][i] or _NO_LANGUAGE for i in keep],
        [columns["community"][i] or _NO_COMMUNITY for i in keep],
        [columns["author_id"][i] or str(columns["document_id"][i]) for i in keep],
    )


def _in_time_order(table: pa.Table) -> tuple[pa.Table, np.ndarray, list[str]]:
    """The usable rows, oldest first, and their times in microseconds since 1970, UTC; notes on what was left out."""
    missing = set(COLUMNS) - set(table.column_names)
    if missing:
        raise UserError(f"the corpus lacks the column {min(missing)}")
    timed = table.select(list(COLUMNS)).filter(pc.is_valid(table["created_at"]))
    notes = []
    if timed.num_rows < table.num_rows:
        notes.append(f"{table.num_rows - timed.num_rows} documents without a time were left out.")
    filled = timed.filter(pc.not_equal(pc.utf8_trim_whitespace(pc.fill_null(timed["text"], "")), ""))
    if filled.num_rows < timed.num_rows:
        notes.append(f"{timed.num_rows - filled.num_rows} empty documents were left out.")
    filled = filled.sort_by([("created_at", "ascending"), ("document_id", "ascending")])
    times = filled["created_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    return filled, times, notes


def _instant(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def _cut(text: str, limit: int) -> str:
    """The first `limit` UTF-8 bytes, without half a character."""
    data = text.encode()
    return text if len(data) <= limit else data[:limit].decode(errors="ignore")


def _thin(index: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of `index`, evenly spread."""
    return index if len(index) <= most else index[np.linspace(0, len(index) - 1, most).astype(np.int64)]


def _require(found: int, needed: int, what: str) -> None:
    if found < needed:
        raise NotEnoughDataError(f"the text generator needs at least {needed:,} {what}, there are {found:,}")


def split_corpus(table: pa.Table, config: CorpusConfig) -> Corpus:
    """Split `table` (a row a document, columns `COLUMNS`) in time.

    Documents of the same instant stay on one side of a cut. Raises NotEnoughDataError when a part would be too small,
    saying how much is needed, and UserError when a column is missing.
    """
    rows, times, notes = _in_time_order(table)
    share = config.heldout_share
    least = int(np.ceil(config.min_training_documents / (1 - 2 * share)))
    _require(rows.num_rows, least, "documents with text and time")
    test_at = times[int(len(times) * (1 - share))]
    validation_at = times[int(len(times) * (1 - 2 * share))]
    old = np.flatnonzero(times < validation_at)
    between = np.flatnonzero((times >= validation_at) & (times < test_at))
    new = np.flatnonzero(times >= test_at)
    _require(len(old), config.min_training_documents, "documents older than its held-out windows")
    documents = read_documents(rows)
    training = _recent(documents.take(old), config, notes)
    _require(int(training.n_bytes.sum()), config.min_training_bytes, "bytes of training text")
    held_out = [
        _without_copies(
            documents.take(_thin(part, config.max_heldout_documents)), training, config, name, notes
        )
        for part, name in ((between, "validation"), (new, "test"))
    ]
    n_fitting = round(len(training) * (1 - config.calibration_share))
    return Corpus(
        training.take(np.arange(n_fitting)),
        training.take(np.arange(n_fitting, len(training))),
        *held_out,
        trained_until=_instant(int(validation_at)),
        window=(_instant(int(test_at)), _instant(int(times[-1]) + 1)),
        notes=notes,
    )


def _recent(documents: Documents, config: CorpusConfig, notes: list[str]) -> Documents:
    """The newest documents within the limit of bytes, each cut to its own limit."""
    texts = [_cut(text, config.max_document_bytes) for text in documents.texts]
    shortened = sum(a != b for a, b in zip(texts, documents.texts, strict=True))
    if shortened:
        notes.append(f"{shortened} training documents were cut at {config.max_document_bytes:,} bytes.")
    documents = Documents(documents.ids, texts, documents.langs, documents.communities, documents.authors)
    newest_first = np.cumsum(documents.n_bytes[::-1])
    kept = int(np.searchsorted(newest_first, config.max_training_bytes, side="right"))
    if kept < len(documents):
        notes.append(f"The oldest {len(documents) - kept:,} training documents were left out: too much text.")
    return documents.take(np.arange(len(documents) - kept, len(documents)))


def _without_copies(
    part: Documents, training: Documents, config: CorpusConfig, name: str, notes: list[str]
) -> Documents:
    copied = near_copies(part.texts, training.texts, config.near_copy_similarity)
    if copied.any():
        notes.append(
            f"{int(copied.sum())} {name} documents were dropped as near copies of training documents."
        )
    part = part.take(np.flatnonzero(~copied))
    _require(len(part), config.min_heldout_documents, f"{name} documents that are no copies of training ones")
    return part


def held_out_documents(
    table: pa.Table, trained_until: datetime, window: tuple[datetime, datetime], config: CorpusConfig
) -> pa.Table:
    """The rows of `table` inside `window` (half-open) that are no near copies of rows older than `trained_until`.

    What a bundle may be judged on; at most `config.max_heldout_documents`, evenly spread in time.
    """
    rows, times, _ = _in_time_order(table)
    start, end, until = (int(t.timestamp() * 1e6) for t in (*window, trained_until))
    index = _thin(np.flatnonzero((times >= start) & (times < end)), config.max_heldout_documents)
    part = rows.take(index)
    older = rows.take(np.flatnonzero(times < until))["text"].to_pylist()
    copied = near_copies(part["text"].to_pylist(), older, config.near_copy_similarity)
    return part.filter(pa.array(~copied))

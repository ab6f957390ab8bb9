"""Documents of one corpus, split in time: the oldest train, then validation, then test.

Knows nothing of tokens. What leaves here is clean Unicode (no lone surrogates), not empty, and no held-out document is
a near copy of an older one.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from training.abuse.lexicon import is_insulting
from training.errors import NotEnoughDataError, UserError
from training.generator.config import CorpusConfig
from training.generator.near_copies import near_copies

COLUMNS = ("document_id", "text", "lang", "community", "author_id", "created_at")
LINKS = ("answers_id", "thread_id")
"""Columns that say what a document answers and which conversation it belongs to; a corpus may lack them."""
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
    """The split. `calibration` is the newest part of training: networks that learn alone are not fitted on it."""

    fitting: Documents
    calibration: Documents
    validation: Documents
    test: pa.Table
    """Rows as `held_out_documents` gives them."""
    trained_until: datetime
    """UTC; every training document is older, every held-out one is not."""
    window: tuple[datetime, datetime]
    """UTC, half-open: the test window."""
    rows: pa.Table
    """All usable rows, oldest first, with `COLUMNS` and what there is of `LINKS`."""
    notes: list[str] = field(default_factory=list)


def read_documents(rows: pa.Table) -> Documents:
    """The documents of `rows`, one a row; every row has a text."""
    columns = {name: rows[name].to_pylist() for name in COLUMNS if name != "created_at"}
    ids = [str(value) for value in columns["document_id"]]
    return Documents(
        ids,
        [clean_text(text) for text in columns["text"]],
        [lang or _NO_LANGUAGE for lang in columns["lang"]],
        [community or _NO_COMMUNITY for community in columns["community"]],
        [author or own for author, own in zip(columns["author_id"], ids, strict=True)],
    )


def _in_time_order(table: pa.Table) -> tuple[pa.Table, np.ndarray, list[str]]:
    """The usable rows, oldest first, and their times in microseconds since 1970, UTC; notes on what was left out."""
    missing = set(COLUMNS) - set(table.column_names)
    if missing:
        raise UserError(f"the corpus lacks the column {min(missing)}")
    links = [name for name in LINKS if name in table.column_names]
    timed = table.select([*COLUMNS, *links]).filter(pc.is_valid(table["created_at"]))
    notes = []
    if timed.num_rows < table.num_rows:
        notes.append(f"{table.num_rows - timed.num_rows} documents without a time were left out.")
    filled = timed.filter(
        pa.array([bool((text or "").strip()) for text in timed["text"].to_pylist()], pa.bool_())
    )
    if filled.num_rows < timed.num_rows:
        notes.append(f"{timed.num_rows - filled.num_rows} empty documents were left out.")
    filled = filled.sort_by([("created_at", "ascending"), ("document_id", "ascending")])
    times = filled["created_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy()
    return filled, times, notes


def _instant(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(
        microsecond=microseconds % 1_000_000
    )


def _microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


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
    validation_at, test_at = (int(times[int(len(times) * (1 - part * share))]) for part in (2, 1))
    old = np.flatnonzero(times < validation_at)
    _require(len(old), config.min_training_documents, "documents older than its held-out windows")
    training = _recent(_decent(read_documents(rows.take(old)), config, notes), config, notes)
    _require(int(training.n_bytes.sum()), config.min_training_bytes, "bytes of training text")
    until, window = _instant(validation_at), (_instant(test_at), _instant(int(times[-1]) + 1))
    validation = _held_out(rows, times, (until, window[0]), config, "validation", notes)
    test = _held_out(rows, times, window, config, "test", notes)
    n_fitting = round(len(training) * (1 - config.calibration_share))
    return Corpus(
        fitting=training.take(np.arange(n_fitting)),
        calibration=training.take(np.arange(n_fitting, len(training))),
        validation=read_documents(validation),
        test=test,
        trained_until=until,
        window=window,
        rows=rows,
        notes=notes,
    )


def _decent(documents: Documents, config: CorpusConfig, notes: list[str]) -> Documents:
    """Without what the abuse lexicon knows, where that is asked for. Held-out documents stay as people wrote them."""
    if not config.leave_out_abuse:
        return documents
    kept = [i for i, text in enumerate(documents.texts) if not is_insulting(text)]
    if len(kept) < len(documents):
        notes.append(f"{len(documents) - len(kept)} training documents with strong insults were left out.")
    return documents.take(kept)


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


def _held_out(
    rows: pa.Table,
    times: np.ndarray,
    window: tuple[datetime, datetime],
    config: CorpusConfig,
    name: str,
    notes: list[str],
) -> pa.Table:
    part, copied = _window_rows(rows, times, window, config)
    if copied:
        notes.append(f"{copied} {name} documents were dropped as near copies of older documents.")
    _require(
        part.num_rows, config.min_heldout_documents, f"{name} documents that are no copies of older ones"
    )
    return part


def _window_rows(
    rows: pa.Table, times: np.ndarray, window: tuple[datetime, datetime], config: CorpusConfig
) -> tuple[pa.Table, int]:
    start, end = (_microseconds(instant) for instant in window)
    index = _thin(np.flatnonzero((times >= start) & (times < end)), config.max_heldout_documents)
    part = rows.take(index)
    older = rows.take(np.flatnonzero(times < start))["text"].to_pylist()
    copied = near_copies(part["text"].to_pylist(), older, config.near_copy_similarity)
    return part.filter(pa.array(~copied, pa.bool_())), int(copied.sum())


def held_out_documents(table: pa.Table, window: tuple[datetime, datetime], config: CorpusConfig) -> pa.Table:
    """The rows of `table` inside `window` (half-open) that are no near copies of older ones, oldest first.

    At most `config.max_heldout_documents`, evenly spread in time. Depends on the table, the window and `config` alone,
    so that two models are judged on the same rows. Raises UserError when a column is missing.
    """
    rows, times, _ = _in_time_order(table)
    return _window_rows(rows, times, window, config)[0]

"""The identity of an event that came without one: a hash over the row's own content.

The same row gives the same id from any file, format, batch or machine, so reading it twice changes nothing.
"""

from hashlib import blake2b

import pyarrow as pa
import pyarrow.compute as pc

from orchestration.sources.schema import STREAMS

_SEPARATOR = "\x1f"


def _as_text(column: pa.Array) -> pa.Array:
    """`column` as strings that no library's way to print numbers can change: times and doubles by their bits."""
    if pa.types.is_floating(column.type):
        # Adding zero turns -0.0 into 0.0, which equals it and must hash alike.
        column = pc.add(column.cast(pa.float64()), 0.0)
        bits = pa.Array.from_buffers(
            pa.int64(), len(column), column.buffers(), column.null_count, column.offset
        )
        return bits.cast(pa.string())
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64()).cast(pa.string())
    return column.cast(pa.string())


def derive_event_id(batch: pa.RecordBatch) -> pa.Array:
    """Return one id (32 hexadecimal characters) a row, from all canonical event columns except `event_id`.

    Nulls are left out and every value carries its column's name, so a canonical column that is added later and is null
    changes no id. Raises KeyError when a canonical column is missing.
    """
    parts = []
    for name in STREAMS["events"].names:
        if name != "event_id":
            text = _as_text(batch.column(name))
            parts.append(pc.binary_join_element_wise(f"{name}=", text, ""))
    # The leading word is no null: Arrow's join leaves rows out of which every part is one.
    joined = pc.binary_join_element_wise("event", *parts, _SEPARATOR, null_handling="skip").cast(pa.binary())
    return pa.array([blake2b(row, digest_size=16).hexdigest() for row in joined.to_pylist()], pa.string())

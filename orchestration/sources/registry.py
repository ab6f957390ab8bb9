"""The readers by name; a new one is one line here, see `docs/readers.md`."""

from orchestration.sources.base import Reader
from orchestration.sources.canonical import CanonicalReader
from orchestration.sources.simulated import SimulatedReader
from orchestration.sources.stackexchange import StackExchangeReader
from training.errors import UserError

READERS: dict[str, Reader] = {
    reader.name: reader for reader in (CanonicalReader(), StackExchangeReader(), SimulatedReader())
}


def get_reader(name: str) -> Reader:
    """The reader called `name`. Raises UserError listing those there are."""
    try:
        return READERS[name]
    except KeyError:
        raise UserError(f"there is no reader {name!r}; there are: {', '.join(sorted(READERS))}") from None

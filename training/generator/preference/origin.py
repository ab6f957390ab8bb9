"""What a bundle's manifest says about feedback it has learnt from. Reads a manifest, loads no weights."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from training.bundle import Bundle, BundleError

_KEY = "feedback"


@dataclass(frozen=True)
class Origin:
    """How a candidate came of a champion."""

    champion: str
    """Digest of the bundle it started from."""
    until: datetime
    """UTC: it has learnt from no feedback at or after this."""
    rows: int
    """Feedback rows of the lake then: what has come since is new."""

    def as_extra(self) -> dict[str, Any]:
        """For the manifest's `extra`."""
        return {_KEY: asdict(self) | {"until": self.until.isoformat()}}


def origin_of(bundle: Bundle) -> Origin | None:
    """The origin of a candidate that learnt from feedback, None of any other. Raises BundleError when it is garbled."""
    found = (bundle.manifest.get("extra") or {}).get(_KEY)
    if found is None:
        return None
    try:
        until = datetime.fromisoformat(found["until"])
        if until.tzinfo is None:
            raise ValueError("a time without a zone")
        return Origin(str(found["champion"]), until, int(found["rows"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{bundle.path}: what it learnt from feedback cannot be read ({error})") from error

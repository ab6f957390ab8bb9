"""From the name in a bundle's manifest to the model: one entry a kind."""

from collections.abc import Callable
from pathlib import Path

from training.bundle import Bundle, BundleError
from training.recommender.models.base import Parts, Recommender
from training.recommender.models.blend import Blend
from training.recommender.models.lifted import Lifted
from training.recommender.models.popularity import Popularity

MODEL = "model"
"""Folder of the model's parts inside a bundle."""


def _sasrec(parts: Parts) -> Recommender:
    from training.recommender.models.sasrec import Sasrec

    return Sasrec.from_parts(parts)


READERS: dict[str, Callable[[Parts], Recommender]] = {
    "popularity": Popularity.from_parts,
    **dict.fromkeys(("item_knn", "content", "als", "slist", "sequential"), Lifted.from_parts),
    "sasrec": _sasrec,
    "blend": Blend.from_parts,
}
"""Cheapest first: the order in which the one-standard-error rule prefers them."""


def read_model(bundle: Bundle) -> Recommender:
    """The model of a verified bundle. Raises BundleError when it is no recommender or its parts do not fit."""
    if bundle.kind != "recommender" or bundle.architecture not in READERS:
        raise BundleError(
            f"{bundle.path} holds a {bundle.kind} {bundle.architecture}, not a known recommender"
        )
    return read_parts(bundle.architecture, bundle.path / MODEL)


def read_parts(architecture: str, folder: Path) -> Recommender:
    """The model whose parts lie in `folder`. Raises BundleError when they do not fit."""
    try:
        return READERS[architecture](Parts.read(folder))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise BundleError(
            f"{folder}: the parts of {architecture} cannot be put together ({error})"
        ) from error

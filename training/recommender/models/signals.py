"""The personal signals: one table, for the models that lift popularity by a signal and for the blend of them all."""

from collections.abc import Callable

from training.recommender.models.als import AlsSignal
from training.recommender.models.base import Parts, Signal
from training.recommender.models.content import ContentSignal
from training.recommender.models.knn import KnnSignal
from training.recommender.models.slist import SlistSignal


def _sasrec(parts: Parts) -> Signal:
    """torch is imported only where the transformer is used."""
    from training.recommender.models.sasrec import SasrecSignal

    return SasrecSignal.from_parts(parts)


def _sequential(parts: Parts) -> Signal:
    """As above."""
    from training.recommender.models.sequential import SequentialSignal

    return SequentialSignal.from_parts(parts)


SIGNALS: dict[str, Callable[[Parts], Signal]] = {
    "item_knn": KnnSignal.from_parts,
    "content": ContentSignal.from_parts,
    "als": AlsSignal.from_parts,
    "slist": SlistSignal.from_parts,
    "sequential": _sequential,
    "sasrec": _sasrec,
}
"""How to read each signal from its parts, cheapest first."""

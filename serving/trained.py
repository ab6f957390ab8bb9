"""The trained models behind serving's interfaces; their packages are imported when a bundle is loaded."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from serving.models import ContextEvent, GeneratorEngine, Ranker, Ranking, Recommendation
from training.bundle import Bundle, BundleError

if TYPE_CHECKING:
    from training.recommender.models.base import Recommender
    from training.recommender.served import ServedRecommender
    from training.recommender.state import FeedState


class TrainedRecommender:
    """A recommender's model, ready to be put on any state."""

    def __init__(self, model: "Recommender") -> None:
        self._model = model

    def on(self, state: "FeedState") -> Ranker:
        """Answer from `state`; builds the view of its posts now."""
        from training.recommender.served import ServedRecommender

        served = ServedRecommender(self._model)
        served.refresh(state)
        return _Ranker(served, state)


class _Ranker:
    def __init__(self, served: "ServedRecommender", state: "FeedState") -> None:
        self._served, self._state = served, state

    def recommend(
        self, user_id: str, k: int, context: Sequence[ContextEvent] = (), exclude_seen: bool = True
    ) -> Ranking:
        from training.recommender import state

        brought = [state.ContextEvent(event.post_id, event.action, event.t) for event in context]
        found = self._served.recommend(self._state, user_id, k, brought, exclude_seen)
        items = [Recommendation(item.post_id, item.score, item.reasons) for item in found.items]
        return Ranking(items, found.fallback)


def load_recommender(bundle: Bundle) -> TrainedRecommender:
    """The recommender of a verified bundle. Raises BundleError when its parts do not fit together."""
    from training.recommender.models.registry import read_model

    return TrainedRecommender(read_model(bundle))


def load_state(folder: Path) -> "FeedState":
    """The state of a folder with `interactions.parquet` and `posts.parquet`. Raises UserError, OSError."""
    from training.recommender.export import read_state

    return read_state(folder)


def load_generator(bundle: Bundle) -> GeneratorEngine:
    """The generator of a verified bundle. Raises BundleError when its parts do not fit together."""
    raise BundleError(f"{bundle.path}: generators cannot be loaded yet")

"""The trained models behind serving's interfaces; their packages are imported when a bundle is loaded."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from serving.models import Batch, Ranker, Sampling, TextRun
from training.bundle import Bundle
from training.recommender.feed.messages import Ranking, Request
from training.recommender.feed.settings import FeedSettings
from training.recommender.value.weights import Weights

if TYPE_CHECKING:
    from training.generator.sample import TextGenerator
    from training.recommender.models.base import Recommender
    from training.recommender.served import ServedRecommender
    from training.recommender.state import FeedState
    from training.recommender.value.heads import ActionHeads


class TrainedRecommender:
    """A recommender's model, ready to be put on any state."""

    def __init__(
        self,
        model: "Recommender",
        heads: "ActionHeads | None",
        settings: FeedSettings,
        weights: Callable[[], Weights] | None,
    ) -> None:
        self._model, self._heads = model, heads
        self._settings, self._weights = settings, weights

    def on(self, state: "FeedState") -> Ranker:
        """Answer from `state`; builds the view of its posts now."""
        from training.recommender.served import ServedRecommender

        served = ServedRecommender(self._model, self._settings, heads=self._heads, weights=self._weights)
        served.refresh(state)
        return _Ranker(served, state)


class _Ranker:
    def __init__(self, served: "ServedRecommender", state: "FeedState") -> None:
        self._served, self._state = served, state

    def answer(self, requests: Sequence[Request]) -> list[Ranking]:
        """See `Ranker`."""
        return self._served.answer(self._state, requests)

    def recommend(self, user_id: str, k: int) -> Ranking:
        """One answer: what the code that lies in models registered before `answer` asks for."""
        return self.answer([Request(user_id, k)])[0]


def load_recommender(
    bundle: Bundle, settings: FeedSettings, weights: Callable[[], Weights] | None = None
) -> TrainedRecommender:
    """The recommender of a verified bundle, answering by `settings` and `weights` (None: the project's own).

    Raises BundleError when its parts do not fit together.
    """
    from training.recommender.models.registry import read_model
    from training.recommender.value.order import read_heads

    return TrainedRecommender(read_model(bundle), read_heads(bundle), settings, weights)


def load_state(folder: Path) -> "FeedState":
    """The state of a folder with `interactions.parquet` and `posts.parquet`. Raises UserError, OSError."""
    from training.recommender.export import read_state

    return read_state(folder)


class TrainedGenerator:
    """A generator's model, ready to continue prompts."""

    def __init__(self, generator: "TextGenerator") -> None:
        self._generator = generator

    @property
    def vocabulary(self) -> int:
        """See `GeneratorEngine`."""
        return self._generator.vocabulary

    def encode(self, prompt: str) -> list[int]:
        """See `GeneratorEngine`."""
        return self._generator.encode(prompt)

    def batch(self) -> Batch:
        """See `GeneratorEngine`."""
        return self._generator.batch()

    def generate(self, prompt: str, sampling: Sampling) -> TextRun:
        """See `GeneratorEngine`. `trim_start` and `echo` are for whoever shows the pieces."""
        run = TextRun(pieces=_no_text())
        run.pieces = self._pieces(prompt, sampling, run)
        return run

    def _pieces(self, prompt: str, sampling: Sampling, run: TextRun) -> Generator[str, None, None]:
        for piece in self._generator.run(prompt, sampling):
            run.tokens, run.finish = piece.tokens, piece.finish or "length"
            yield piece.text


def _no_text() -> Generator[str, None, None]:
    yield from ()


def load_generator(bundle: Bundle) -> TrainedGenerator:
    """The generator of a verified bundle. Raises BundleError when its parts do not fit together."""
    import torch

    from training.generator.sample import TextGenerator

    # Several texts are made at once, each in small steps: threads inside a step would only wait for each other.
    torch.set_num_threads(1)
    return TrainedGenerator(TextGenerator.load(bundle))

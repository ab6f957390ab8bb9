"""What serving asks of models, and the loaders that put the trained ones behind these interfaces.

The only module that knows `training.recommender` and `training.generator`; both are imported when a bundle is loaded,
so that a server with only one kind of model does not pay for the other.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from training.bundle import Bundle
from training.generator.sampling import Sampling as Sampling
from training.recommender.feed.messages import Ranking, Request
from training.recommender.feed.settings import PLAIN, FeedSettings
from training.recommender.value.weights import Weights

if TYPE_CHECKING:
    from training.generator.text_row import Piece, TokenChance


@dataclass
class TextRun:
    """One text being generated: iterate `pieces`; `finish` and `tokens` hold once they have ended."""

    pieces: Generator[str, None, None]
    finish: Literal["stop", "length"] = "length"
    tokens: int = 0


class Row(Protocol):
    """A text under way in a batch."""

    prompt_chances: "tuple[TokenChance, ...]"
    """Of the prompt's tokens, once they are read and where asked for."""

    def close(self) -> "Piece":
        """The last piece of a text that shall have no more tokens."""
        ...


class Batch(Protocol):
    """Texts of one model side by side, made by one thread."""

    def add(self, prompt: Sequence[int], samplings: Sequence[Sampling]) -> Sequence[Row]:
        """Begin texts that all continue `prompt`."""
        ...

    def drop(self, row: Any) -> None:
        """`row`, one of this batch's, gets no more tokens."""
        ...

    def step(self) -> "Sequence[tuple[Row, Piece | Exception]]":
        """What comes next of each text whose prompt is read; one that has ended or failed is in no later step."""
        ...


class GeneratorEngine(Protocol):
    """A loaded generator. Its methods are called from several threads at once."""

    @property
    def vocabulary(self) -> int:
        """Tokens there are."""
        ...

    def encode(self, prompt: str) -> list[int]:
        """The tokens of `prompt` that the model reads: a prompt longer than its context is cut on the left."""
        ...

    def batch(self) -> Batch:
        """An empty batch."""
        ...

    def generate(self, prompt: str, sampling: Sampling) -> TextRun:
        """Begin a text that continues `prompt`, by itself."""
        ...


class State(Protocol):
    """The feed's state. Its methods are called from several threads at once."""

    def observe(
        self, user_id: str, post_id: str, action: str, occurred_at: float, value: float | None = None
    ) -> None:
        """Take in one live event; `occurred_at` in seconds since 1970."""
        ...


class Ranker(Protocol):
    """A recommender over one state of the feed. Its method is called from several threads at once."""

    def answer(self, requests: Sequence[Request]) -> list[Ranking]:
        """The posts to show for each request, asked together; an unknown user is answered by a named fallback."""
        ...


class RecommenderEngine(Protocol):
    """A loaded recommender."""

    def on(self, state: Any) -> Ranker:
        """Prepare to answer from `state`, so that no request waits for it. May take seconds; `state` stays live."""
        ...


@dataclass(frozen=True)
class Loaders:
    """How to make models of bundles, and a state of published tables. Tests bring their own."""

    recommender: Callable[[Bundle], RecommenderEngine]
    generator: Callable[[Bundle], GeneratorEngine]
    state: Callable[[Path], State]
    """From a folder that holds `interactions.parquet`, `posts.parquet` and perhaps `users.parquet`."""

    def load(self, bundle: Bundle) -> RecommenderEngine | GeneratorEngine:
        """The engine of a verified bundle. Raises whatever the model's own loader raises."""
        return self.recommender(bundle) if bundle.kind == "recommender" else self.generator(bundle)


def trained(feed: FeedSettings = PLAIN, weights: Callable[[], Weights] | None = None) -> Loaders:
    """Loaders of the models that `training` writes; recommenders answer by the settings `feed` and these weights of
    actions, asked for at every answer."""
    from serving import trained as real

    recommender = partial(real.load_recommender, settings=feed, weights=weights)
    return Loaders(recommender, real.load_generator, real.load_state)

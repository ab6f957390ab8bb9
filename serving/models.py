"""What serving asks of models, and the loaders that put the trained ones behind these interfaces.

The only module that knows `training.recommender` and `training.generator`; both are imported when a bundle is loaded,
so that a server with only one kind of model does not pay for the other.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from training.bundle import Bundle
from training.recommender.feed.messages import Ranking, Request
from training.recommender.feed.settings import PLAIN, FeedSettings
from training.recommender.value.weights import Weights


@dataclass(frozen=True)
class Sampling:
    """How to generate: temperature 0 is greedy; the text ends before the first of `stop`."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    trim_start: bool = False
    """Leave out white space before the first visible character (an answer in a conversation)."""

    def seeded(self, seed: int) -> "Sampling":
        """The same with another seed."""
        return replace(self, seed=seed)


@dataclass
class TextRun:
    """One text being generated: iterate `pieces`; `finish` and `tokens` hold once they have ended."""

    pieces: Generator[str, None, None]
    finish: Literal["stop", "length"] = "length"
    tokens: int = 0


class GeneratorEngine(Protocol):
    """A loaded generator. Its methods are called from several threads at once."""

    def prompt_tokens(self, prompt: str) -> int:
        """Tokens of `prompt` that the model reads: a prompt longer than its context is cut on the left."""
        ...

    def generate(self, prompt: str, sampling: Sampling) -> TextRun:
        """Begin a text that continues `prompt`."""
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

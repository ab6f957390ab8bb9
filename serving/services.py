"""What one server is made of, started and stopped together; handlers find it at `request.app.state.services`."""

from dataclasses import dataclass
from typing import cast

import structlog
from fastapi import Request

from serving.feed import LiveFeed
from serving.holder import Champion, ChampionHolder
from serving.journal import Journal
from serving.library import Shelf
from serving.metrics import Metrics
from serving.models import Loaders
from serving.pool import GenerationPool
from serving.problems import ProblemError
from serving.settings import Settings
from serving.upstream import Upstream
from training.bundle import Kind


@dataclass
class Services:
    """The parts of a server, built by `build` and not yet started."""

    settings: Settings
    metrics: Metrics
    feed: LiveFeed
    shelf: Shelf
    holder: ChampionHolder
    pool: GenerationPool
    events: Journal
    feedback: Journal
    generations: Journal
    upstream: Upstream | None
    """What answers for the generator instead of the champion."""

    @classmethod
    def build(cls, settings: Settings, loaders: Loaders) -> "Services":
        """All parts for `settings`."""
        metrics = Metrics()
        feed, shelf = LiveFeed(metrics), Shelf()
        return cls(
            settings=settings,
            metrics=metrics,
            feed=feed,
            shelf=shelf,
            holder=ChampionHolder(settings, loaders, feed, shelf, metrics),
            pool=GenerationPool(settings.max_concurrent_generations, settings.max_batched_texts, metrics),
            events=_journal("events", settings, metrics),
            feedback=_journal("feedback", settings, metrics),
            generations=_journal("generations", settings, metrics),
            upstream=Upstream(settings) if settings.generator_url else None,
        )

    def start(self) -> None:
        """Recover the journals, remember their events, begin to watch for champions. Raises OSError."""
        self.events.start()
        self.feedback.start()
        self.generations.start()
        remembered = self.feed.recall(self.events.folder)
        self.holder.start()
        if self.upstream is not None:
            self.upstream.start()
        structlog.get_logger().info("serving", home=str(self.settings.home), remembered_events=remembered)

    def stop(self) -> None:
        """Seal the journals, end all threads."""
        self.pool.close()
        self.holder.stop()
        if self.upstream is not None:
            self.upstream.stop()
        self.events.close()
        self.feedback.close()
        self.generations.close()
        self.feed.close()

    def champion(self, kind: Kind) -> Champion | None:
        """What answers: the promoted model, or a generator elsewhere; None when there is none."""
        if kind == "generator" and self.upstream is not None:
            return self.upstream.champion
        return self.holder.champion(kind)

    def need(self, kind: Kind) -> Champion:
        """What answers. Raises ProblemError (503, 502) with the reason when there is none."""
        champion = self.champion(kind)
        if champion is None and kind == "generator" and self.upstream is not None:
            raise ProblemError("upstream-failed", self.upstream.problem or "it lists no model")
        if champion is None:
            refusal = self.holder.problems.get(kind)
            why = (
                f"{refusal.target} was refused: {refusal.reason}"
                if refusal
                else f"no {kind} has been promoted yet"
            )
            raise ProblemError("no-champion", why)
        return champion


def _journal(stream: str, settings: Settings, metrics: Metrics) -> Journal:
    return Journal(
        stream,
        settings.incoming_dir / "api" / stream,
        metrics,
        seal_seconds=settings.journal_seal_seconds,
        seal_bytes=settings.journal_seal_bytes,
    )


async def services(request: Request) -> Services:
    """The services of the app that answers `request`."""
    return cast(Services, request.app.state.services)

"""Keeps the promoted models in memory: watches the pointers, loads in a thread, swaps in one assignment.

A bundle goes into service only when every hash fits, it is what the promotion named, and it answers its golden
requests. Until then, and whenever that fails, the last good one answers, and `problems` says why.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import structlog

from serving import chat_template, golden
from serving.feed import LiveFeed, StateInfo
from serving.library import Shelf
from serving.metrics import Metrics
from serving.models import Loaders
from serving.moderation import Moderator
from serving.pointers import (
    CHAMPIONS,
    KINDS,
    STATE,
    ChampionPointer,
    StatePointer,
    read_champions,
    read_state,
)
from serving.settings import Settings
from training.bundle import Bundle, BundleError, Kind, open_bundle
from training.errors import UserError
from training.files import stamp

RETRY_SECONDS = 15.0
"""A refused bundle or state is tried again after this long: its files may have been repaired."""

Subject = Literal["recommender", "generator", "state"]


@dataclass(frozen=True)
class Champion:
    """A model in service."""

    pointer: ChampionPointer
    engine: Any
    """A RecommenderEngine or GeneratorEngine."""
    chat_template: str | None
    architecture: str
    trained_until: datetime | None
    """None for a model that another server has."""
    loaded_at: datetime
    moderator: Moderator | None = None
    """What it may be asked and may say; a recommender has none."""

    @property
    def version(self) -> str:
        """The registry's version."""
        return self.pointer.version


@dataclass(frozen=True)
class Refusal:
    """Why the current pointer is not in service."""

    target: str
    reason: str
    at: datetime

    def shown(self) -> dict[str, Any]:
        """For /readyz and /v1/models."""
        return {"target": self.target, "reason": self.reason, "at": self.at}


class ChampionHolder:
    """Loads what the pointers name. `champion` may be read from any thread; the watcher is the only writer."""

    def __init__(
        self, settings: Settings, loaders: Loaders, feed: LiveFeed, shelf: Shelf, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._loaders = loaders
        self._feed, self._shelf = feed, shelf
        self._metrics = metrics
        self._champions: dict[Kind, Champion] = {}
        self._stop = threading.Event()
        self._retry_at: dict[Subject, float] = {}
        self._seen: dict[Subject, object] = {}
        self._log = structlog.get_logger()
        # Two watches, so that a large state does not delay a promotion.
        self._threads = [
            threading.Thread(target=self._watch, args=(check,), name=name, daemon=True)
            for name, check in (("champions", self._check_champions), ("state", self._check_published))
        ]
        # A generator elsewhere answers instead of the promoted one.
        self._kinds = [kind for kind in KINDS if kind != "generator" or not settings.generator_url]
        self.promoted: dict[Kind, ChampionPointer] = {}
        self.problems: dict[Subject, Refusal] = {}

    def start(self) -> None:
        """Begin to watch."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the watch; a load under way is finished first."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def champion(self, kind: Kind) -> Champion | None:
        """The model that answers, None when none was ever good."""
        return self._champions.get(kind)

    def _watch(self, check: Callable[[], None]) -> None:
        while not self._stop.is_set():
            check()
            self._stop.wait(self._settings.poll_seconds)

    def _check_published(self) -> None:
        self._guarded("state", STATE, self._check_state)

    def _check_champions(self) -> None:
        try:
            promoted = read_champions(self._settings.home)
        except UserError as error:
            for kind in self._kinds:
                self._seen.pop(kind, None)
                self._refuse(kind, CHAMPIONS, str(error))
            return
        self.promoted = {kind: promoted[kind] for kind in self._kinds if kind in promoted}
        for kind in self._kinds:
            self._guarded(kind, CHAMPIONS, partial(self._check_champion, kind, promoted.get(kind)))

    def _guarded(self, subject: Subject, target: str, check: Callable[[], None]) -> None:
        """Whatever goes wrong while loading keeps the last good one and is said; the watch goes on."""
        try:
            check()
        except Exception as error:  # noqa: BLE001 - a model's own loader may raise anything
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            if not isinstance(error, UserError):
                self._log.exception("load failed", subject=subject)
            self._refuse(subject, target, reason)

    def _refuse(self, subject: Subject, target: str, reason: str) -> None:
        known = self.problems.get(subject)
        self._retry_at[subject] = time.monotonic() + RETRY_SECONDS
        if known is not None and (known.target, known.reason) == (target, reason):
            return
        self.problems[subject] = Refusal(target, reason, datetime.now(UTC))
        self._metrics.refusals.labels(subject).inc()
        if subject != "state":
            self._metrics.stale.labels(subject).set(1)
        self._log.error("kept the last good one", subject=subject, target=target, reason=reason)

    def _accept(self, subject: Subject) -> None:
        self.problems.pop(subject, None)
        if subject != "state":
            self._metrics.stale.labels(subject).set(0)

    def _is_due(self, subject: Subject, target: object) -> bool:
        """Whether `target` is new, or was refused long enough ago."""
        if self._seen.get(subject) != target:
            self._seen[subject] = target
            return True
        return subject in self.problems and time.monotonic() >= self._retry_at[subject]

    def _check_champion(self, kind: Kind, pointer: ChampionPointer | None) -> None:
        if not self._is_due(kind, pointer):
            return
        if pointer is None:
            self._withdraw(kind)
            return
        current = self._champions.get(kind)
        if current is not None and current.pointer.digest == pointer.digest:
            self._put(kind, replace(current, pointer=pointer))
            return
        try:
            champion = self._load(pointer)
        except UserError as error:
            self._refuse(kind, f"version {pointer.version}", str(error))
            return
        self._put(kind, champion)

    def _load(self, pointer: ChampionPointer) -> Champion:
        started = time.perf_counter()
        bundle = open_bundle(pointer.bundle, pointer.kind)
        if bundle.digest != pointer.digest:
            raise BundleError(
                f"{pointer.bundle} has digest {bundle.digest[:12]}, promoted was {pointer.digest[:12]}"
            )
        engine = self._loaders.load(bundle)
        golden.check(bundle, engine, self._loaders)
        self._log.info(
            "bundle loaded",
            model=pointer.kind,
            version=pointer.version,
            architecture=bundle.architecture,
            seconds=round(time.perf_counter() - started, 2),
        )
        template = chat_template.read_template(bundle.path)
        moderator = self._moderator(bundle) if pointer.kind == "generator" else None
        return Champion(
            pointer, engine, template, bundle.architecture, bundle.trained_until, datetime.now(UTC), moderator
        )

    def _moderator(self, bundle: Bundle) -> Moderator:
        try:
            return Moderator.load(bundle.path, self._settings.moderation)
        except (OSError, ValueError) as error:
            raise BundleError(f"{bundle.path}: what guards its answers cannot be read ({error})") from error

    def _put(self, kind: Kind, champion: Champion) -> None:
        before = self._champions.get(kind)
        if kind == "recommender":
            self._feed.employ(champion.version, champion.engine)
        self._champions = {**self._champions, kind: champion}
        self._accept(kind)
        if before is not None:
            self._metrics.champion.remove(kind, before.version, before.pointer.digest)
        self._metrics.champion.labels(kind, champion.version, champion.pointer.digest).set(1)
        self._metrics.swaps.labels(kind).inc()
        self._log.info(
            "champion swapped", model=kind, version=champion.version, before=before and before.version
        )

    def _withdraw(self, kind: Kind) -> None:
        self._accept(kind)
        before = self._champions.get(kind)
        if kind == "recommender":
            self._feed.dismiss()
        if before is not None:
            self._champions = {name: value for name, value in self._champions.items() if name != kind}
            self._metrics.champion.remove(kind, before.version, before.pointer.digest)
            self._log.warning("champion withdrawn", model=kind, version=before.version)

    def _check_state(self) -> None:
        path = self._settings.online_dir / STATE
        if not self._is_due("state", stamp(path)):
            return
        pointer = read_state(self._settings.home)
        if pointer is not None and (self._feed.info is None or self._feed.info.id != pointer.id):
            self._load_state(pointer)
        self._accept("state")

    def _load_state(self, pointer: StatePointer) -> None:
        state = self._loaders.state(pointer.folder)
        info = StateInfo(pointer.id, pointer.lake_snapshot, pointer.published_at, datetime.now(UTC))
        # First, so that a server that is ready has the texts, too; without the feed's new state they do no harm.
        self._shelf.put(pointer.folder)
        self._feed.publish(state, info, pointer.table("interactions"))

"""Pieces of an answer on their way to the client, each choice through its own filter; answers that are refusals.

What the models here make passes through `Screened`, what another server makes through `Sieve`.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from serving.generation import Generation, Piece
from serving.holder import Champion
from serving.metrics import Metrics
from serving.moderation import AnswerFilter, OpenFilter, Refusal

if TYPE_CHECKING:
    from training.generator.text_row import TokenChance

Filter = AnswerFilter | OpenFilter


def refused(champion: Champion, said: Sequence[str]) -> Refusal | None:
    """Why one of these prompts is not answered, None when all may be."""
    if champion.moderator is None:
        return None
    return next((found for text in said if (found := champion.moderator.refusal(text))), None)


def filters(champion: Champion, said: Sequence[str], n: int, system: str) -> list[Filter]:
    """A filter for each of `n` answers to each prompt."""
    if champion.moderator is None:
        return [OpenFilter() for _ in range(len(said) * n)]
    return [champion.moderator.filter(text, system) for text in said for _ in range(n)]


class Screened:
    """`generation` with only what may be shown. A choice that is blocked ends there, with the reason."""

    def __init__(self, generation: Generation, screens: Sequence[Filter], metrics: Metrics) -> None:
        self._generation, self._screens, self._metrics = generation, screens, metrics
        self._made, self._shown = [0] * len(screens), [0] * len(screens)
        self._chances: list[list[TokenChance]] = [[] for _ in screens]
        self._ended: set[int] = set()

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompts."""
        return self._generation.prompt_tokens

    @property
    def finished(self) -> bool:
        """Whether all was made that was asked for, or all choices have been blocked."""
        return self._generation.finished or len(self._ended) == len(self._screens)

    def cancel(self) -> None:
        """Make no more of it."""
        self._generation.cancel()

    async def __aiter__(self) -> AsyncIterator[Piece]:
        """Pieces as they may be shown. Raises what the model raised."""
        async for piece in self._generation:
            if piece.index in self._ended:
                continue
            for shown in self._screened(piece):
                yield shown
            if len(self._ended) == len(self._screens):
                break
        self.cancel()

    def _screened(self, piece: Piece) -> list[Piece]:
        at, screen = piece.index, self._screens[piece.index]
        self._made[at] += bool(piece.text)
        text = screen.push(piece.text)
        if piece.finish is not None:
            text += screen.finish()
        if screen.blocked is not None:
            self._ended.add(at)
            self._metrics.content_filtered.labels("answer", screen.blocked.reason).inc()
            tokens = piece.tokens or self._made[at]
            return [Piece(at, "", "content_filter", tokens, refusal=screen.blocked.text)]
        self._shown[at] += len(text)
        chances = self._known(piece, screen)
        if piece.finish is None:
            return [Piece(at, text, chances=chances)] if text or chances else []
        if not piece.text and text:
            # The last piece of a stream is empty, as the one that says why it ends; a whole text comes as one.
            return [Piece(at, text, chances=chances), replace(piece, chances=())]
        return [replace(piece, text=text, chances=chances)]

    def _known(self, piece: Piece, screen: Filter) -> "tuple[TokenChance, ...]":
        """Log-probabilities of tokens that are shown; none once something was masked: they would tell it."""
        held = self._chances[piece.index]
        held += piece.chances
        if screen.altered:
            held.clear()
            return ()
        shown = self._shown[piece.index] if piece.finish is None else float("inf")
        known = tuple(c for c in held if c.offset + len(c.data.decode("utf-8", "replace")) <= shown)
        self._chances[piece.index] = [c for c in held if c not in known]
        return known


class Refused:
    """An answer of which every choice is the same refusal."""

    prompt_tokens = 0
    finished = True

    def __init__(self, refusal: Refusal, choices: int, metrics: Metrics) -> None:
        self._refusal, self._choices = refusal, choices
        metrics.content_filtered.labels("prompt", refusal.reason).inc()

    def cancel(self) -> None:
        """There is nothing to stop."""

    async def __aiter__(self) -> AsyncIterator[Piece]:
        """The last piece of each choice."""
        for index in range(self._choices):
            yield Piece(index, "", "content_filter", refusal=self._refusal.text)


class Sieve:
    """The choices of another server's documents or chunks, as dictionaries, with only what may be shown."""

    def __init__(
        self, screens: Sequence[Filter], refuse: Callable[[dict[str, Any], str], None], metrics: Metrics
    ) -> None:
        self._screens, self._refuse, self._metrics = screens, refuse, metrics
        self._ended: set[int] = set()

    def __call__(self, choice: dict[str, Any]) -> list[dict[str, Any]]:
        """`choice` with its text filtered; none where there is nothing to show."""
        at = int(choice.get("index") or 0)
        if at in self._ended or at >= len(self._screens):
            return []
        screen, place = self._screens[at], choice.get("delta", choice.get("message", choice))
        key = "text" if place is choice else "content"
        made = str(place.get(key) or "")
        text = screen.push(made) + (screen.finish() if choice.get("finish_reason") else "")
        if screen.blocked is not None:
            self._ended.add(at)
            self._metrics.content_filtered.labels("answer", screen.blocked.reason).inc()
            ended = {**choice, "finish_reason": "content_filter", "logprobs": None}
            ended |= {"text": ""} if place is choice else {}
            ended |= {name: {**place, key: ""} for name in ("delta", "message") if name in choice}
            self._refuse(ended, screen.blocked.text)
            return [ended]
        if text == made:
            return [choice]
        shown = {**place, key: text}
        if place is choice:
            return [{**shown, "logprobs": None}]
        return [{**choice, "delta" if "delta" in choice else "message": shown, "logprobs": None}]

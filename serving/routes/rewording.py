"""Texts of another server's completions call in the words of one of our own calls."""

from collections.abc import Callable
from typing import Any

from serving.generation import Piece
from serving.models import Sampling
from serving.openai_shapes import Common

_PLAIN = Sampling(1)


def completion_body(model: str, prompts: list[str], body: Common, sampling: Sampling) -> dict[str, Any]:
    """A completions request that asks for what `sampling` says. What OpenAI's API does not know is sent only if it is
    asked for."""
    standard = {
        "model": model,
        "prompt": prompts,
        "n": body.n,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "stream": body.stream,
    }
    other = {name: getattr(sampling, name) for name in ("min_p", "repetition_penalty")}
    asked = {name: value for name, value in other.items() if value != getattr(_PLAIN, name)}
    if sampling.logit_bias:
        asked["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias}
    if body.stream and body.stream_options is not None:
        asked["stream_options"] = body.stream_options.model_dump()
    return {**standard, **asked}


class Rewording:
    """Choices of completions, whole or in chunks, as those of another call."""

    def __init__(
        self,
        choice: Callable[[int, str, str], dict[str, Any]],
        chunk: Callable[[Piece], list[dict[str, Any]]],
        stream: bool,
        trim_start: bool,
    ) -> None:
        self._choice, self._chunk = choice, chunk
        self._stream, self._trim = stream, trim_start
        self._begun: set[int] = set()

    def __call__(self, found: dict[str, Any]) -> list[dict[str, Any]]:
        """What becomes of one of the other server's choices."""
        index, text, finish = int(found["index"]), str(found.get("text") or ""), found.get("finish_reason")
        if self._trim and index not in self._begun:
            text = text.lstrip()
        if text:
            self._begun.add(index)
        if not self._stream:
            return [self._choice(index, text, finish or "length")]
        pieces = [Piece(index, text)] if text else []
        if finish is not None:
            pieces.append(Piece(index, "", finish))
        return [shown for piece in pieces for shown in self._chunk(piece)]

"""Log-probabilities of tokens in the two shapes of the OpenAI API."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.generator.text_row import TokenChance

_LEAST = -9999.0
"""JSON has no infinity; this is what OpenAI's API says instead."""


def shown_token(data: bytes) -> str:
    """The token as text; one that is no whole characters as `bytes:` and its bytes."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)


def of_text(chances: "Sequence[TokenChance]") -> dict[str, list[Any]]:
    """For completions. The first token has a log-probability too: every text is read from an end token on."""
    return {
        "tokens": [shown_token(chance.data) for chance in chances],
        "token_logprobs": [max(chance.logprob, _LEAST) for chance in chances],
        "top_logprobs": [_with_chosen(chance) for chance in chances],
        "text_offset": [chance.offset for chance in chances],
    }


def _with_chosen(chance: "TokenChance") -> dict[str, float]:
    found = {shown_token(data): max(logprob, _LEAST) for data, logprob in chance.top}
    return {**found, shown_token(chance.data): max(chance.logprob, _LEAST)}


def of_chat(chances: "Sequence[TokenChance]") -> dict[str, Any]:
    """For chat completions."""
    content = [
        {**_entry(chance.data, chance.logprob), "top_logprobs": [_entry(*top) for top in chance.top]}
        for chance in chances
    ]
    return {"content": content, "refusal": None}


def _entry(data: bytes, logprob: float) -> dict[str, Any]:
    return {"token": shown_token(data), "logprob": max(logprob, _LEAST), "bytes": list(data)}

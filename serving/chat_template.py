"""From a conversation to the text that a model continues.

A bundle may bring its own Jinja template (`chat_template.jinja`, with `messages` and `add_generation_prompt`, as in
transformers). A base model has none and gets this plain one, which a model of feeds has seen in threads:

    <system text>

    user: <text>
    assistant: <text>
    user: <text>
    assistant:

Its answer ends where the next turn would begin, i.e. before a line that starts with `user:` or `system:`.
"""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from serving.openai_shapes import Message
from serving.problems import ProblemError

TEMPLATE_FILE = "chat_template.jinja"
STOPS = ("\nuser:", "\nsystem:")


def plain(messages: Sequence[Message]) -> str:
    """The plain template. System texts come first as a paragraph of their own; the last line asks for the answer."""
    preamble = [m.text.strip() for m in messages if m.role in ("system", "developer")]
    turns = [f"{m.name or m.role}: {m.text.strip()}" for m in messages if m.role in ("user", "assistant")]
    head = "\n".join(text for text in preamble if text)
    return (head + "\n\n" if head else "") + "\n".join([*turns, "assistant:"])


def render(messages: Sequence[Message], template: str | None) -> tuple[str, tuple[str, ...]]:
    """The prompt, and the texts at which the answer ends.

    Raises ProblemError (422) when the bundle's template refuses the messages.
    """
    if template is None:
        return plain(messages), STOPS
    values = [{"role": m.role, "content": m.text, **({"name": m.name} if m.name else {})} for m in messages]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    try:
        text = environment.from_string(template).render(messages=values, add_generation_prompt=True)
    except TemplateError as error:
        entry = {"field": "messages", "pointer": "#/messages", "detail": str(error)}
        raise ProblemError(
            "invalid-field", f"messages: the model's chat template refuses them: {error}", [entry]
        ) from error
    return text, ()


def _refuse(reason: str) -> None:
    """What templates call for conversations that their model cannot answer."""
    raise TemplateError(reason)


def read_template(bundle: Path) -> str | None:
    """The template that the bundle brings, None for a base model."""
    file = bundle / TEMPLATE_FILE
    return file.read_text() if file.is_file() else None

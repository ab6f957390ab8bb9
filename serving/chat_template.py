"""From a conversation to the text that a model continues.

A bundle may bring its own Jinja template (`chat_template.jinja`, with `messages` and `add_generation_prompt`, as in
transformers). A base model has none and gets this plain one, the texts of all messages, a line each:

    <system text>
    <user text>
    <assistant text>
    <user text>

A base model of posts has learned no roles, so none are named: in a Chinese feed the English word `assistant:` alone
turns the answer into English. It goes on from the last text rather than answers it, and ends where a post would end. It
begins in the script of the last message (Han or Latin letters), which a small model cannot be trusted to choose.

A model trained here has learned conversations in sections, each begun by a mark that nobody can type (docs/tasks.md).
"""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from serving.openai_shapes import Message
from serving.problems import ProblemError
from training.generator.tasks.form import OWN, POST, WRITE, inert
from training.generator.tasks.prompt import TaskPrompt
from training.generator.tokenizer import Rendered

TEMPLATE_FILE = "chat_template.jinja"
TASKS_FILE = "tasks.json"
"""What a bundle holds that has learned the marked sections of `training.generator.tasks`."""
MARKED = (
    "{% for m in messages if m.content | inert %}"
    f"{{{{ '{OWN}' if m.role == 'assistant' else '{POST}' }}}}{{{{ m.content | inert }}}}"
    f"{{% endfor %}}{WRITE}"
)
"""The template of such a bundle."""


def plain(messages: Sequence[Message]) -> str:
    """The plain template: every text that is not blank on a line of its own, in the order of the conversation."""
    texts = (message.text.strip() for message in messages)
    return "\n".join(text for text in texts if text)


def render(messages: Sequence[Message], template: str | None) -> str:
    """The prompt.

    Raises ProblemError (422) when the bundle's template refuses the messages.
    """
    if template is None:
        return plain(messages)
    values = [{"role": m.role, "content": m.text, **({"name": m.name} if m.name else {})} for m in messages]
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _refuse
    environment.filters["inert"] = inert
    try:
        text: str = environment.from_string(template).render(messages=values, add_generation_prompt=True)
    except TemplateError as error:
        entry = {"field": "messages", "pointer": "#/messages", "detail": str(error)}
        raise ProblemError(
            "invalid-field", f"messages: the model's chat template refuses them: {error}", [entry]
        ) from error
    return Rendered(text)


def _refuse(reason: str) -> None:
    """What templates call for conversations that their model cannot answer."""
    raise TemplateError(reason)


def read_template(bundle: Path) -> str | None:
    """The template that the bundle brings, `MARKED` for one that has learned tasks here, None for a base model."""
    file = bundle / TEMPLATE_FILE
    if file.is_file():
        return file.read_text("utf-8")
    return MARKED if (bundle / TASKS_FILE).is_file() else None


def follows_instructions(template: str | None) -> bool:
    """Whether a model with this template can be told what to do."""
    return template is not None and template != MARKED


def render_task(prompt: TaskPrompt, template: str | None) -> str:
    """The text that a model with this template continues. Raises ProblemError (422) as `render`."""
    if template == MARKED:
        return prompt.plain
    if template is None:
        return prompt.lines
    return render([Message.model_validate(message) for message in prompt.messages], template)

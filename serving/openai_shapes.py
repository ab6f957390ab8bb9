"""Requests and answers in the shapes of the OpenAI API, as far as a small base model can honour them.

A parameter that would change the answer and cannot be honoured is refused by name; unknown ones are ignored, because
clients send many that do not matter here.
"""

from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from serving.models import Sampling
from serving.problems import ProblemError, invalid_field

DEFAULT_TOKENS = 128
MAX_TOKENS = 1024
"""More is cut to this; finish_reason then says `length`."""
MAX_PROMPT_CHARS = 2_000_000
MAX_PROMPTS = 16
MAX_STOPS = 4
MAX_CHOICES = 8
MAX_LOGPROBS = 20
MAX_BIASES = 1024

Text = Annotated[str, Field(max_length=MAX_PROMPT_CHARS)]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _no_tokens(value: Any) -> Any:
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, int | list) for item in items):
        raise ValueError("token ids are not supported, send text")
    return _as_list(value)


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool = False


class Common(BaseModel):
    """What completions and chat completions share."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(min_length=1, max_length=256, description="`generator`, or one of its version ids.")
    max_tokens: int | None = Field(
        None,
        ge=1,
        strict=True,
        description=f"Default {DEFAULT_TOKENS}; more than {MAX_TOKENS} is cut to that.",
    )
    temperature: float = Field(1.0, ge=0, le=2, allow_inf_nan=False, description="0 is greedy.")
    top_p: float = Field(1.0, gt=0, le=1, allow_inf_nan=False)
    min_p: float = Field(
        0.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Least probability as a share of the likeliest token's.",
    )
    repetition_penalty: float = Field(
        1.0,
        gt=0,
        le=10,
        allow_inf_nan=False,
        description="Above 1, tokens of prompt and text become less likely.",
    )
    presence_penalty: float = Field(0.0, ge=-2, le=2, allow_inf_nan=False)
    frequency_penalty: float = Field(0.0, ge=-2, le=2, allow_inf_nan=False)
    logit_bias: dict[Annotated[int, Field(ge=0)], Annotated[float, Field(ge=-100, le=100)]] = Field(
        default_factory=dict, max_length=MAX_BIASES, description="Added to the logits of token ids."
    )
    n: int = Field(1, ge=1, le=MAX_CHOICES, strict=True, description="Choices for each prompt.")
    seed: int | None = Field(
        None,
        ge=-(2**63),
        lt=2**63,
        strict=True,
        description="Same seed, same text, whoever else is being answered. Choice k is what seed + k gives.",
    )
    user: str = Field("", max_length=256, description="Whose request it is; users take turns when many wait.")
    stop: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=256)]],
        BeforeValidator(lambda v: _as_list(v) or []),
    ] = Field(
        default_factory=list, max_length=MAX_STOPS, description="A text, or up to four, at which to stop."
    )
    stream: bool = False
    stream_options: StreamOptions | None = None

    @property
    def wanted_tokens(self) -> int | None:
        """The limit that the client asked for."""
        return self.max_tokens

    @property
    def wanted_logprobs(self) -> int | None:
        """How many of the likeliest tokens to report in each place; None: no log-probabilities."""
        return None

    def sampling(self, trim_start: bool = False) -> Sampling:
        """How to generate."""
        wanted = DEFAULT_TOKENS if self.wanted_tokens is None else self.wanted_tokens
        return Sampling(
            max_tokens=min(wanted, MAX_TOKENS),
            temperature=self.temperature,
            top_p=self.top_p,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logit_bias=tuple(self.logit_bias.items()),
            logprobs=self.wanted_logprobs,
            seed=None if self.seed is None else self.seed % (1 << 31),
            stop=tuple(self.stop),
            trim_start=trim_start,
        )

    @model_validator(mode="before")
    @classmethod
    def _defaults_for_null(cls, values: Any) -> Any:
        """OpenAI clients send null for `use the default`."""
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if value is not None}


class CompletionRequest(Common):
    """POST /v1/completions."""

    prompt: Annotated[list[Text], BeforeValidator(_no_tokens)] = Field(
        default_factory=lambda: [""],
        min_length=1,
        max_length=MAX_PROMPTS,
        description=f"A text, or up to {MAX_PROMPTS}. A long one is cut on the left to the model's context.",
    )

    max_tokens: int | None = Field(
        None,
        ge=0,
        strict=True,
        description=f"Default {DEFAULT_TOKENS}; more than {MAX_TOKENS} is cut to that; 0 only with `echo`.",
    )
    echo: bool = Field(False, description="Begin each text with its prompt.")
    logprobs: Annotated[int, Field(ge=0, le=MAX_LOGPROBS)] | None = Field(
        None,
        description="Log-probabilities of the tokens and of so many of the likeliest in each place; with `echo` of the "
        "prompt's tokens too (those that the model read).",
    )

    @property
    def wanted_logprobs(self) -> int | None:
        """See `Common`."""
        return self.logprobs

    def sampling(self, trim_start: bool = False) -> Sampling:
        """How to generate. Raises ProblemError (422) where there is nothing to make."""
        if self.max_tokens == 0 and not self.echo:
            raise invalid_field("max_tokens", "0 tokens can be asked for only with echo")
        scored = self.logprobs if self.echo else None
        return replace(super().sampling(trim_start), echo=self.echo, prompt_logprobs=scored)


class TextPart(BaseModel):
    """A part of a message; text is all a feed's model reads."""

    type: Literal["text"]
    text: Text


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | list[TextPart] = ""
    name: str | None = Field(None, max_length=256)

    @property
    def text(self) -> str:
        """The content as one text."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatRequest(Common):
    """POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1, max_length=1000)
    max_completion_tokens: int | None = Field(
        None, ge=1, strict=True, description="Newer name of `max_tokens`."
    )

    logprobs: bool = Field(False, description="Report log-probabilities of the tokens.")
    top_logprobs: int = Field(
        0,
        ge=0,
        le=MAX_LOGPROBS,
        strict=True,
        description="And of so many of the likeliest; needs `logprobs`.",
    )

    @property
    def instructions(self) -> str:
        """What system and developer messages say."""
        return "\n".join(m.text for m in self.messages if m.role in ("system", "developer"))

    @property
    def wanted_tokens(self) -> int | None:
        """The newer name wins."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def wanted_logprobs(self) -> int | None:
        """See `Common`."""
        return self.top_logprobs if self.logprobs else None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if sum(len(message.text) for message in self.messages) > MAX_PROMPT_CHARS:
            raise ValueError(f"messages hold more than {MAX_PROMPT_CHARS} characters")
        return self

    @model_validator(mode="after")
    def _logprobs_first(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self


_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "audio": ({},),
    "best_of": (1,),
    "echo": (False,),
    "functions": ([],),
    "ignore_eos": (False,),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
    "suffix": ("",),
    "tools": ([],),
    "top_k": (0, -1),
    "top_logprobs": (0,),
}
"""Parameters that are not supported, with the values that ask for nothing."""


def refuse_unsupported(request: Common) -> None:
    """Raise ProblemError (422) for a parameter that would change the answer and cannot be honoured."""
    for name, value in (request.model_extra or {}).items():
        if name in _NEUTRAL and value is not None and value not in _NEUTRAL[name]:
            raise invalid_field(name, "is not supported by this server")


def refuse_unknown_tokens(request: Common, vocabulary: int) -> None:
    """Raise ProblemError (422) for a bias on a token that the model does not have."""
    if any(token >= vocabulary for token in request.logit_bias):
        raise invalid_field("logit_bias", f"the model's tokens are 0 to {vocabulary - 1}")


def unknown_model(name: str) -> ProblemError:
    """The 404 of a model that does not answer here."""
    return ProblemError("unknown-model", f"the model {name!r} does not exist or does not generate text")


class Usage(BaseModel):
    """Token counts; a prompt counts as much as the model read of it."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class _Reply(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: str
    created: int
    model: str = Field(description="`generator:<version>`.")
    model_version: str
    request_id: str = Field(description="Send it back in feedback.")
    usage: Usage


class TextLogprobs(BaseModel):
    """Log-probabilities of a text's tokens, by the model alone: before temperature, penalties and biases."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(BaseModel):
    """One continuation."""

    index: int
    text: str
    finish_reason: Literal["stop", "length", "content_filter"]
    logprobs: TextLogprobs | None
    refusal: str | None = Field(None, description="Why, where the content filter ended it.")


class CompletionReply(_Reply):
    """The answer of POST /v1/completions."""

    choices: list[TextChoice]


class AssistantMessage(BaseModel):
    """What the model says."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None = Field(
        None, description="Why there is no content, where the content filter ended it."
    )


class TokenLogprob(BaseModel):
    """Log-probability of a token; `bytes` tells apart what is no whole character."""

    token: str
    logprob: float
    bytes: list[int]


class ChosenLogprob(TokenLogprob):
    """The token that was chosen, and the likeliest in its place."""

    top_logprobs: list[TokenLogprob]


class ChatLogprobs(BaseModel):
    """Log-probabilities of an answer's tokens, by the model alone: before temperature, penalties and biases."""

    content: list[ChosenLogprob]


class ChatChoice(BaseModel):
    """One answer."""

    index: int
    message: AssistantMessage
    finish_reason: Literal["stop", "length", "content_filter"]
    logprobs: ChatLogprobs | None


class ChatReply(_Reply):
    """The answer of POST /v1/chat/completions."""

    choices: list[ChatChoice]

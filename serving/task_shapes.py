"""Requests and answers of the tasks of a social platform: one envelope, that of a completion."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from serving.canonical import Identifier
from serving.openai_shapes import Common, Usage

MOST_TEXTS = 200
MOST_CHARS = 20_000
MOST_FOUND = 20

Said = Annotated[str, Field(min_length=1, max_length=MOST_CHARS)]
Asked = Literal["auto", "extractive", "abstractive"]
Method = Literal["generated", "extractive", "abstractive", "none"]
_METHOD_HELP = (
    "`extractive` shows sentences of the posts, `abstractive` lets the model write, `auto` the latter where the model "
    "follows instructions."
)


class TaskRequest(Common):
    """What all tasks share: the sampling of a completion."""

    model: str = Field(
        "generator", min_length=1, max_length=256, description="`generator`, or one of its version ids."
    )


class DraftRequest(TaskRequest):
    """POST /v1/tasks/draft."""

    user_id: Identifier = Field(description="Whose post. An unknown user gets a draft and a named fallback.")
    about: str = Field("", max_length=500, description="What it should be about.")
    start: str = Field("", max_length=2000, description="How the post begins; the draft goes on from there.")


class ReplyRequest(TaskRequest):
    """POST /v1/tasks/reply."""

    post_id: Identifier | None = Field(None, description="A published post; its conversation is read along.")
    text: Said | None = Field(None, description="A post that is not published.")
    user_id: Identifier | None = Field(
        None, description="Who replies: own posts in the conversation count as such."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.post_id is None) == (self.text is None):
            raise ValueError("give either post_id or text")
        return self


class SummaryRequest(TaskRequest):
    """POST /v1/tasks/summarize."""

    post_id: Identifier | None = Field(None, description="Any published post of the thread.")
    texts: list[Said] = Field(
        default_factory=list, max_length=MOST_TEXTS, description="Posts that are not published, oldest first."
    )
    sentences: int = Field(
        3, ge=1, le=20, strict=True, description="Most sentences of an extractive summary."
    )
    method: Asked = Field("auto", description=_METHOD_HELP)

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.post_id is None) == (not self.texts):
            raise ValueError("give either post_id or texts")
        return self


class AnswerRequest(TaskRequest):
    """POST /v1/tasks/answer."""

    question: Said
    k: int = Field(4, ge=1, le=MOST_FOUND, strict=True, description="Most posts to answer from.")
    method: Asked = Field("auto", description=_METHOD_HELP)


class Citation(BaseModel):
    """A post that a text rests on."""

    post_id: str | None = Field(description="Null for a text that came with the request.")
    number: int = Field(description="As `[1]` in the text.")
    quote: str = Field(description="The sentence of the post that is meant.")


class ProfileShown(BaseModel):
    """What a draft was written from."""

    known_by: Literal["posts", "activity", "languages", "nothing"]
    languages: list[str]
    topics: list[str]
    posts: int = Field(description="Own posts in the prompt.")


class TaskChoice(BaseModel):
    """One text."""

    index: int
    text: str
    finish_reason: Literal["stop", "length", "content_filter"]
    refusal: str | None = Field(description="Why, where the content filter ended it.")
    method: Method = Field(
        description="`generated`; for summaries and answers `extractive` or `abstractive`; `none`: nothing to go by."
    )
    fallback: str | None = Field(
        description="`unknown-user`: nothing is known of the user; `no-own-posts`: no text of the user is; "
        "`nothing-relevant`: no post holds enough of the question. Null where none was needed."
    )
    citations: list[Citation] = Field(
        description="Posts that the text is made of or refers to. An abstractive text without any names no source."
    )
    profile: ProfileShown | None = Field(description="Of drafts.")


class TaskReply(BaseModel):
    """The answer of a task; streamed, chunks hold `text` piece by piece, and the rest with the last."""

    id: str
    object: str = Field(description="`task.draft`, `task.reply`, `task.summarize` or `task.answer`.")
    created: int
    model: str | None = Field(description="`generator:<version>`; null where no model had a part.")
    model_version: str | None
    request_id: str = Field(description="Send it back in feedback.")
    choices: list[TaskChoice]
    usage: Usage

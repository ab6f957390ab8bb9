"""POST /v1/tasks/...: draft a post for a user, reply to a post, summarise a thread, answer a question from posts.

Every text says how it was made: written by the model, or put together from sentences of posts. Small models from here
can neither summarise nor answer: these are extractive unless the model follows instructions or the request insists.
"""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from serving.chat_template import follows_instructions, render_task
from serving.generation import Piece
from serving.library import Library, Writer
from serving.problems import ProblemError, documented
from serving.replies import JsonReply, encode
from serving.routes.generating import Shape, answer, need_generator
from serving.services import Services, services
from serving.task_answers import Told, extracted_answer, extracted_summary, language_of, nothing_relevant
from serving.task_shapes import (
    AnswerRequest,
    Asked,
    DraftRequest,
    ReplyRequest,
    SummaryRequest,
    TaskReply,
    TaskRequest,
)
from training.generator.tasks.prompt import (
    TaskPrompt,
    Turn,
    answer_prompt,
    draft_prompt,
    reply_prompt,
    summary_prompt,
)
from training.generator.tasks.quote import Post

OWN_POSTS = 8
ANCESTORS = 3

router = APIRouter(tags=["tasks"])
_PARTS = Annotated[Services, Depends(services)]
_PROBLEMS = documented(
    "bad-json",
    "body-too-large",
    "unsupported-media-type",
    "invalid-field",
    "unknown-model",
    "unknown-post",
    "too-many-generations",
    "no-champion",
    "no-texts",
    "internal",
)


@router.post(
    "/v1/tasks/draft", response_model=TaskReply, responses=_PROBLEMS, summary="Draft a post for a user"
)
async def draft(body: DraftRequest, request: Request, parts: _PARTS) -> Response:
    """A post in the voice of the user, from own posts, languages and topics as the published state knows them."""
    library = parts.shelf.library
    writer = await run_in_threadpool(library.writer, body.user_id, OWN_POSTS) if library else Writer.unknown()
    profile = writer.profile
    fallback = {"posts": None, "nothing": "unknown-user"}.get(writer.known_by, "no-own-posts")
    shown = {
        "known_by": writer.known_by,
        "languages": list(profile.languages),
        "topics": list(profile.topics),
        "posts": len(profile.posts),
    }
    prompt = draft_prompt(profile, body.about, body.start)
    told = Told("generated", fallback, profile=shown)
    return await _written(body, request, parts, prompt, told, f"{body.about} {body.start}".strip())


@router.post("/v1/tasks/reply", response_model=TaskReply, responses=_PROBLEMS, summary="Reply to a post")
async def reply(body: ReplyRequest, request: Request, parts: _PARTS) -> Response:
    """A reply to a published post, with the conversation before it, or to a text."""
    turns = [Turn(body.text or "")]
    if body.post_id is not None:
        library = _library(parts)
        turns = library.conversation(body.post_id, ANCESTORS, body.user_id)
        if not turns:
            raise _unknown(body.post_id)
    prompt = reply_prompt(turns, language_of(turns[-1].text))
    return await _written(body, request, parts, prompt, Told("generated"))


@router.post(
    "/v1/tasks/summarize", response_model=TaskReply, responses=_PROBLEMS, summary="Summarise a thread"
)
async def summarize(body: SummaryRequest, request: Request, parts: _PARTS) -> Response:
    """A summary of the thread of a published post, or of texts. Citations say which posts it is made of."""
    posts = [Post("", text) for text in body.texts]
    if body.post_id is not None:
        posts = _library(parts).thread(body.post_id)
        if not posts:
            raise _unknown(body.post_id)
    if _writes(body.method, parts):
        texts = [post.text for post in posts]
        prompt = summary_prompt(texts, language_of(" ".join(texts)))
        return await _written(body, request, parts, prompt, Told("abstractive", sources=posts))
    text = await run_in_threadpool(extracted_summary, posts, body.sentences)
    return _ready(body, request, "summarize", text, Told("extractive" if text else "none", sources=posts))


@router.post(
    "/v1/tasks/answer", response_model=TaskReply, responses=_PROBLEMS, summary="Answer a question from posts"
)
async def answer_question(body: AnswerRequest, request: Request, parts: _PARTS) -> Response:
    """An answer from the published posts that hold most of the question, with these as `citations`. Where no post
    holds enough of it the answer says so, with the fallback `nothing-relevant`, and no model is asked."""
    found = await run_in_threadpool(_library(parts).search, body.question, body.k)
    posts = [entry.post for entry in found]
    if not posts:
        told = Told("none", "nothing-relevant")
        return _ready(body, request, "answer", nothing_relevant(body.question), told)
    if _writes(body.method, parts):
        prompt = answer_prompt(body.question, posts, language_of(body.question))
        told = Told("abstractive", sources=posts)
        return await _written(body, request, parts, prompt, told, body.question)
    text = extracted_answer(body.question, posts)
    return _ready(body, request, "answer", text, Told("extractive", sources=posts))


def _library(parts: Services) -> Library:
    if parts.shelf.library is None:
        raise ProblemError("no-texts", "the published state holds no texts of posts")
    return parts.shelf.library


def _unknown(post_id: str) -> ProblemError:
    return ProblemError("unknown-post", f"no text of the post {post_id!r} is published")


def _writes(asked: Asked, parts: Services) -> bool:
    """Whether the model is to write. Insisting needs a model; `auto` one that follows instructions."""
    if asked != "auto":
        return asked == "abstractive"
    champion = parts.holder.champion("generator")
    return champion is not None and follows_instructions(champion.chat_template)


async def _written(
    body: TaskRequest, request: Request, parts: Services, prompt: TaskPrompt, told: Told, said: str = ""
) -> Response:
    """What the model writes for `prompt`, as a document or a stream; `said` is what the client asks for, which the
    content filter judges: posts are not what anybody asks for."""
    champion = need_generator(body, parts)
    text = render_task(prompt, champion.chat_template)
    kind = "reply" if prompt.task == "chat" else prompt.task
    shape = _shape(kind, told)
    sampling = body.sampling(trim_start=True)
    if not follows_instructions(champion.chat_template):
        sampling = replace(sampling, script=prompt.script)
    return await answer(body, request, parts, champion, shape, [text], sampling, [said])


def _shape(task: str, told: Told) -> Shape:
    texts: dict[int, list[str]] = {}

    def choice(index: int, text: str, finish: str | None) -> dict[str, Any]:
        return {"index": index, "text": text, "finish_reason": finish, "refusal": None, **told.members(text)}

    def chunk(piece: Piece) -> list[dict[str, Any]]:
        said = texts.setdefault(piece.index, [])
        said.append(piece.text)
        if piece.finish is None:
            return [{"index": piece.index, "text": piece.text, "finish_reason": None}]
        return [choice(piece.index, "".join(said), piece.finish) | {"text": piece.text}]

    return Shape("task", f"task.{task}", f"task.{task}.chunk", chunk, choice, _refuse)


def _refuse(choice: dict[str, Any], reason: str) -> None:
    choice["refusal"] = reason


def _ready(body: TaskRequest, request: Request, task: str, text: str, told: Told) -> Response:
    """An answer that no model had a part in, in the same forms."""
    request.scope["log"] = {
        "model_version": None,
        "stream": body.stream,
        "task": task,
        "made_by": told.method,
    }
    shape = _shape(task, told)
    envelope = {
        "id": f"task-{request.scope['request_id']}",
        "object": shape.object,
        "created": int(time.time()),
        "model": None,
        "model_version": None,
        "request_id": request.scope["request_id"],
    }
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    if not body.stream:
        return JsonReply({**envelope, "choices": [shape.choice(0, text, "stop")], "usage": usage})
    chunks = [shape.chunk(Piece(0, text)), shape.chunk(Piece(0, "", "stop"))]
    envelope["object"] = shape.chunk_object
    return StreamingResponse(_events(envelope, chunks), media_type="text/event-stream")


async def _events(envelope: dict[str, Any], chunks: Sequence[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    for choices in chunks:
        yield b"data: " + encode({**envelope, "choices": choices}) + b"\n\n"
    yield b"data: [DONE]\n\n"

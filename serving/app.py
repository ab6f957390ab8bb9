"""The HTTP API: `create_app(settings)` puts the parts together; nothing happens until the server starts it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from serving import problems
from serving.middleware import RequestMiddleware
from serving.models import Loaders, trained
from serving.routes import chat, completions, docs, health, home, journals, models, recommendations, tasks
from serving.services import Services
from serving.settings import Settings
from training.recommender.value.weights import WatchedWeights

DESCRIPTION = """\
Recommendations and texts from the models that passed the gate, and the journal that what users do flows back through.

Every error is a problem document (RFC 9457, `application/problem+json`) with `type`, `title`, `status`, `detail`,
`request_id`, `errors` (one entry a bad field) and `error` (the same for OpenAI clients). Every answer carries
`X-Request-ID`; a sane one in the request is kept.
"""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: Services = app.state.services
    await run_in_threadpool(parts.start)
    try:
        yield
    finally:
        await run_in_threadpool(parts.stop)
        if parts.upstream is not None:
            await parts.upstream.close()


def create_app(settings: Settings, loaders: Loaders | None = None) -> FastAPI:
    """The application over `settings.home`. `loaders` turn bundles into models: the trained ones, unless given.

    Raises UserError for a file of action weights that is not right.
    """
    app = FastAPI(
        title="tidegate",
        version=version("tidegate"),
        description=DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_tags=[
            {"name": "recommendations", "description": "Posts for a user, with reasons."},
            {"name": "generation", "description": "Texts, in the shapes of the OpenAI API."},
            {"name": "tasks", "description": "Drafts, replies, summaries and answers, with their sources."},
            {
                "name": "journal",
                "description": "What users did and thought; durable before it is acknowledged.",
            },
            {"name": "operations", "description": "Whether it works, what is loaded, how fast it is."},
        ],
    )
    weights = WatchedWeights(settings.action_weights, structlog.get_logger().error)
    parts = Services.build(settings, loaders or trained(settings.feed, weights.current))
    app.state.services = parts
    app.add_middleware(RequestMiddleware, metrics=parts.metrics, max_body_bytes=settings.max_body_bytes)
    problems.install(app)
    for module in (recommendations, completions, chat, tasks, journals, models, health, home, docs):
        app.include_router(module.router)
    # Built now, so that the first reader does not wait for it; FastAPI does not collect what `responses` refer to.
    app.openapi()["components"]["schemas"]["ProblemDocument"] = problems.ProblemDocument.model_json_schema()
    return app

"""GET /healthz, /readyz, /metrics: for load balancers, people and Prometheus."""

from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from serving import problems
from serving.holder import Champion
from serving.metrics import CONTENT_TYPE
from serving.pointers import KINDS
from serving.problems import ProblemError, documented
from serving.replies import JsonReply
from serving.services import Services, services

router = APIRouter(tags=["operations"])
_PARTS = Annotated[Services, Depends(services)]
_VERSION = version("tidegate")


@router.get("/healthz", summary="Is the process alive?")
async def healthz(parts: _PARTS) -> Response:
    """200 while the server runs, whatever is loaded. `home` tells servers of different homes apart."""
    return JsonReply({"status": "alive", "version": _VERSION, "home": parts.settings.home_id})


@router.get("/readyz", summary="Are the champions loaded?", responses=documented("not-ready"))
async def readyz(request: Request, parts: _PARTS) -> Response:
    """200 when every promoted model answers (`degraded`: an older one does, or the disk refuses), 503 when nothing is
    promoted, a promoted model has no good version or a generator elsewhere does not answer. Says what is loaded, what
    was refused, and why."""
    missing, document = readiness(parts)
    if not missing:
        return JsonReply(document)
    problem = problems.document(
        ProblemError("not-ready", "; ".join(missing)), request.scope["request_id"], "/readyz"
    )
    return JsonReply(document | problem, 503, media_type=problems.MEDIA_TYPE)


@router.get("/metrics", summary="Prometheus metrics", response_class=Response)
async def metrics(parts: _PARTS) -> Response:
    """Latency by route, fallbacks, swaps, the journal, generations."""
    return Response(parts.metrics.expose(), media_type=CONTENT_TYPE)


def readiness(parts: Services) -> tuple[list[str], dict[str, Any]]:
    """What is missing for being ready (empty: ready), and what is loaded and what is wrong as a document."""
    holder, feed = parts.holder, parts.feed
    champions = {kind: parts.champion(kind) for kind in KINDS}
    journals = {journal.stream: journal.last_error for journal in (parts.events, parts.feedback)}
    serving = [kind for kind in KINDS if champions[kind] is not None]
    missing = [
        f"{kind} {holder.promoted[kind].version} is not loaded"
        for kind in holder.promoted
        if kind not in serving
    ]
    upstream = parts.upstream
    if upstream is not None and upstream.problem is not None:
        missing.append(upstream.problem)
    if not serving and not missing:
        missing.append("no model has been promoted yet")
    if "recommender" in serving and feed.desk is None:
        missing.append("no state of the feed is loaded")
    degraded = bool(holder.problems) or any(journals.values())
    return missing, {
        "status": "degraded" if degraded else "ready",
        "models": {kind: _loaded(champion) for kind, champion in champions.items()},
        "promoted": {kind: pointer.version for kind, pointer in holder.promoted.items()},
        "refused": {subject: refusal.shown() for subject, refusal in holder.problems.items()},
        "state": feed.info.shown() if feed.info else None,
        "upstream": {"url": upstream.url, "model": upstream.name, "problem": upstream.problem}
        if upstream
        else None,
        "journals": {stream: {"error": error} for stream, error in journals.items()},
    }


def _loaded(champion: Champion | None) -> dict[str, Any] | None:
    if champion is None:
        return None
    return {
        "version": champion.version,
        "bundle_digest": champion.pointer.digest,
        "loaded_at": champion.loaded_at,
        "lake_snapshot": champion.pointer.lake_snapshot,
    }

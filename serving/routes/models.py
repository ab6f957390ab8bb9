"""GET /v1/models: the OpenAI listing of what answers, with where each model comes from."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict

from serving.holder import Champion
from serving.openai_shapes import unknown_model
from serving.pointers import KINDS
from serving.problems import documented
from serving.replies import JsonReply
from serving.services import Services, services
from training.bundle import Kind

router = APIRouter(tags=["operations"])
_PARTS = Annotated[Services, Depends(services)]


class ModelEntry(BaseModel):
    """An OpenAI model object and what tidegate adds."""

    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: str
    created: int
    owned_by: str
    version: str
    alias: str
    bundle_digest: str
    loaded_at: datetime
    lake_snapshot: int | str | None
    architecture: str
    run_id: str
    promoted_at: str
    trained_until: datetime | None
    refused: dict[str, Any] | None


class ModelList(BaseModel):
    """An OpenAI list."""

    object: str
    data: list[ModelEntry]


def _entry(kind: Kind, champion: Champion, parts: Services) -> dict[str, Any]:
    pointer = champion.pointer
    refusal = parts.holder.problems.get(kind)
    return {
        "id": kind,
        "object": "model",
        "created": int(champion.loaded_at.timestamp()),
        "owned_by": "tidegate",
        "version": pointer.version,
        "alias": pointer.alias,
        "bundle_digest": pointer.digest,
        "loaded_at": champion.loaded_at,
        "lake_snapshot": pointer.lake_snapshot,
        "architecture": champion.architecture,
        "run_id": pointer.run_id,
        "promoted_at": pointer.promoted_at,
        "trained_until": champion.trained_until,
        "refused": refusal.shown() if refusal else None,
    }


@router.get("/v1/models", response_model=ModelList, summary="List the models that answer")
async def list_models(parts: _PARTS) -> Response:
    """One entry a champion in service. `refused` says which newer one could not be loaded, and why."""
    champions = [(kind, champion) for kind in KINDS if (champion := parts.champion(kind)) is not None]
    return JsonReply(
        {"object": "list", "data": [_entry(kind, champion, parts) for kind, champion in champions]}
    )


@router.get(
    "/v1/models/{model}",
    response_model=ModelEntry,
    responses=documented("unknown-model", "invalid-field"),
    summary="One model",
)
async def get_model(model: str, parts: _PARTS) -> Response:
    """The entry of one model, by its name."""
    for kind in KINDS:
        champion = parts.champion(kind)
        if champion is not None and names(kind, champion, model):
            return JsonReply(_entry(kind, champion, parts))
    raise unknown_model(model)


def names(kind: Kind, champion: Champion, model: str) -> bool:
    """Whether a client's `model` means this champion: `generator`, `generator:3`, or the bare version `3`."""
    return model in (kind, f"{kind}:{champion.version}", champion.version)

"""Routes: cases in the making, kept until they are thrown away, so that nothing typed is ever lost."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from hub.api.answers import DraftAnswer
from hub.api.caller import Submitter
from hub.api.refusals import refusal
from hub.store import Changed

router = APIRouter()

DraftId = Annotated[str, Path(max_length=100)]


class DraftRequest(BaseModel):
    """document : as the pages keep it; version : of the draft it was made from"""

    model_config = ConfigDict(extra="forbid")

    document: dict[str, Any]
    version: Annotated[int, Field(ge=1)] | None = None


@router.post("/drafts", status_code=201)
def new_draft(body: DraftRequest, tenant: Submitter) -> DraftAnswer:
    """Begin a draft."""
    return DraftAnswer.of(tenant.new_draft(body.document))


@router.get("/drafts")
def drafts(tenant: Submitter) -> list[DraftAnswer]:
    """Drafts of the organisation, the one changed last first."""
    return [DraftAnswer.of(draft) for draft in tenant.drafts()]


@router.get("/drafts/{draft_id}")
def draft(draft_id: DraftId, tenant: Submitter) -> DraftAnswer:
    """A draft as it was kept last."""
    return DraftAnswer.of(tenant.draft(draft_id))


@router.put("/drafts/{draft_id}")
def keep_draft(draft_id: DraftId, body: DraftRequest, tenant: Submitter) -> DraftAnswer:
    """Keep a draft. Whoever has an older version than the one that is kept is told, and nothing is overwritten;
    without a version the document replaces whatever is there."""
    try:
        return DraftAnswer.of(tenant.keep_draft(draft_id, body.document, body.version))
    except Changed as changed:
        raise refusal(
            409,
            "version",
            f"version {body.version}, while {changed.by} has kept version {changed.version} since",
            "the version that is kept",
            "Take the kept draft and change it again, or keep yours in its place.",
            "changed-meanwhile",
        ) from None


@router.delete("/drafts/{draft_id}", status_code=204)
def throw_away(draft_id: DraftId, tenant: Submitter) -> None:
    """Throw a draft away."""
    tenant.drop_draft(draft_id)

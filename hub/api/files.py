"""Routes: uploads and the verdicts on them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from hub.api.answers import UploadedFile
from hub.api.bodies import keep, upload_described
from hub.api.caller import Hub, Opener, Submitter
from hub.api.downloads import CONTENT, send
from hub.api.refusals import Refusal, not_found, refusal
from hub.api.service import Geometry, Service
from hub.case import FileName, LengthUnit, Selections
from hub.problem import from_validation
from hub.selection import Match, match

router = APIRouter()

FileId = Annotated[str, Path(max_length=100, description="sha256:...")]
AsUnit = Annotated[LengthUnit | None, Query(description="read the file in this unit instead of its own")]

_name = TypeAdapter(FileName)
_selections: TypeAdapter[Selections] = TypeAdapter(Selections)


@router.post("/files", status_code=201, openapi_extra=upload_described())
async def upload(
    request: Request, tenant: Submitter, hub: Hub, name: Annotated[str, Query(description="what the file is called")]
) -> UploadedFile:
    """Upload a CAD file or a mesh as the raw body. Its content decides what it is; its name is only shown."""
    try:
        _name.validate_python(name)
    except ValidationError as error:
        raise Refusal(422, from_validation(error, ["name"])) from None
    sha256, size = await keep(request, hub.settings.files)

    def note() -> UploadedFile:
        file = tenant.add_file(sha256, name, size)
        return _answer(hub, Geometry(sha256, file.name, hub.settings.files / sha256), None, 0.0)

    return await to_thread.run_sync(note)


@router.get("/files/{file_id}")
def file(
    file_id: FileId,
    tenant: Opener,
    hub: Hub,
    wait: Annotated[float, Query(ge=0, le=30, description="wait so long for the verdict [s]")] = 0,
    unit: AsUnit = None,
) -> UploadedFile:
    """A file and the verdict on it."""
    return _answer(hub, _uploaded(hub, tenant, file_id), unit, wait, idle=not wait)


@router.get("/files/{file_id}/faces.png", response_class=StreamingResponse, responses=CONTENT)
def faces(file_id: FileId, tenant: Opener, hub: Hub, unit: AsUnit = None) -> StreamingResponse:
    """The part with its faces numbered and coloured, as PNG."""
    return _made(hub, _uploaded(hub, tenant, file_id), unit, "faces.png")


@router.get("/files/{file_id}/surface", response_class=StreamingResponse, responses=CONTENT)
def surface(file_id: FileId, tenant: Opener, hub: Hub, unit: AsUnit = None) -> StreamingResponse:
    """Display triangles and the face each belongs to, as surface.npz."""
    return _made(hub, _uploaded(hub, tenant, file_id), unit, "surface.npz")


class MatchRequest(BaseModel):
    """selections : as a case has them, by name"""

    model_config = ConfigDict(extra="forbid")

    selections: dict[str, Any]


@router.post("/files/{file_id}/match")
def match_faces(
    file_id: FileId, body: MatchRequest, tenant: Opener, hub: Hub, unit: AsUnit = None
) -> dict[str, list[Match]]:
    """What the faces that were picked on another version of a part are in this file; the file must be checked."""
    geometry = _uploaded(hub, tenant, file_id)
    verdict = hub.verdicts.peek(geometry.sha256, geometry.file, unit, 30.0)
    if verdict is None:
        raise _not_yet("match")
    try:
        wanted = _selections.validate_python(body.selections)
    except ValidationError as error:
        raise Refusal(422, from_validation(error, ["selections"])) from None
    names = [b.name for b in verdict.bodies]
    return {name: match(selection, verdict.faces, names) for name, selection in wanted.items()}


def _not_yet(where: str) -> Refusal:
    return refusal(
        409, where, "a file that is still being checked", "a checked file", "Ask again in a moment.", "not-yet"
    )


def _uploaded(hub: Service, tenant: Opener, file_id: str) -> Geometry:
    if not file_id.startswith("sha256:"):
        raise not_found()
    return hub.geometry(tenant, file_id)


def _answer(hub: Service, geometry: Geometry, unit: str | None, wait: float, *, idle: bool = False) -> UploadedFile:
    verdict = hub.verdicts.peek(geometry.sha256, geometry.file, unit, wait, idle=idle)
    state: Literal["checking", "checked"] = "checking" if verdict is None else "checked"
    return UploadedFile(
        id=geometry.id,
        name=geometry.name,
        bytes=geometry.file.stat().st_size,
        state=state,
        verdict=verdict,
        overall=verdict and verdict.overall,
        sentence=verdict and verdict.sentence(),
    )


def _made(hub: Service, geometry: Geometry, unit: str | None, name: str) -> StreamingResponse:
    if hub.verdicts.peek(geometry.sha256, geometry.file, unit, 30.0) is None:
        raise _not_yet(name)
    if name == "faces.png":
        hub.verdicts.picture(geometry.sha256, unit)
    try:
        return send(hub.verdicts.folder(geometry.sha256, unit), name)
    except FileNotFoundError:
        raise refusal(
            404, name, "nothing to draw", "a part with faces", "The verdict on the file says why.", "no-picture"
        ) from None

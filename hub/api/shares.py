"""Routes: links to the result of one run, for readers without an account.

A link is the share's id and a signature of it with a key of this hub; whether it still holds, the store says. It shows
the verdict, quantities, checks and pictures; fields, 3D and report only where the sharer allowed files. Never a case,
a part or a log.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from typing import Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from hub.access import Right
from hub.api.answers import _Answer
from hub.api.caller import Hub, Opener, require
from hub.api.downloads import CONTENT, names, send
from hub.api.refusals import not_found, refusal
from hub.api.runs import RunId, read_result
from hub.runfolder import write_whole
from hub.settings import Settings
from hub.store import NotFound, Run, Share

router = APIRouter()

ShareId = Annotated[str, Path(max_length=100)]
Key = Annotated[str, Path(max_length=200)]
#: What is shown of a result, and files that need the sharer's leave.
SHOWN = {"title", "state", "solver", "verdict", "quantities", "checks", "notes"}
FILES = frozenset({"report.pdf", "fields.vtu", "moving.vtkhdf", "view3d.bin"})


class ShareAnswer(_Answer):
    """key : what the link carries; files : fields, 3D and report may be taken. Times: seconds since 1970 UTC."""

    id: str
    key: str
    files: bool
    created: float
    expires: float


class ShareRequest(BaseModel):
    """days : until it is void; files : allow fields, 3D and report as well"""

    model_config = ConfigDict(extra="forbid")

    days: Annotated[float, Field(gt=0, le=366)] = 14.0
    files: bool = False


class Shared(_Answer):
    """What a link shows. pictures, files : names for ``/shared/{key}/files/{name}``"""

    result: dict[str, Any]
    pictures: list[str]
    files: list[str]
    ended: float | None
    expires: float


def _key(settings: Settings) -> bytes:
    """The key that signs links; made at the first one, for the hub's own eyes."""
    file = settings.secrets / "shares"
    try:
        return bytes.fromhex(file.read_text().strip())
    except FileNotFoundError:
        made = secrets.token_bytes(32)
        mask = os.umask(0o077)
        try:
            write_whole(file, made.hex() + "\n")
        finally:
            os.umask(mask)
        return made


def signed(settings: Settings, share: str) -> str:
    """``ID.SIGNATURE``"""
    return f"{share}.{hmac.new(_key(settings), share.encode(), hashlib.sha256).hexdigest()[:40]}"


def _opened(hub: Hub, key: str) -> tuple[Share, Run]:
    """Raises NotFound for anything but a link that holds."""
    share, _dot, _signature = key.partition(".")
    if not hmac.compare_digest(signed(hub.settings, share).encode(), key.encode()):
        raise NotFound
    found, run = hub.store.open_shares.shared(share)
    if run.state != "done":
        raise NotFound
    return found, run


@router.post("/runs/{run_id}/shares", status_code=201)
def share(run_id: RunId, tenant: Opener, hub: Hub, body: ShareRequest | None = None) -> ShareAnswer:
    """A link to the result of a run."""
    require(tenant.caller, Right.SUBMIT)
    run, wanted = tenant.run(run_id), body or ShareRequest()
    if run.state != "done" or run.until == "mesh":
        raise refusal(409, "the run", f"a run that is {run.state}", "one that has an answer", "Wait for it.", "not-yet")
    made = hub.store.shares(tenant.caller).share(run_id, lasts=wanted.days * 86400, files=wanted.files)
    return _answer(hub, made)


@router.get("/runs/{run_id}/shares")
def shares(run_id: RunId, tenant: Opener, hub: Hub) -> list[ShareAnswer]:
    """The links to a run that still hold."""
    tenant.run(run_id)
    return [_answer(hub, each) for each in hub.store.shares(tenant.caller).of_run(run_id)]


@router.delete("/runs/{run_id}/shares/{share_id}", status_code=204)
def revoke(run_id: RunId, share_id: ShareId, tenant: Opener, hub: Hub) -> None:
    """Make a link void."""
    require(tenant.caller, Right.SUBMIT)
    tenant.run(run_id)
    hub.store.shares(tenant.caller).revoke(run_id, share_id)


def _answer(hub: Hub, found: Share) -> ShareAnswer:
    given = found.model_dump(include={"id", "files", "created", "expires"})
    return ShareAnswer(key=signed(hub.settings, found.id), **given)


@router.get("/shared/{key}")
def shared(key: Key, hub: Hub) -> Shared:
    """What a link shows; open to whoever has it."""
    found, run = _opened(hub, key)
    folder = hub.settings.home / run.folder
    whole = read_result(hub.settings, run).model_dump(mode="json", include=SHOWN)
    whole["solver"] = {"name": run.solver}
    all_names = names(folder)
    return Shared(
        result=whole,
        pictures=[n for n in all_names if n.startswith("pictures/")],
        files=[n for n in all_names if n in FILES] if found.files else [],
        ended=run.ended,
        expires=found.expires,
    )


@router.get("/shared/{key}/files/{name:path}", response_class=StreamingResponse, responses=CONTENT)
def shared_file(key: Key, name: Annotated[str, Path(max_length=300)], hub: Hub) -> StreamingResponse:
    """A picture of a shared result, or one of its files where the link allows them."""
    found, run = _opened(hub, key)
    folder = hub.settings.home / run.folder
    may_have = name.startswith("pictures/") or (found.files and name in FILES)
    if not may_have or name not in names(folder):
        raise not_found("the file")
    try:
        return send(folder, name)
    except OSError:
        raise not_found("the file") from None

"""Routes: cases, runs and their results."""

from __future__ import annotations

import os
import shutil
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import ValidationError

from hub import catalogue, retention
from hub.access import Right, may
from hub.api.answers import CheckRequest, RunAnswer, RunRequest
from hub.api.bodies import asked, described
from hub.api.caller import Hub, Opener, Seer, Submitter
from hub.api.clusters import placed
from hub.api.downloads import CONTENT, names, open_below, send
from hub.api.refusals import Refusal, not_found, refusal
from hub.api.service import Geometry, Service
from hub.case import digest
from hub.check import Checked
from hub.result import Result
from hub.run import Run as RunFolder
from hub.runfolder import STAGES, Stage, Status, attempts
from hub.settings import Settings
from hub.store import ACTIVE, NewRun, Run, State, Tenant

router = APIRouter()

RunId = Annotated[str, Path(max_length=100)]


@router.post("/cases/check", openapi_extra=described(CheckRequest))
async def check(request: Request, tenant: Submitter, hub: Hub) -> Checked:
    """Everything that can be said about a case before it runs."""
    _, case = await asked(request, CheckRequest)
    checked, _ = await to_thread.run_sync(hub.check, tenant, case)
    return checked


@router.post("/runs", status_code=201, openapi_extra=described(RunRequest), responses={200: {"model": RunAnswer}})
async def submit(request: Request, response: Response, tenant: Submitter, hub: Hub) -> RunAnswer:
    """Run a case. 201: a new run; 200: the run that answers this very case already, or is about to."""
    wanted, case = await asked(request, RunRequest)

    def insert() -> tuple[RunAnswer, bool]:
        checked, geometry = hub.check(tenant, case)
        if not checked.ready or checked.case is None or geometry is None:
            raise Refusal(422, checked.problems)
        new = _new_run(hub, tenant, case, checked, geometry, wanted)
        run, opened = tenant.insert_run(new, again=wanted.again)
        return _answer(hub.settings, run), opened

    answer, opened = await to_thread.run_sync(insert)
    response.status_code = 201 if opened else 200
    return answer


def _new_run(
    hub: Service,
    tenant: Tenant,
    typed: dict[str, object],
    checked: Checked,
    geometry: Geometry,
    wanted: RunRequest,
) -> NewRun:
    assert checked.case is not None
    case_placed, estimate = placed(hub, tenant, checked)
    kept(hub.settings, geometry)
    case_si = _with_geometry(case_placed, geometry)
    solver = str(case_si["solver"])
    # the question is the same wherever a rule sends it
    asked_for = _with_geometry(checked.case, geometry)
    question = [asked_for, geometry.sha256, catalogue.describe(solver).version, wanted.until]
    return NewRun(
        key=digest(question),
        title=str(case_si["title"]),
        solver=solver,
        until=wanted.until,
        case=_with_geometry(typed, geometry),
        case_si=case_si,
        geometry=geometry.sha256,
        geometry_name=geometry.name,
        estimate=estimate,
    )


def kept(settings: Settings, geometry: Geometry) -> None:
    """Keep a template's file: a run must not depend on the template staying as it is. Raises OSError."""
    file = settings.files / geometry.sha256
    if not file.exists():
        part = file.with_name(f".{file.name}.{os.urandom(4).hex()}.part")
        try:
            shutil.copyfile(geometry.file, part)
            part.chmod(0o444)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


def _with_geometry(case: dict[str, object], geometry: Geometry) -> dict[str, object]:
    described = case["geometry"]
    assert isinstance(described, dict)
    return {**case, "geometry": {**described, "file": geometry.id}}


@router.get("/runs")
def runs(
    tenant: Seer,
    hub: Hub,
    state: Annotated[State | Literal["active", "ended"] | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[str | None, Query(max_length=100, description="only runs older than this one")] = None,
) -> list[RunAnswer]:
    """Runs of the organisation, newest first."""
    return [_answer(hub.settings, run) for run in tenant.runs(state=state, limit=limit, before=before)]


@router.get("/runs/{run_id}")
def run(run_id: RunId, tenant: Seer, hub: Hub) -> RunAnswer:
    """How far a run is."""
    return _answer(hub.settings, tenant.run(run_id))


@router.get("/runs/{run_id}/case")
def case(run_id: RunId, tenant: Opener) -> dict[str, object]:
    """The case as typed, its geometry named by id: to duplicate and edit."""
    return tenant.run(run_id).case


@router.get("/runs/{run_id}/log", response_class=PlainTextResponse)
def log(run_id: RunId, tenant: Seer, hub: Hub, stage: Annotated[Stage | None, Query()] = None) -> PlainTextResponse:
    """The end of the log of a stage, of the latest one if none is named."""
    found = tenant.run(run_id)
    folder = hub.settings.home / found.folder
    for each in [stage] if stage else reversed(STAGES):
        made = attempts(folder, each)
        if made:
            return PlainTextResponse(made[-1].log_tail())
    return PlainTextResponse("")


@router.get("/runs/{run_id}/history")
def history(
    run_id: RunId, tenant: Seer, hub: Hub, stage: Annotated[Stage | None, Query()] = None
) -> list[dict[str, float]]:
    """Figures to watch over time (residuals, forces, balances), of the solve stage if none is named."""
    made = attempts(hub.settings.home / tenant.run(run_id).folder, stage or "solve")
    return made[-1].history() if made else []


@router.post("/runs/{run_id}/cancel", status_code=202)
def cancel(run_id: RunId, tenant: Seer, hub: Hub) -> RunAnswer:
    """Ask for the end of a run; it is cancelled once nothing of it runs. One that has ended stays as it is."""
    found = tenant.run(run_id)
    own = found.user == tenant.caller.user and may(tenant.caller, Right.SUBMIT)
    if not own and not may(tenant.caller, Right.CANCEL_ANY):
        raise refusal(
            403,
            "your role",
            tenant.caller.role,
            "the person who submitted the run, or one who may cancel any",
            "Ask them, or an administrator of your organisation.",
            "not-allowed",
        )
    return _answer(hub.settings, tenant.cancel(run_id))


@router.get("/runs/{run_id}/result")
def result(run_id: RunId, tenant: Opener, hub: Hub) -> Result:
    """The whole answer."""
    return read_result(hub.settings, tenant.run(run_id))


def read_result(settings: Settings, found: Run) -> Result:
    """Raises Refusal 409 where there is none."""
    try:
        with os.fdopen(open_below(settings.home / found.folder, "result.json"), "rb") as stream:
            return Result.model_validate_json(stream.read())
    except OSError:
        raise refusal(
            409,
            "the run",
            f"a run that is {found.state}",
            "a result",
            "Wait for its end." if found.state in ACTIVE else "Its failure says why there is none.",
            "not-yet" if found.state in ACTIVE else "no-result",
        ) from None
    except ValidationError:
        raise refusal(
            409, "result.json", "a file that cannot be read", "a result", "Run the case again.", "corrupt-result"
        ) from None


@router.get("/runs/{run_id}/away")
def away(run_id: RunId, tenant: Opener, hub: Hub) -> retention.Away | None:
    """What of a run's results stayed on the cluster it was solved on; null if nothing did."""
    return retention.away(_folder(hub, tenant.run(run_id)), hub.settings.home)


@router.post("/runs/{run_id}/bring", status_code=202)
def bring(run_id: RunId, tenant: Opener, hub: Hub) -> retention.Away | None:
    """Have those results brought; they are among the files when `away` is null."""
    run = _folder(hub, tenant.run(run_id))
    retention.ask(run, hub.settings.home)
    tenant.audit("bring", run_id)
    return retention.away(run, hub.settings.home)


def _folder(hub: Service, found: Run) -> RunFolder:
    return RunFolder(hub.settings.home / found.folder, hub.settings.cache)


@router.get("/runs/{run_id}/files")
def files(run_id: RunId, tenant: Opener, hub: Hub) -> list[str]:
    """Names of what can be downloaded."""
    return names(hub.settings.home / tenant.run(run_id).folder)


@router.get("/runs/{run_id}/files/{name:path}", response_class=StreamingResponse, responses=CONTENT)
def download(run_id: RunId, name: Annotated[str, Path(max_length=300)], tenant: Opener, hub: Hub) -> StreamingResponse:
    """One of these files, as an attachment."""
    folder = hub.settings.home / tenant.run(run_id).folder
    if name not in names(folder):
        raise not_found("the file")
    try:
        answer = send(folder, name)
    except OSError:
        raise not_found("the file") from None
    tenant.audit("download", f"{run_id} {name}")
    return answer


def _answer(settings: Settings, found: Run) -> RunAnswer:
    return RunAnswer.of(found, _status(settings, found))


def _status(settings: Settings, found: Run) -> Status | None:
    if found.state not in ACTIVE or found.stage is None:
        return None
    made = attempts(settings.home / found.folder, found.stage)
    return made[-1].status() if made else None

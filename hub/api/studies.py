"""Routes: studies, their tables and plots."""

from __future__ import annotations

import json
import os
from pathlib import Path as Folder
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub.access import Right, may
from hub.api.answers import CheckRequest, Times
from hub.api.bodies import asked, described
from hub.api.caller import Hub, Opener, Seer, Submitter
from hub.api.downloads import CONTENT, open_below, send
from hub.api.refusals import Refusal, not_found, refusal
from hub.api.runs import kept
from hub.api.service import Service
from hub.case import digest
from hub.catalogue import describe
from hub.check import check_cases
from hub.clusters import BEST, HERE, find
from hub.problem import Problem, excerpt
from hub.store import NewStudy, StudyRecord, StudyState, Tenant
from hub.study import Point, Study, points, read
from hub.study_result import StudyResult
from hub.sweep import PRODUCTS, Sweep

router = APIRouter()

StudyId = Annotated[str, Path(max_length=100)]
#: Most points of a study that is sent; larger ones are run by the command line.
MOST = 1000


class StudyRequest(CheckRequest):
    """case : as typed; study : what changes in it, a study.yaml without its case; again : although it was asked"""

    study: dict[str, Any]
    again: bool = False


class Counts(BaseModel):
    """Points that are done, that ended otherwise, and all of them; points with one question count once."""

    done: int = 0
    other: int = 0
    of: int = 0


class StudyAnswer(BaseModel):
    """A study. estimate : of all its points together; study : what changes, as typed"""

    model_config = ConfigDict(frozen=True)

    id: str
    title: str
    solver: str
    state: StudyState
    counts: Counts
    times: Times
    estimate: dict[str, Any] | None
    failure: dict[str, Any] | None
    study: dict[str, Any] = Field(default_factory=dict)
    geometry_name: str

    @classmethod
    def of(cls, record: StudyRecord, counts: Counts, *, opened: bool) -> StudyAnswer:
        return cls(
            counts=counts,
            times=Times(created=record.created, started=record.started, ended=record.ended),
            study=record.study if opened else {},
            **record.model_dump(include={"id", "title", "solver", "state", "estimate", "failure", "geometry_name"}),
        )


@router.post(
    "/studies", status_code=201, openapi_extra=described(StudyRequest), responses={200: {"model": StudyAnswer}}
)
async def submit(request: Request, response: Response, tenant: Submitter, hub: Hub) -> StudyAnswer:
    """Make a study: every point is checked now. 201: a new one; 200: the study of this very question."""
    wanted, case = await asked(request, StudyRequest)

    def insert() -> tuple[StudyAnswer, bool]:
        new = _new(hub, tenant, wanted, case)
        record, made = hub.store.studies(tenant.caller).insert(new, again=wanted.again)
        return _answer(hub, record, opened=True), made

    answer, made = await to_thread.run_sync(insert)
    response.status_code = 201 if made else 200
    return answer


def _new(hub: Service, tenant: Tenant, wanted: StudyRequest, case: dict[str, Any]) -> NewStudy:
    study = read({**wanted.study, "case": case})
    made = _bounded(study, case)
    resources = made[0].case.get("resources")
    place = resources.get("cluster") if isinstance(resources, dict) else None
    if isinstance(place, str) and place not in (HERE, BEST):
        find(hub.settings.home, place)
    # the first point stands for all when the part is looked at; it need not be the case as it stands
    checked, geometry = hub.check(tenant, made[0].case)
    if geometry is None:
        raise Refusal(422, checked.problems)
    unit = case["geometry"].get("unit")
    verdict = hub.verdicts.peek(geometry.sha256, geometry.file, unit if isinstance(unit, str) else None, 60.0)
    each = check_cases([p.case for p in made], geometry.file, verdict)
    if not any(one.ready for one in each):
        raise Refusal(422, each[0].problems)
    kept(hub.settings, geometry)
    seconds = sum(one.estimate.seconds for one in each if one.ready and one.estimate)
    memory = max((one.estimate.memory for one in each if one.ready and one.estimate), default=0.0)
    typed = study.model_dump(mode="json", by_alias=True, exclude={"case"}, exclude_none=True)
    solver = str(case.get("solver"))
    refused = sum(not one.ready for one in each)
    questions = len({digest(one.case) for one in each if one.ready}) + refused
    return NewStudy(
        key=digest([typed, {**case, "geometry": {**case["geometry"], "file": geometry.id}}, describe(solver).version]),
        title=study.title,
        solver=solver,
        study=typed,
        case={**case, "geometry": {**case["geometry"], "file": geometry.id}},
        geometry=geometry.sha256,
        geometry_name=geometry.name,
        estimate={"seconds": seconds, "memory": memory, "ranks": study.ranks, "points": len(made)},
        counts={"done": 0, "other": refused, "of": questions},
    )


def _bounded(study: Study, case: dict[str, Any]) -> list[Point]:
    found = points(study, case)
    if len(found) > MOST:
        problem = Problem(
            where="points",
            found=f"{len(found)} points",
            expected=f"at most {MOST}",
            todo="Take a Latin hypercube, or run the study with `officina study run`.",
            code="too-many",
        )
        raise Refusal(422, [problem])
    return found


@router.get("/studies")
def studies(
    tenant: Seer,
    hub: Hub,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Annotated[str | None, Query(max_length=100, description="only studies older than this one")] = None,
) -> list[StudyAnswer]:
    """Studies of the organisation, newest first."""
    found = hub.store.studies(tenant.caller).studies(limit=limit, before=before)
    return [_answer(hub, record, opened=may(tenant.caller, Right.OPEN)) for record in found]


@router.get("/studies/{study_id}")
def study(study_id: StudyId, tenant: Seer, hub: Hub) -> StudyAnswer:
    """How far a study is."""
    found = hub.store.studies(tenant.caller).study(study_id)
    return _answer(hub, found, opened=may(tenant.caller, Right.OPEN))


@router.get("/studies/{study_id}/case")
def case(study_id: StudyId, tenant: Opener, hub: Hub) -> dict[str, Any]:
    """The case of a study as typed."""
    return hub.store.studies(tenant.caller).study(study_id).case


@router.post("/studies/{study_id}/cancel", status_code=202)
def cancel(study_id: StudyId, tenant: Seer, hub: Hub) -> StudyAnswer:
    """Ask for the end of a study; points that are done stay."""
    mine = hub.store.studies(tenant.caller)
    _own(tenant, mine.study(study_id))
    return _answer(hub, mine.cancel(study_id), opened=False)


@router.post("/studies/{study_id}/retry", status_code=202)
def retry(study_id: StudyId, tenant: Submitter, hub: Hub) -> StudyAnswer:
    """Run the points again that failed, and only those."""
    mine = hub.store.studies(tenant.caller)
    _own(tenant, mine.study(study_id))
    return _answer(hub, mine.retry(study_id), opened=False)


def _own(tenant: Tenant, found: StudyRecord) -> None:
    own = found.user == tenant.caller.user and may(tenant.caller, Right.SUBMIT)
    if not own and not may(tenant.caller, Right.CANCEL_ANY):
        raise refusal(
            403,
            "your role",
            tenant.caller.role,
            "the person who made the study, or one who may cancel any",
            "Ask them, or an administrator of your organisation.",
            "not-allowed",
        )


@router.get("/studies/{study_id}/result")
def result(study_id: StudyId, tenant: Opener, hub: Hub) -> StudyResult:
    """The whole table, failed points too."""
    found = hub.store.studies(tenant.caller).study(study_id)
    try:
        with os.fdopen(open_below(hub.settings.home / found.folder, "result.json"), "rb") as stream:
            return StudyResult.model_validate(json.loads(stream.read()))
    except (OSError, ValueError, ValidationError):
        todo = "Wait for its end." if found.state in ("queued", "running") else "Run it again."
        raise refusal(409, "the study", f"a study that is {found.state}", "a result", todo, "not-yet") from None


@router.get("/studies/{study_id}/files")
def files(study_id: StudyId, tenant: Opener, hub: Hub) -> list[str]:
    """Names of what can be downloaded."""
    return _names(hub.settings.home / hub.store.studies(tenant.caller).study(study_id).folder)


def _names(folder: Folder) -> list[str]:
    plots = [f"plots/{f.name}" for f in sorted(folder.glob("plots/*.png"))]
    return [name for name in PRODUCTS if (folder / name).is_file()] + plots


@router.get("/studies/{study_id}/files/{name:path}", response_class=StreamingResponse, responses=CONTENT)
def download(
    study_id: StudyId, name: Annotated[str, Path(max_length=300)], tenant: Opener, hub: Hub
) -> StreamingResponse:
    """One of these files, as an attachment."""
    folder = hub.settings.home / hub.store.studies(tenant.caller).study(study_id).folder
    if name not in _names(folder):
        raise not_found("the file")
    try:
        answer = send(folder, name)
    except OSError:
        raise not_found("the file") from None
    tenant.audit("download", f"{study_id} {excerpt(name)}")
    return answer


def _answer(hub: Service, record: StudyRecord, *, opened: bool) -> StudyAnswer:
    counts = record.counts or {}
    if record.state in ("running", "cancelling"):
        now = Sweep(hub.settings.home / record.folder, hub.settings.cache).progress()
        counts = vars(now) if now.of else counts
    return StudyAnswer.of(record, Counts(**counts), opened=opened)

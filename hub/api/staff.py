"""Routes for staff of the house: the board of all runs, organisations and their quotas, disks, the audit.

Nothing here shows a title, a part, a case or a result; everybody else finds nothing at these addresses.
"""

from __future__ import annotations

import shutil
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from hub.api.answers import _Answer
from hub.api.caller import Hub, Staff
from hub.api.clusters import placed
from hub.api.refusals import refusal
from hub.board import Column, column, newest
from hub.runfolder import Stage, Status
from hub.store import ACTIVE, BoardRun, Deed, Quota, State, Usage
from hub.store.tables import Until

router = APIRouter(prefix="/staff")

RunId = Annotated[str, Path(max_length=100)]
OrganisationId = Annotated[str, Path(max_length=100)]


class OnBoard(_Answer):
    """A run as staff see it. column : where it stands; status : how far the stage is, in figures only

    failure : the code; size : unknowns; times [s since 1970]
    """

    id: str
    organisation: str
    solver: str
    until: Until
    state: State
    column: Column
    stage: Stage | None
    step: int
    of: int
    size: float | None
    cluster: str | None
    failure: str | None
    predicted: dict[str, Any] | None
    actual: dict[str, Any] | None
    created: float
    started: float | None
    ended: float | None


class Disk(_Answer):
    """A disk of the hub [byte]."""

    name: str
    total: int
    free: int


class QuotaRequest(BaseModel):
    """core_hours : None for no limit; anew : what was spent until now counts no more"""

    model_config = ConfigDict(extra="forbid")

    core_hours: Annotated[float, Field(ge=0, le=1e9)] | None
    anew: bool = False


class RetryRequest(BaseModel):
    """cluster : another place to run it at; ``here`` is the hub's own machine"""

    model_config = ConfigDict(extra="forbid")

    cluster: Annotated[str, Field(max_length=100)] | None = None


@router.get("/runs")
def board(house: Staff, hub: Hub, days: Annotated[float, Query(gt=0, le=366)] = 7.0) -> list[OnBoard]:
    """All runs under way, and those that ended within some days; newest first."""
    return [_on_board(hub, run) for run in house.runs(since=time.time() - 86400 * days)]


def _on_board(hub: Hub, run: BoardRun) -> OnBoard:
    attempt = newest(hub.settings.home / run.folder) if run.state in ACTIVE else None
    status = attempt.status() if attempt else Status()
    names = set(OnBoard.model_fields) & set(BoardRun.model_fields) - {"organisation"}
    return OnBoard(
        organisation=run.organisation_name,
        column=column(run.state, run.failure, run.estimate, attempt),
        step=status.step,
        of=status.of,
        size=(run.actual or {}).get("unknowns") or (run.estimate or {}).get("unknowns"),
        predicted=run.estimate,
        **run.model_dump(include=names),
    )


@router.post("/runs/{run_id}/cancel", status_code=202)
def cancel(run_id: RunId, house: Staff, hub: Hub) -> OnBoard:
    """End a run."""
    house.cancel(run_id)
    return _on_board(hub, house.run(run_id))


@router.post("/runs/{run_id}/retry", status_code=202)
def retry(run_id: RunId, house: Staff, hub: Hub, body: RetryRequest | None = None) -> OnBoard:
    """Run the same question again, here or elsewhere; what is under way of it is cancelled. The answer stays its
    owner's."""
    tenant = house.tenant_of(run_id)
    typed = tenant.run(run_id).case
    if body is not None and body.cluster:
        typed = {**typed, "resources": {**(typed.get("resources") or {}), "cluster": body.cluster}}
    checked, _ = hub.check(tenant, typed)
    if not checked.ready or checked.case is None:
        # what is wrong may name what the customer drew: the places are enough here
        where = ", ".join(sorted({p.where.partition("[")[0] for p in checked.problems}))
        todo = "Its owner sees what is wrong when they open it again."
        raise refusal(409, "the run", f"a case that is refused now: {where}", "a case that can be run", todo)
    case_si, estimate = placed(hub, tenant, checked)
    made = tenant.reopen(run_id, case_si, estimate)
    house.note("retry" if body is None or not body.cluster else f"move to {body.cluster}"[:200], run_id)
    return _on_board(hub, house.run(made.id))


@router.get("/organisations")
def organisations(house: Staff, days: Annotated[float, Query(gt=0, le=3660)] = 30.0) -> list[Usage]:
    """Every organisation with what it has used within some days, and its quota."""
    return list(house.organisations(since=time.time() - 86400 * days))


@router.put("/organisations/{organisation_id}/quota")
def set_quota(organisation_id: OrganisationId, body: QuotaRequest, house: Staff) -> Quota:
    """Allow an organisation so many core-hours."""
    return house.set_quota(organisation_id, body.core_hours, anew=body.anew)


@router.get("/disks")
def disks(_: Staff, hub: Hub) -> list[Disk]:
    """The disks that uploads, runs and the cache lie on."""
    found: dict[tuple[int, int], Disk] = {}
    for folder in (hub.settings.home, hub.settings.files, hub.settings.runs, hub.settings.cache):
        usage = shutil.disk_usage(folder)
        name = folder.name if folder != hub.settings.home else "home"
        found.setdefault((folder.stat().st_dev, usage.total), Disk(name=name, total=usage.total, free=usage.free))
    return list(found.values())


@router.get("/audit")
def audit(
    house: Staff,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    before: Annotated[str | None, Query(max_length=100)] = None,
) -> list[Deed]:
    """Who did what when, newest first."""
    return list(house.deeds(limit=limit, before=before))


@router.get("/notices")
def notices(house: Staff) -> dict[str, int]:
    """How many notices of ended runs are due, sent and given up."""
    return house.notices()

"""Routes: the clusters, what a case would take where, and what was predicted against what it took."""

from __future__ import annotations

import json
from collections import defaultdict
from contextlib import suppress
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict

from hub.access import Right, may
from hub.api.answers import CheckRequest
from hub.api.bodies import asked, described
from hub.api.caller import Hub, Seer, Submitter, require
from hub.api.refusals import Refusal, refusal
from hub.api.service import Service
from hub.catalogue import describe
from hub.check import Checked
from hub.cluster_probe import probe
from hub.clusters import BEST, HERE, Cluster, broken, find, load, read, remove, save, typed
from hub.login_desk import Desk
from hub.problem import Problem, Refused, excerpt
from hub.register import Trouble
from hub.retention import leaving
from hub.store import Tenant
from hub.transport import transport
from hub.where import Place, choose, foreseen, places

router = APIRouter()

ClusterName = Annotated[str, Path(max_length=40, pattern=r"^[a-z][a-z0-9-]*$")]
#: Most bytes of a description.
MOST = 20_000


class ClusterAnswer(BaseModel):
    """A cluster. trouble : why it cannot be reached, None as far as is known; description : as typed, for staff only

    needs_login : runs wait until a person has logged in
    leaving : jobs with results that are nowhere else and leave the cluster within a week
    """

    model_config = ConfigDict(frozen=True)

    name: str
    scheduler: str
    ranks: int
    cores: int
    memory: float
    time: float
    price: float | None
    currency: str
    energy: float | None
    retention: float | None
    jobs: int
    leaving: int
    trouble: str | None
    needs_login: bool
    description: dict[str, Any] | None = None


class ClusterList(BaseModel):
    """problems : what is wrong with descriptions that cannot be read, for staff"""

    clusters: list[ClusterAnswer]
    problems: list[Problem] = []


class ProbeAnswer(BaseModel):
    """One thing that was looked at on a cluster; todo : what to do where it is missing"""

    what: str
    passed: bool
    said: str
    todo: str


class LoginAnswer(BaseModel):
    """How a log-in goes: the questions that wait for an answer, or its outcome (empty: it succeeded)."""

    title: str = ""
    instructions: str = ""
    questions: list[tuple[str, bool]] = []
    outcome: str | None = None


class EstimateAnswer(BaseModel):
    """What a run was to take, and what it took: seconds, memory [byte], unknowns, cost, energy [kWh]."""

    run: str
    title: str
    solver: str
    ended: float | None
    predicted: dict[str, Any]
    actual: dict[str, Any]


def _home_answer(hub: Service, cluster: Cluster, *, staff: bool) -> ClusterAnswer:
    place = hub.settings.home / "remote" / cluster.name
    trouble: Trouble | None = None
    with suppress(OSError, ValueError):
        trouble = Trouble.model_validate_json((place / "trouble.json").read_bytes())
    waits = place / "open"
    limits = cluster.limits
    return ClusterAnswer(
        name=cluster.name,
        scheduler=cluster.scheduler,
        ranks=limits.ranks,
        cores=limits.cores,
        memory=limits.memory,
        time=limits.time,
        price=cluster.price,
        currency=cluster.currency,
        energy=cluster.energy,
        retention=cluster.retention,
        jobs=sum(1 for _ in waits.iterdir()) if waits.is_dir() else 0,
        leaving=len(leaving(cluster, hub.settings.home)),
        trouble=trouble.message if trouble and staff else "it cannot be reached just now" if trouble else None,
        needs_login=trouble is not None and trouble.code == "needs-login",
        description=typed(cluster) if staff else None,
    )


@router.get("/clusters")
def clusters(tenant: Seer, hub: Hub) -> ClusterList:
    """The clusters there are."""
    staff, home = may(tenant.caller, Right.CLUSTERS), hub.settings.home
    found = [_home_answer(hub, cluster, staff=staff) for cluster in load(home).values()]
    return ClusterList(clusters=found, problems=broken(home) if staff else [])


@router.put("/clusters/{name}")
async def describe_cluster(name: ClusterName, request: Request, tenant: Seer, hub: Hub) -> ClusterAnswer:
    """Describe a cluster, or describe it anew; the body is the description as typed. Keys are not sent: they are put
    into the hub's secrets by `officina cluster add`."""
    require(tenant.caller, Right.CLUSTERS)
    body = await request.body()
    try:
        data = json.loads(body) if len(body) <= MOST else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise refusal(422, "the request", "no description", "a JSON object as `GET /clusters` shows it", "", "not-json")
    cluster = read({**data, "name": name})
    for field in ("key", "certificate"):
        given = getattr(cluster, field)
        if given is not None and (given.startswith("/") or ".." in given.split("/")):
            raise refusal(422, field, excerpt(given), "a file in the hub's secrets", "", "not-a-file-name")

    def keep() -> ClusterAnswer:
        save(hub.settings.home, cluster)
        tenant.audit("describe cluster", name)
        return _home_answer(hub, cluster, staff=True)

    return await to_thread.run_sync(keep)


@router.delete("/clusters/{name}", status_code=204)
def forget(name: ClusterName, tenant: Seer, hub: Hub) -> None:
    """Forget a cluster; what runs there goes on."""
    require(tenant.caller, Right.CLUSTERS)
    remove(hub.settings.home, name)
    tenant.audit("forget cluster", name)


@router.post("/clusters/{name}/check")
def check(name: ClusterName, tenant: Seer, hub: Hub) -> list[ProbeAnswer]:
    """Prove a cluster: login, scratch, transfer, scheduler, compiler, PETSc, MPI on two ranks. Takes up to minutes."""
    require(tenant.caller, Right.CLUSTERS)
    cluster = find(hub.settings.home, name)
    way = transport(cluster, hub.settings.secrets)
    try:
        return [ProbeAnswer(**finding._asdict()) for finding in probe(cluster, way)]
    finally:
        way.close()


@router.post("/clusters/{name}/login")
def sit(name: ClusterName, tenant: Seer, hub: Hub) -> LoginAnswer:
    """Wait to be asked what the centre asks; `GET` tells what that is, `PUT` answers."""
    require(tenant.caller, Right.CLUSTERS)
    Desk(hub.settings.secrets, find(hub.settings.home, name).name).sit()
    tenant.audit("log in to cluster", name)
    return LoginAnswer()


@router.get("/clusters/{name}/login")
def asked_at_login(name: ClusterName, tenant: Seer, hub: Hub) -> LoginAnswer:
    """What the centre asks now."""
    require(tenant.caller, Right.CLUSTERS)
    desk = Desk(hub.settings.secrets, find(hub.settings.home, name).name)
    found = desk.questions() or {}
    shown = {k: v for k, v in found.items() if k in ("title", "instructions", "questions")}
    return LoginAnswer(**shown, outcome=desk.outcome())


@router.put("/clusters/{name}/login", status_code=204)
async def answer_login(name: ClusterName, request: Request, tenant: Seer, hub: Hub) -> None:
    """Answer: the body is a list of texts, one for each question. They are used once and kept nowhere."""
    require(tenant.caller, Right.CLUSTERS)
    body = await request.body()
    try:
        given = json.loads(body) if len(body) <= MOST else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise refusal(422, "the request", "no list of texts", "one text for each question", "", "not-json")
    desk = Desk(hub.settings.secrets, find(hub.settings.home, name).name)
    if desk.questions() is None:
        todo = "Begin with POST, and ask with GET what the questions are."
        raise refusal(409, "the log-in", "no question", "a question that waits for an answer", todo, "not-asked")
    desk.answer(given)


# --- where to run -------------------------------------------------------------------------------------------------


@router.post("/places", openapi_extra=described(CheckRequest))
async def where(request: Request, tenant: Submitter, hub: Hub) -> list[Place]:
    """What a case would take at every place, this machine first."""
    _, case = await asked(request, CheckRequest)

    def find_places() -> list[Place]:
        checked, _ = hub.check(tenant, case)
        return places_of(hub, tenant, checked)

    return await to_thread.run_sync(find_places)


def places_of(hub: Service, tenant: Tenant, checked: Checked) -> list[Place]:
    """Raises Refusal for a case that cannot be estimated."""
    if checked.case is None or checked.estimate is None:
        raise Refusal(422, checked.problems)
    clusters, given = list(load(hub.settings.home).values()), checked.case.get("resources", {})
    estimate, cost = checked.estimate.model_dump(), describe(str(checked.case["solver"])).cost
    found = places(estimate, cost, clusters, hub.settings, ranks=given.get("ranks"), waiting=_waiting(tenant))
    return foreseen(found, clusters, hub.settings.home, given, estimate)


def _waiting(tenant: Tenant) -> dict[str, float]:
    """Core-seconds that the organisation's runs still want, by place."""
    found: defaultdict[str, float] = defaultdict(float)
    for run in tenant.runs(state="active", limit=500):
        estimate = run.estimate or {}
        place = estimate.get("cluster") or HERE
        found[place] += float(estimate.get("seconds") or 0) * float(estimate.get("ranks") or 1)
    return found


def placed(hub: Service, tenant: Tenant, checked: Checked) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """(the case in SI with the place chosen, the estimate at that place). Raises Refused."""
    assert checked.case is not None
    case, estimate = checked.case, checked.estimate.model_dump() if checked.estimate else None
    given = case.get("resources", {})
    wanted, rule = given.get("cluster"), given.get("prefer") or hub.settings.prefer
    if wanted in (None, HERE) or estimate is None:
        return case, estimate
    if wanted != BEST:
        find(hub.settings.home, str(wanted))
    found = places_of(hub, tenant, checked)
    place = choose(found, rule) if wanted == BEST else next(p for p in found if p.cluster == wanted)
    if place is None or not place.fits:
        why = "; ".join(f"{p.cluster}: {p.why}" for p in found if not p.fits and (wanted in (BEST, p.cluster)))
        todo = "Take a coarser mesh, or another place."
        expected = "a place that has room for the case"
        raise Refused([Problem(where="resources.cluster", found=excerpt(why), expected=expected, todo=todo)])
    chosen = {**given, "cluster": place.cluster, "ranks": place.ranks}
    left_out = {"fits", "why"} | ({"queue"} if place.queue_by == "unknown" else set())  # no wait is not an unknown one
    return {**case, "resources": chosen}, {**estimate, **place.model_dump(exclude=left_out, exclude_none=True)}


@router.get("/estimates")
def estimates(tenant: Seer, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> list[EstimateAnswer]:
    """What ended runs were to take, and what they took."""
    return [
        EstimateAnswer(
            run=run.id,
            title=run.title,
            solver=run.solver,
            ended=run.ended,
            predicted=run.estimate or {},
            actual=run.actual or {},
        )
        for run in tenant.runs(state="done", limit=limit)
        if run.estimate and run.actual and run.actual.get("seconds")
    ]

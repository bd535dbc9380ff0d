"""Routes: health, who am I, log in, and the catalogues."""

from __future__ import annotations

import logging
import time
from importlib.metadata import version
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from hub import catalogue
from hub.access import COOKIE, SESSION, visible
from hub.api.answers import Ask, CaseTemplate, Health, Me
from hub.api.caller import Anybody, Hub
from hub.api.refusals import refusal
from hub.case import Case, Material
from hub.solver import Description
from hub.units import UNITS

router = APIRouter()
log = logging.getLogger("officina.api")

#: The orchestration loop touches a file this often at least [s], or counts as away.
BEAT = 60.0


@router.get("/health")
def health(hub: Hub) -> Health:
    """Whether the hub answers and runs are being started; open to all."""
    hub.store.ping()
    orchestration: Literal["ok", "away"] = "away"
    try:
        if time.time() - hub.settings.heartbeat.stat().st_mtime < BEAT:
            orchestration = "ok"
    except OSError:
        pass
    return Health(ok=True, version=version("officina"), orchestration=orchestration)


@router.get("/login", status_code=303, response_class=RedirectResponse)
def login(request: Request, hub: Hub, token: Annotated[str, Query(min_length=1, max_length=200)]) -> RedirectResponse:
    """Exchange a token for the browser's cookie and go to the pages. A token made for this is used up."""
    session = hub.store.members.log_in(token, SESSION)
    if session is None:
        raise refusal(
            401,
            "token",
            "a token that is not known, or was used already",
            "a fresh one",
            "Start the hub again, or open the newest address that it printed.",
            "not-logged-in",
        )
    answer = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, session, max_age=int(SESSION), httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/logout", status_code=204)
def logout(request: Request, response: Response, _: Anybody, hub: Hub) -> None:
    """End the session of this browser."""
    if token := request.cookies.get(COOKIE):
        hub.store.members.log_out(token)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


@router.get("/me")
def me(who: Anybody) -> Me:
    """The caller: user, organisation, role."""
    return Me.of(who)


@router.get("/solvers")
def solvers(who: Anybody, hub: Hub) -> list[Description]:
    """The solvers offered to the caller. One that does not answer is left out and noted in the log."""
    found = []
    spoken = hub.store.workshop(who).publications()
    for name in catalogue.solver_modules():
        if not visible(who, name, spoken):
            continue
        try:
            found.append(catalogue.describe(name))
        except catalogue.SolverBroken as error:
            log.error("solver %s: %s", name, error)
    return found


@router.get("/solvers/{name}")
def solver(who: Anybody, hub: Hub, name: str) -> Description:
    """What a solver takes and answers."""
    spoken = hub.store.workshop(who).publications()
    offered = [n for n in catalogue.solver_modules() if visible(who, n, spoken)]
    if name not in offered:
        known = ", ".join(offered)
        raise refusal(404, "the address", "no solver of that name", f"one of {known}", "", "unknown-solver")
    return catalogue.describe(name)


@router.get("/materials")
def materials(_: Anybody) -> dict[str, Material]:
    """The library: key for a case -> properties in SI with their source."""
    return catalogue.materials()


@router.get("/templates")
def templates(_: Anybody, hub: Hub) -> list[CaseTemplate]:
    """Cases to begin with."""
    return [
        CaseTemplate(
            name=template.name,
            title=template.case["title"],
            description=" ".join(template.case.get("description", "").split()),
            case={**template.case, "geometry": {**template.case["geometry"], "file": template.geometry.id}},
            geometry=template.geometry.id,
            geometry_name=template.geometry.name,
            asks=[
                Ask(
                    path=ask["path"],
                    unit=ask["unit"],
                    units=UNITS.get(ask["unit"], ()),
                    label={"en": ask["en"], "it": ask["it"]},
                )
                for ask in template.asks
            ],
        )
        for template in hub.templates.values()
    ]


@router.get("/schema")
def schema(_: Anybody) -> dict[str, Any]:
    """The JSON Schema of a case."""
    return Case.model_json_schema()

"""Errors of the API: always ``{"problems": [...]}``, whatever went wrong and wherever."""

from __future__ import annotations

import errno
import logging
import secrets
import sqlite3
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from hub.catalogue import SolverBroken
from hub.problem import Problem, Refused, excerpt, path
from hub.store import NotFound, QuotaReached

log = logging.getLogger("officina.api")

#: What the operating system says when there is no room: full disk, quota, file size limit.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Problems(BaseModel):
    """The body of every error."""

    problems: list[Problem]


class Refusal(Exception):
    """Ends a request with a status and what is wrong."""

    def __init__(self, status: int, problems: Sequence[Problem], headers: dict[str, str] | None = None) -> None:
        self.status, self.problems, self.headers = status, list(problems), headers or {}
        super().__init__(f"{status}")


def refusal(
    status: int, where: str, found: str, expected: str, todo: str = "", code: str = "invalid", **headers: str
) -> Refusal:
    """A Refusal with one problem; keywords become headers (``www_authenticate`` as ``www-authenticate``)."""
    problem = Problem(where=where, found=found, expected=expected, todo=todo, code=code)
    return Refusal(status, [problem], {name.replace("_", "-"): value for name, value in headers.items()})


def not_found(what: str = "the address") -> Refusal:
    return refusal(
        404, what, "nothing that is yours", "something of your organisation", "Check the address.", "not-found"
    )


def respond(refused: Refusal) -> JSONResponse:
    body = {"problems": [p.model_dump(mode="json") for p in refused.problems]}
    return JSONResponse(body, status_code=refused.status, headers=refused.headers)


def unexpected(error: BaseException) -> Refusal:
    """What the caller learns of an error nobody foresaw; the log has the rest under the same number."""
    number = secrets.token_hex(4)
    log.error("error %s", number, exc_info=error)
    return refusal(
        500,
        "the hub",
        f"an error of its own, number {number}",
        "an answer",
        "Try again; if it stays, tell the centre's staff this number.",
        "internal",
    )


def no_room() -> Refusal:
    return refusal(
        507,
        "the hub",
        "no room on its disk",
        "room for what you sent",
        "Nothing was kept of it. Tell the centre's staff, or try again when there is room.",
        "disk-full",
    )


def understand(error: Exception) -> Refusal:
    """The answer to any exception that ended a request."""
    match error:
        case Refusal():
            return error
        case Refused():
            return Refusal(422, error.problems)
        case NotFound():
            return not_found()
        case QuotaReached():
            return refusal(
                422,
                "resources",
                f"{error.asked:.3g} core-hours asked, {error.left:.3g} of {error.of:.3g} left for your organisation",
                "a case that fits into what is left",
                "Take a coarser mesh, wait for runs to end, or ask the centre's staff for more.",
                "quota",
            )
        case RequestValidationError():
            return Refusal(422, [_parameter(item) for item in error.errors()])
        case HTTPException():
            return _http(error)
        case SolverBroken():
            unexpected(error)
            return refusal(
                500, "solver", excerpt(str(error)), "an answer of the solver", "Tell the centre's staff.", "solver"
            )
        case TimeoutError():
            return refusal(
                409,
                "geometry.file",
                "a file that is still being checked",
                "a checked file",
                "Ask again in a moment.",
                "not-yet",
            )
        case OSError() if error.errno in NO_ROOM:
            return no_room()
        case OperationalError() if isinstance(error.orig, sqlite3.OperationalError) and (
            error.orig.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
        ):
            return no_room()
        case _:
            return unexpected(error)


def _http(error: HTTPException) -> Refusal:
    if error.status_code == 404:
        return not_found()
    phrase = HTTPStatus(error.status_code).phrase.lower()
    return refusal(
        error.status_code,
        "the request",
        excerpt(error.detail or phrase),
        "a call of the API",
        "openapi.json lists them.",
        phrase.replace(" ", "-"),
        **{k.replace("-", "_"): v for k, v in (error.headers or {}).items()},
    )


def _parameter(item: Any) -> Problem:
    place = item["loc"][1:2] or item["loc"]  # deeper parts name alternatives of a type
    return Problem(
        where=path(place),
        found=excerpt(item["input"]) if item["type"] != "missing" else "nothing",
        expected=str(item["msg"])[:1].lower() + str(item["msg"])[1:],
        todo="openapi.json lists the parameters.",
        code=str(item["type"]).replace("_", "-"),
    )


def install(app: FastAPI) -> None:
    """Make every error of the routes an answer; what escapes them is the guard's."""

    async def answer(_request: Request, error: Exception) -> JSONResponse:
        return respond(understand(error))

    for kind in (Refusal, Refused, NotFound, QuotaReached, RequestValidationError, HTTPException, SolverBroken):
        app.add_exception_handler(kind, answer)

"""Who calls: read from a bearer token or the browser's cookie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer

from hub.access import COOKIE, Right, may
from hub.api.refusals import not_found, refusal
from hub.api.service import Service
from hub.store import Caller, House, Tenant

_bearer = HTTPBearer(auto_error=False, description="a token, as in <home>/secrets/token")
_cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="set by /login")


def service(request: Request) -> Service:
    found = request.app.state.service
    assert isinstance(found, Service)
    return found


def caller(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
    cookie: Annotated[str | None, Security(_cookie)],
) -> Caller:
    """Raises Refusal 401 without a valid token, 403 where another site makes a browser use its cookie."""
    token = bearer.credentials if bearer else cookie
    who = service(request).store.members.who(token) if token else None
    if who is None:
        raise refusal(
            401,
            "Authorization",
            "a token that is not known" if token else "no token",
            "a valid token",
            "Open the address that `officina up` prints, or send the token as a bearer token.",
            "not-logged-in",
            www_authenticate="Bearer",
        )
    if not bearer and request.method not in {"GET", "HEAD", "OPTIONS"} and not _same_origin(request):
        raise refusal(
            403,
            "Origin",
            "a request made by another site",
            "one made by a page of this hub",
            "Programs send a bearer token instead of the cookie.",
            "other-origin",
        )
    return who


def _same_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    if origin is None:
        return request.headers.get("sec-fetch-site") == "same-origin"
    # The scheme is left out: a proxy in front may speak TLS where we do not.
    return urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower() != ""


def require(who: Caller, right: Right) -> None:
    """Raises Refusal 403."""
    if not may(who, right):
        raise refusal(
            403,
            "your role",
            who.role,
            f"a role that may {right}",
            "Ask an administrator of your organisation.",
            "not-allowed",
        )


def _scoped(right: Right) -> Callable[[Request, Caller], Tenant]:
    """A dependency: the organisation of the caller, whose role must have `right`."""

    def tenant(request: Request, who: Annotated[Caller, Depends(caller)]) -> Tenant:
        require(who, right)
        return service(request).store.within(who)

    return tenant


def _house(request: Request, who: Annotated[Caller, Depends(caller)]) -> House:
    """A dependency: all organisations, for staff of the house; for everybody else there is no such place."""
    if not may(who, Right.BOARD):
        raise not_found()
    return service(request).store.house(who)


Staff = Annotated[House, Depends(_house)]
Hub = Annotated[Service, Depends(service)]
Anybody = Annotated[Caller, Depends(caller)]
Seer = Annotated[Tenant, Depends(_scoped(Right.SEE))]
Opener = Annotated[Tenant, Depends(_scoped(Right.OPEN))]
Submitter = Annotated[Tenant, Depends(_scoped(Right.SUBMIT))]

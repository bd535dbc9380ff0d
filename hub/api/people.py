"""Routes: what somebody wants to be told, one's own tokens, and who belongs to the organisation."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from hub.access import LOGIN, Right
from hub.api.answers import _Answer
from hub.api.caller import Anybody, Hub, require
from hub.api.refusals import not_found, refusal
from hub.notify import Blocked, allowed
from hub.problem import excerpt
from hub.store import Role, Wish

router = APIRouter()

_MAIL = re.compile(r"[^@\s,;<>\"\\]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+|[^@\s,;<>\"\\]{1,64}@localhost")


class WishAnswer(_Answer):
    """What the caller is told by. can_mail, hooks : what the hub can do: mail at all, and hosts that may be told

    secret : the key of the signature in the webhook's header, shown to its owner only
    """

    mail: str
    webhook: str
    language: str
    secret: str
    can_mail: bool
    hooks: list[str]


class WishRequest(BaseModel):
    """Empty for nothing."""

    model_config = ConfigDict(extra="forbid")

    mail: Annotated[str, Field(max_length=200)] = ""
    webhook: Annotated[str, Field(max_length=500)] = ""
    language: Annotated[str, Field(pattern="^(en|it)$")] = "en"


class TokenAnswer(_Answer):
    """kind : of a program (``api``) or a browser (``session``). Times: seconds since 1970 UTC."""

    id: str
    kind: str
    name: str
    created: float
    expires: float | None


class NewToken(TokenAnswer):
    """token : shown this once"""

    token: str


class TokenRequest(BaseModel):
    """days : until it is void, None for never"""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)]
    days: Annotated[float, Field(gt=0, le=3660)] | None = 365.0


class MemberAnswer(_Answer):
    """A person of the organisation."""

    id: str
    name: str
    role: Role


class MemberRequest(BaseModel):
    """role : what the person may do"""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=200)]
    role: Role = "engineer"


class NewMember(MemberAnswer):
    """login : a path that logs the person in, once, within a day"""

    login: str


@router.get("/wishes")
def wishes(who: Anybody, hub: Hub) -> WishAnswer:
    """What the caller wants to be told when a run has ended."""
    return _wish(hub, hub.store.wishes(who).wish())


@router.put("/wishes")
def want(body: WishRequest, who: Anybody, hub: Hub) -> WishAnswer:
    """Be told by mail, by a webhook, or by neither."""
    if body.mail and not _MAIL.fullmatch(body.mail):
        raise refusal(422, "mail", excerpt(body.mail), "one mail address", "Correct it.", "not-an-address")
    if body.webhook:
        try:
            allowed(hub.settings, body.webhook)
        except Blocked as blocked:
            raise refusal(422, "webhook", blocked.found, blocked.expected, blocked.todo, "not-allowed") from None
    found = hub.store.wishes(who).want(mail=body.mail, webhook=body.webhook, language=body.language)
    hub.store.members.note(who, "change notices", "")
    return _wish(hub, found)


def _wish(hub: Hub, found: Wish) -> WishAnswer:
    return WishAnswer(
        mail=found.mail,
        webhook=found.webhook,
        language=found.language,
        secret=found.secret,
        can_mail=bool(hub.settings.smtp),
        hooks=list(hub.settings.webhook_hosts),
    )


@router.get("/tokens")
def tokens(who: Anybody, hub: Hub) -> list[TokenAnswer]:
    """The caller's own keys that still work: of programs and of browsers."""
    return [TokenAnswer(**vars(token)) for token in hub.store.members.tokens(who)]


@router.post("/tokens", status_code=201)
def new_token(body: TokenRequest, who: Anybody, hub: Hub) -> NewToken:
    """A key for a program; it is shown this once."""
    token = hub.store.members.name_token(who, body.name, None if body.days is None else body.days * 86400)
    made = next(t for t in hub.store.members.tokens(who) if t.name == body.name)
    return NewToken(token=token, **vars(made))


@router.delete("/tokens/{token}", status_code=204)
def revoke(token: Annotated[str, Path(max_length=100)], who: Anybody, hub: Hub) -> None:
    """End one of the caller's own keys, named by its id."""
    if not hub.store.members.revoke(who, token):
        raise not_found("the token")


@router.get("/members")
def members(who: Anybody, hub: Hub) -> list[MemberAnswer]:
    """Who belongs to the caller's organisation."""
    return [MemberAnswer.model_validate(vars(m)) for m in hub.store.members.members(who.organisation)]


@router.post("/members", status_code=201)
def add_member(body: MemberRequest, who: Anybody, hub: Hub) -> NewMember:
    """Take a person into the organisation, with a way to log in; a person who is in it already gets the role."""
    require(who, Right.MEMBERS)
    if not body.name.isprintable():
        raise refusal(422, "name", excerpt(body.name), "a name in letters", "Correct it.", "not-a-name")
    # a person of that name in another organisation would be the same one there: names are the hub's, not ours
    mine = {m.name for m in hub.store.members.members(who.organisation)}
    if body.name not in mine and hub.store.members.known(body.name):
        raise refusal(409, "name", excerpt(body.name), "a name that is free", "Take another, such as a mail address.")
    made = hub.store.members.add(who.organisation_name, body.name, body.role)
    hub.store.members.note(who, f"add {body.role}", made.user)
    login = f"/api/v1/login?token={hub.store.members.mint(made, 'login', LOGIN)}"
    return NewMember(id=made.user, name=made.user_name, role=made.role, login=login)


@router.delete("/members/{user}", status_code=204)
def remove_member(user: Annotated[str, Path(max_length=100)], who: Anybody, hub: Hub) -> None:
    """End a membership and its keys. The last administrator stays."""
    require(who, Right.MEMBERS)
    if user not in {m.id for m in hub.store.members.members(who.organisation)}:
        raise not_found("the member")
    if not hub.store.members.remove(who.organisation, user):
        todo = "Make somebody else an administrator first."
        raise refusal(409, "the member", "the last administrator", "one who is not the last", todo, "last-one")
    hub.store.members.note(who, "remove member", user)

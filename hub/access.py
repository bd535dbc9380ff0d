"""Who may do what, and how they prove who they are.

A program sends ``Authorization: Bearer TOKEN``. A browser opens ``/api/v1/login?token=...`` once and then carries a
cookie that scripts cannot read and other sites cannot make it send.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from hub import catalogue
from hub.runfolder import write_whole
from hub.settings import Settings
from hub.store import Caller, Publication, Role, Store

#: Name of the browser's cookie, how long it lasts [s], and how long a printed log-in address can be used [s].
COOKIE = "officina"
SESSION = 30 * 86400.0
LOGIN = 86400.0


class Right(StrEnum):
    """What a role allows within its organisation."""

    SEE = "see runs, their progress and logs"
    OPEN = "open geometry, cases and results"
    SUBMIT = "upload, submit, and cancel one's own runs"
    CANCEL_ANY = "cancel anybody's runs"
    CLUSTERS = "describe clusters, check them and log in to them"
    MEMBERS = "say who belongs to the organisation"
    PROVE = "prove solvers and propose them for publication"
    BOARD = "watch the runs of all organisations without opening them, and set quotas"


#: Staff keep the runs going without opening anyone's geometry.
RIGHTS: dict[Role, frozenset[Right]] = {
    "engineer": frozenset({Right.SEE, Right.OPEN, Right.SUBMIT}),
    "academic": frozenset({Right.SEE, Right.OPEN, Right.SUBMIT, Right.PROVE}),
    "staff": frozenset({Right.SEE, Right.CANCEL_ANY, Right.CLUSTERS, Right.PROVE, Right.BOARD}),
    "admin": frozenset(Right),
}
#: What reaches beyond one organisation is for those of the house: the organisation that keeps the hub.
HOUSE = frozenset({Right.CLUSTERS, Right.BOARD})


def may(caller: Caller, right: Right) -> bool:
    return right in RIGHTS[caller.role] and (caller.house or right not in HOUSE)


def visible(caller: Caller, solver: str, spoken: Mapping[str, Publication]) -> bool:
    """Whether a solver is offered to the caller: published, or of the caller's organisation, or the caller is of the
    house. One that nobody has spoken of is published where it came with the hub."""
    found = spoken.get(solver)
    if found is None:
        return comes_published(solver) or caller.house
    return found.state == "published" or found.organisation == caller.organisation or caller.house


def comes_published(solver: str) -> bool:
    """What is so of a solver that nobody has spoken of: those of other distributions wait for staff."""
    return catalogue.comes_along(solver)


def local_token(settings: Settings, store: Store) -> str:
    """The token of this machine's administrator, in ``<home>/secrets/token`` for its owner only.

    The first start makes the organisation, the administrator and the token. A token that is lost, or that the
    database does not know, is made anew.
    """
    try:
        token = settings.token_file.read_text().strip()
        if token and store.members.who(token):
            settings.token_file.chmod(0o600)
            return token
    except FileNotFoundError:
        pass
    administrator = store.members.first("This machine", "Administrator")
    token = store.members.mint(administrator)
    write_whole(settings.token_file, token + "\n")  # into a folder that is closed to others
    settings.token_file.chmod(0o600)
    return token


def login_path(settings: Settings, store: Store) -> str:
    """A path that logs this machine's administrator in, once, within a day: to be printed and opened in a browser."""
    administrator = store.members.who(local_token(settings, store))
    assert administrator is not None
    return f"/api/v1/login?token={store.members.mint(administrator, 'login', LOGIN)}"

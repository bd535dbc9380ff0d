"""What the pages of staff, of academics and of one's own account ask the hub for."""

from __future__ import annotations

from typing import Any

import streamlit as st

from hub.client import Client
from ui.session import API, client, may, or_none, owner, told

#: The right to see the board, in the words of `/me`.
BOARD = "watch the runs of all organisations without opening them, and set quotas"
PROVE = "prove solvers and propose them for publication"
MEMBERS = "say who belongs to the organisation"


def absolute(path: str) -> str:
    """The address of a path of this hub, as the reader's browser has reached it."""
    here = st.context.url or ""
    scheme, _colon, rest = here.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}{path}" if rest else path


# --- staff of the house ---


def sees_board() -> bool:
    return may(BOARD)


def board(days: float = 7.0) -> list[dict[str, Any]]:
    return or_none(lambda: client().board(days)) or []


def cancel(run_id: str) -> None:
    told(lambda: client().staff_cancel(run_id))


def retry(run_id: str, cluster: str | None = None) -> None:
    told(lambda: client().staff_retry(run_id, cluster))


def organisations() -> list[dict[str, Any]]:
    return or_none(client().organisations) or []


def set_quota(organisation: str, core_hours: float | None, *, anew: bool) -> bool:
    return told(lambda: client().set_quota(organisation, core_hours, anew=anew)) is not None


def disks() -> list[dict[str, Any]]:
    return or_none(client().disks) or []


def audit() -> list[dict[str, Any]]:
    return or_none(client().audit) or []


def notice_counts() -> dict[str, int]:
    return or_none(client().notices) or {}


# --- one's own account ---


def wishes() -> dict[str, Any]:
    found = or_none(client().wishes)
    return found or {"mail": "", "webhook": "", "secret": "", "can_mail": False, "hooks": []}


def want(mail: str, webhook: str, language: str) -> dict[str, Any] | None:
    return told(lambda: client().want(mail=mail, webhook=webhook, language=language))


def tokens() -> list[dict[str, Any]]:
    return or_none(client().tokens) or []


def new_token(name: str) -> dict[str, Any] | None:
    return told(lambda: client().new_token(name))


def revoke_token(token_id: str) -> None:
    or_none(lambda: client().revoke_token(token_id))


def members() -> list[dict[str, Any]]:
    return or_none(client().members) or []


def add_member(name: str, role: str) -> dict[str, Any] | None:
    return told(lambda: client().add_member(name, role))


def remove_member(user_id: str) -> None:
    told(lambda: client().remove_member(user_id))


# --- links to results ---


def share(run_id: str, *, days: float, files: bool) -> dict[str, Any] | None:
    return told(lambda: client().share(run_id, days=days, files=files))


def shares(run_id: str) -> list[dict[str, Any]]:
    return or_none(lambda: client().shares(run_id)) or []


def revoke_share(run_id: str, share_id: str) -> None:
    or_none(lambda: client().revoke_share(run_id, share_id))


def share_link(key: str) -> str:
    return absolute(f"/shared?key={key}")


def shared(key: str) -> dict[str, Any] | None:
    """What a link shows; None for one that does not hold."""
    return or_none(lambda: client().shared(key))


def shared_url(key: str, name: str) -> str:
    return f"{API}/shared/{key}/files/{name}"


# --- solvers and their proofs ---


def publications() -> dict[str, dict[str, Any]]:
    """Solver -> how it stands."""
    return {each["solver"]: each for each in or_none(client().publications) or []}


def proofs(solver: str) -> list[dict[str, Any]]:
    return or_none(lambda: client().proofs(solver)) or []


@st.cache_resource(ttl=30, max_entries=200, show_spinner=False)
def _known_cases(_client: Client, owner: str, solver: str) -> list[dict[str, Any]]:
    return _client.known_cases(solver)


def known_cases(solver: str) -> list[dict[str, Any]]:
    """Cases of a solver whose answers are known from elsewhere, and how far from them it was here."""
    return or_none(lambda: _known_cases(client(), owner(), solver)) or []


def look_again() -> None:
    """A suite has ended: what it has measured is asked for anew."""
    _known_cases.clear()


def prove(solver: str, *, every: bool = False) -> None:
    told(lambda: client().prove(solver, every=every))


def propose(solver: str) -> None:
    told(lambda: client().propose(solver))


def publish(solver: str, state: str, organisation: str | None = None) -> None:
    told(lambda: client().publish(solver, state, organisation))

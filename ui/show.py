"""What several pages show: states, problems, words of people and solvers, all of it inert."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import streamlit as st

from hub.problem import Problem
from ui.words import _, language, plain

Colour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]

#: Of a run: colour and symbol. Failure never looks like success.
STATES: dict[str, tuple[Colour, str]] = {
    "queued": ("gray", ":material/schedule:"),
    "running": ("blue", ":material/autorenew:"),
    "cancelling": ("orange", ":material/hourglass_top:"),
    "done": ("green", ":material/check_circle:"),
    "partly": ("orange", ":material/rule:"),
    "failed": ("red", ":material/error:"),
    "refused": ("orange", ":material/front_hand:"),
    "cancelled": ("gray", ":material/block:"),
}
#: What stands in a table where nothing is known.
NOTHING = "–"
#: Rows of a table that stand on a page.
MOST_ROWS = 60
ENDED = ("done", "failed", "refused", "cancelled")


def state_name(state: str) -> str:
    names = {
        "queued": _("waiting"),
        "running": _("running"),
        "cancelling": _("being cancelled"),
        "done": _("done"),
        "partly": _("partly done"),
        "failed": _("failed"),
        "refused": _("refused"),
        "cancelled": _("cancelled"),
    }
    return names.get(state, state)


def stage_name(stage: str | None) -> str:
    names = {
        "check": _("checking the part"),
        "mesh": _("meshing"),
        "solve": _("solving"),
        "report": _("writing the report"),
    }
    return names.get(stage or "", stage or "")


def failure_name(code: str) -> str:
    """Why a run failed, as staff read it; a code of a case is its customer's matter and stands behind words."""
    names = {
        "lost": _("its machine was lost"),
        "killed": _("ended from outside"),
        "out-of-memory": _("out of memory"),
        "disk-full": _("disk full"),
        "crashed": _("the solver broke down"),
        "corrupt-result": _("damaged result"),
        "time-limit": _("out of time"),
        "diverged": _("no convergence"),
    }
    return names.get(code) or _("the case has to be changed ({code})", code=code)


def house(name: str) -> str:
    """The name of an organisation or of a person; that of this machine's own, which nobody gave, in words."""
    names = {"This machine": _("This machine"), "Administrator": _("Administrator")}
    return names.get(name, name)


def state_badge(state: str) -> None:
    colour, icon = STATES.get(state, ("gray", ":material/help:"))
    st.badge(plain(state_name(state)), icon=icon, color=colour)


def problem(found: Problem, *, place: bool = True) -> None:
    """One problem in words: (its place,) what stands there, what was expected, what to do."""
    said = plain(found.found.rstrip("."))
    text = f"**{plain(where_in_words(found.where))}**: {said}." if place else f"{said[:1].upper()}{said[1:]}."
    if found.expected:
        text += " " + _("Expected: {what}.", what=plain(found.expected.rstrip(".")))
    if found.todo:
        text += f"  \n→ {plain(found.todo)}"
    box = {"error": st.error, "question": st.info, "warning": st.warning}[found.severity]
    icon = {"error": ":material/error:", "question": ":material/help:", "warning": ":material/warning:"}
    box(text, icon=icon[found.severity])


def problems(found: Iterable[Problem], *starts: str) -> list[Problem]:
    """Show the problems whose place starts with one of `starts` (all where none is given); returns the others."""
    rest = []
    for each in found:
        if not starts or each.where.startswith(starts):
            problem(each)
        else:
            rest.append(each)
    return rest


def where_in_words(where: str) -> str:
    """``conditions[0].value`` as ``Condition 1, value``."""
    parts = []
    for part in where.split("."):
        name, _open, rest = part.partition("[")
        index = rest.rstrip("]")
        words = _("material") if name == "bodies" else name.replace("_", " ")
        if index.isdigit():
            singular = {"conditions": _("condition"), "bodies": _("material"), "quantities": _("quantity")}
            words = f"{singular.get(name, words)} {int(index) + 1}"
        parts.append(words)
    text = ", ".join(p for p in parts if p)
    return text[:1].upper() + text[1:]


def moment(stamp: str | float | None) -> datetime | None:
    """A time of the API as a local, aware datetime."""
    if stamp is None or stamp == "":
        return None
    if isinstance(stamp, (int, float)):
        found = datetime.fromtimestamp(stamp, UTC)
    else:
        found = datetime.fromisoformat(stamp.replace("Z", "+00:00"))
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found


def ago(stamp: str | float | None) -> str:
    """How long ago, in words."""
    then = moment(stamp)
    if then is None:
        return ""
    seconds = max(0.0, (datetime.now(UTC) - then).total_seconds())
    if seconds < 60:
        return _("just now")
    if seconds < 3600:
        return _("{n} min ago", n=round(seconds / 60))
    if seconds < 86400:
        return _("{n} h ago", n=round(seconds / 3600))
    return then.strftime("%d/%m/%Y" if language() == "it" else "%d %b %Y")


def stamp(when: str | float | None) -> str:
    """A time to the minute, in universal time."""
    then = moment(when)
    return "" if then is None else then.strftime("%d/%m/%Y %H:%M" if language() == "it" else "%d %b %Y %H:%M") + " UTC"


def picture(address: str, alt: str) -> None:
    """A picture of the hub, which the browser fetches itself: it does not pass through this process.

    address : its path on this hub
    """
    here, _colon, rest = (st.context.url or os.environ.get("OFFICINA_URL", "http://127.0.0.1:8080")).partition("://")
    st.image(f"{here}://{rest.partition('/')[0]}{address}", width="stretch", alt=alt)


def table(rows: Sequence[Mapping[str, Any]], words: str) -> None:
    """A table whose words go on in the next line; one too long for a page is scrolled. words : what it shows

    A column of which no row knows anything is left out.
    """
    bare = {name for name in (rows[0] if rows else ()) if all(row[name] == NOTHING for row in rows)}
    rows = [{name: value for name, value in row.items() if name not in bare} for row in rows]
    if len(rows) > MOST_ROWS:
        st.dataframe(rows, hide_index=True)
    elif rows:
        said = [{plain(name): plain(value) for name, value in row.items()} for row in rows]
        st.table(said, border="horizontal", hide_index=True, alt=words)


def estimated(before: str, after: str) -> str:
    """What was estimated, and what it was in the end."""
    return (
        after if NOTHING in (before, after) else f"{before} → {after}".replace(" ", "\u00a0").replace("\u00a0→", " →")
    )


def lines(items: Iterable[str]) -> None:
    """A list of somebody's texts."""
    st.markdown("\n".join(f"- {plain(item)}" for item in items))


def properties(material: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """(name, value as typed) of the properties that a material has."""
    for name, value in material.items():
        if name not in ("name", "source") and value is not None:
            yield name, str(value)

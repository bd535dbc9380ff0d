"""Where a case is solved and what it may use: what it takes at every place, and the choice of one."""

from __future__ import annotations

from typing import Any

import streamlit as st

from hub.problem import Refused
from ui import session, show
from ui.draft import Draft
from ui.forms import quantity
from ui.numbers import count, duration, memory, number
from ui.words import _, plain

HERE, BEST = "here", "best"
#: Seconds between two looks while a scheduler has not said how long the wait is.
AGAIN = 3.0


def limits(draft: Draft) -> None:
    """Cores, memory and time of a run, for who knows better than the estimate: after a run that was short of them."""
    given = draft.case.setdefault("resources", {})
    with st.expander(_("What the run may use"), icon=":material/speed:"):
        st.caption(_("Left empty, it follows from the estimate."))
        key = f"{draft.id}.ranks"
        st.session_state.setdefault(key, given.get("ranks"))
        asked: dict[str, Any] = {"ranks": st.number_input(_("Cores"), 1, 4096, key=key, value=None, step=1)}
        asked["memory"] = quantity(
            _("Memory, at most"), given.get("memory"), "byte", ("GB", "MB"), f"{draft.id}.memory"
        )
        asked["time"] = quantity(_("Time, at most"), given.get("time"), "s", ("h", "min", "s"), f"{draft.id}.time")
    for name, value in asked.items():
        given.pop(name, None)
        if value and str(value).strip():
            given[name] = value
    if not given:
        draft.case.pop("resources")


def choose(draft: Draft, document: dict[str, Any]) -> None:
    """Nothing to choose where this machine is all there is."""
    known = [cluster["name"] for cluster in session.clusters()["clusters"]]
    if not known:
        return
    given = draft.case.setdefault("resources", {})
    rules = {
        "here": _("by rule: this machine if it fits, else the soonest"),
        "sooner": _("by rule: where it is done soonest"),
        "cheaper": _("by rule: where it costs least"),
    }
    options = [HERE, *known, *(f"{BEST}.{rule}" for rule in rules)]
    names = {HERE: _("this machine"), **{f"{BEST}.{rule}": words for rule, words in rules.items()}}
    key = f"{draft.id}.where"
    if key not in st.session_state:
        place = given.get("cluster") or HERE
        wanted = f"{BEST}.{given.get('prefer') or 'here'}" if place == BEST else place
        st.session_state[key] = wanted if wanted in options else HERE
    chosen = st.selectbox(_("Where to solve it"), options, format_func=lambda o: names.get(o, o), key=key)
    for name in ("cluster", "prefer"):
        given.pop(name, None)
    if chosen.startswith(f"{BEST}."):
        given |= {"cluster": BEST, "prefer": chosen.removeprefix(f"{BEST}.")}
    elif chosen != HERE:
        given["cluster"] = chosen
    if not given:
        draft.case.pop("resources")
    found = _places(document)
    waits = any(place["queue_by"] == "unknown" and not place["queue_said"] for place in found)
    session.live(AGAIN if waits else None)(_table)(document)


def _places(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Empty where nothing can be said of a case."""
    try:
        return session.or_none(lambda: session.client().places(document)) or []
    except Refused:
        return []


def _table(document: dict[str, Any]) -> None:
    """Looks again by itself while a scheduler is being asked."""
    found = _places(document)
    if found:
        show.table([_row(place) for place in found], _("Where to solve it"))
    silent = [f"{p['cluster']}: {p['queue_said']}" for p in found if p["queue_said"]]
    if silent:
        st.caption(plain(_("No time to start is known: {words}", words="; ".join(silent))))


def _price(costs: float | None, currency: str) -> str:
    if costs is None:
        return "–"
    return f"< {number(0.01)} {currency}" if 0 < costs < 0.01 else f"{number(costs, 3)} {currency}"


def _row(place: dict[str, Any]) -> dict[str, str]:
    costs, energy = place["cost"], place["energy"]
    return {
        _("Where"): _("this machine") if place["cluster"] == HERE else place["cluster"],
        _("Fits"): _("yes") if place["fits"] else place["why"],
        _("Waits"): _waits(place),
        _("Solves"): duration(place["seconds"]),
        _("Cores"): count(place["ranks"]),
        _("Memory"): memory(place["memory"]),
        _("Cost"): _price(costs, place["currency"]),
        _("Energy"): f"{number(energy, 3)} kWh" if energy is not None else "–",
    }


def _waits(place: dict[str, Any]) -> str:
    if not place["fits"]:
        return "–"
    if place["queue_by"] == "unknown":
        return _("not known") if place["queue_said"] else _("being asked")
    return duration(place["queue"]) if place["queue"] >= 1 else _("no wait")

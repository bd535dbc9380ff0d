"""The control room of the house's staff: all runs as a board, organisations and quotas, estimates, the audit.

No title, part or result stands here: who a run belongs to, what it costs and whether it moves is all there is.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui import desk, session, show
from ui.numbers import count, duration, memory, number
from ui.words import _, plain

#: Columns of the board that something is to be done about, then those that only inform.
COLUMNS = ("waiting", "running", "stalled", "diverging", "failed", "client")
LOOKS: dict[str, tuple[show.Colour, str]] = {
    "waiting": ("gray", ":material/schedule:"),
    "running": ("blue", ":material/autorenew:"),
    "stalled": ("orange", ":material/hourglass_disabled:"),
    "diverging": ("violet", ":material/trending_up:"),
    "failed": ("red", ":material/error:"),
    "client": ("yellow", ":material/person_alert:"),
    "done": ("green", ":material/check_circle:"),
    "cancelled": ("gray", ":material/block:"),
}
#: Cards of a column before the rest is only counted.
CARDS = 12


def page() -> None:
    st.title(_("Control room"))
    if not desk.sees_board():
        st.info(_("This page is for the staff of the centre."), icon=":material/lock:")
        return
    names = [_("Board"), _("Organisations"), _("Predicted and actual"), _("Audit")]
    board, houses, figures, audit = st.tabs(names)
    with board:
        _board()
        _machines()
    with houses:
        _organisations()
    with figures:
        _figures()
    with audit:
        _audit()


@session.live(5.0)
def _board() -> None:
    runs = desk.board()
    names = column_names()
    done = sum(run["column"] == "done" for run in runs)
    st.caption(plain(_("Under way, or ended within a week. Done in that time: {n}.", n=count(done))))
    filed = {name: [run for run in runs if run["column"] == name] for name in COLUMNS}
    widths = [3 if of else 1 for of in filed.values()]  # a card needs room for its words, on a tablet too
    for column, (name, of) in zip(st.columns(widths, gap="small"), filed.items(), strict=True):
        colour, icon = LOOKS[name]
        with column:
            st.markdown(f":{colour}[{icon}] **{plain(names[name])}** :gray[{len(of)}]")
            for run in of[:CARDS]:
                _card(run)
            if len(of) > CARDS:
                st.caption(plain(_("and {n} more", n=len(of) - CARDS)))
            if not of:
                st.caption(_("none"))


def column_names() -> dict[str, str]:
    return {
        "waiting": _("Waiting"),
        "running": _("Running"),
        "stalled": _("Stalled"),
        "diverging": _("Diverging"),
        "failed": _("Failed"),
        "client": _("With the client"),
        "done": _("Done"),
        "cancelled": _("Cancelled"),
    }


def _card(run: dict[str, Any]) -> None:
    with st.container(border=True, gap="xsmall", key=f"board-{run['id']}"):
        st.markdown(f"**{plain(show.house(run['organisation']))}**  \n:gray[{plain(run['id'][-8:])}]")
        facts = [session.solver_titles().get(run["solver"], run["solver"])]
        if run["size"]:
            facts.append(_("{n} unknowns", n=count(run["size"])))
        facts.append(_("here") if run["cluster"] in (None, "here") else str(run["cluster"]))
        st.caption(plain(" · ".join(facts)))
        told = [show.stage_name(run["stage"])] if run["stage"] else []
        if run["of"]:
            told.append(f"{run['step']}/{run['of']}")
        if run["failure"]:
            told.append(show.failure_name(str(run["failure"])))
        told.append(show.ago(run["started"] or run["created"]))
        st.caption(plain(" · ".join(told)))
        _deeds(run)


def _deeds(run: dict[str, Any]) -> None:
    """What can be done about a run."""
    with st.popover(_("Act"), icon=":material/build:", width="stretch", key=f"act-{run['id']}"):
        st.caption(plain(run["id"]))
        if run["state"] in ("queued", "running"):
            if st.button(_("Cancel the run"), key=f"cancel-{run['id']}", icon=":material/block:", width="stretch"):
                desk.cancel(run["id"])
                st.rerun(scope="fragment")
        elif run["state"] != "cancelling" and st.button(
            _("Run again"), key=f"retry-{run['id']}", icon=":material/replay:", width="stretch"
        ):
            desk.retry(run["id"])
            st.rerun(scope="fragment")
        here = run["cluster"] or "here"
        places = [name for name in ["here", *(c["name"] for c in session.clusters()["clusters"])] if name != here]
        for place in places:
            label = _("Move here") if place == "here" else _("Move to {cluster}", cluster=place)
            if st.button(plain(label), key=f"move-{run['id']}-{place}", icon=":material/move_down:", width="stretch"):
                desk.retry(run["id"], place)
                st.rerun(scope="fragment")


def _machines() -> None:
    st.subheader(_("Machines"), anchor=False)
    disks, clusters = desk.disks(), session.clusters()["clusters"]
    cells = st.columns(4)
    for i, disk in enumerate(disks):
        with cells[i % 4], st.container(border=True):
            used = 1 - disk["free"] / max(1, disk["total"])
            name = {"home": _("Disk of the hub")}.get(disk["name"], disk["name"])
            st.progress(min(1.0, used), text=plain(_("{name}: {free} free", name=name, free=memory(disk["free"]))))
            if used > 0.9:
                st.warning(_("Nearly full."), icon=":material/disc_full:")
    for i, cluster in enumerate(clusters, len(disks)):
        with cells[i % 4], st.container(border=True, gap="xsmall"):
            st.markdown(f"**{plain(cluster['name'])}**")
            if cluster["trouble"]:
                st.badge(_("out of reach"), icon=":material/cloud_off:", color="red")
            st.caption(plain(_("jobs of this hub: {n}", n=count(cluster["jobs"]))))
    told = desk.notice_counts()
    if told:
        line = _("Notices: {sent} sent, {due} due, {lost} given up", sent=told.get("sent", 0), due=told.get("due", 0),
                 lost=told.get("given up", 0))  # fmt: skip
        st.caption(plain(line))
    session.link_to("clusters", _("Clusters"), icon=":material/dns:")


def _organisations() -> None:
    found = desk.organisations()
    rows = []
    for each in found:
        quota = each["quota"]
        limit = quota["core_hours"]
        row = {
            _("Organisation"): show.house(each["name"]),
            _("People"): each["members"],
            _("Runs, 30 days"): each["runs"],
            _("Under way"): each["active"],
            _("Failed"): each["failed"],
            _("Core-hours"): number(each["core_hours"], 3),
            _("Cost"): number(each["cost"], 3) if each["cost"] else "–",
            "kWh": number(each["energy"], 3) if each["energy"] else "–",
            _("Uploads"): memory(each["stored"]),
            _("Quota"): _("none") if limit is None else number(limit, 4),
            _("Reserved"): number(quota["reserved"], 3),
            _("Used of it"): number(quota["spent"], 3),
        }
        rows.append(row)
    show.table(rows, _("Organisations"))
    st.subheader(_("Set a quota"), anchor=False)
    names = {each["id"]: show.house(each["name"]) for each in found}
    with st.form("quota", border=True):
        who, limit, anew = st.columns([3, 2, 2], vertical_alignment="bottom")
        chosen = who.selectbox(_("Organisation"), list(names), format_func=lambda i: plain(names[i]))
        typed = limit.text_input(_("Core-hours, empty for no limit"))
        fresh = anew.checkbox(_("Count anew from now"))
        if st.form_submit_button(_("Set"), icon=":material/check:") and chosen:
            text = typed.strip().replace(",", ".")
            try:
                hours = float(text) if text else None
            except ValueError:
                st.error(_("Type a number, such as 250."), icon=":material/error:")
            else:
                desk.set_quota(chosen, hours, anew=fresh)
                st.rerun()
    st.caption(_("What a run should take is reserved when it is submitted; what it took is counted when it has ended."))


def _figures() -> None:
    rows = []
    for run in desk.board(days=90):
        predicted, actual = run["predicted"] or {}, run["actual"] or {}
        if run["state"] != "done" or not predicted.get("seconds") or not actual.get("seconds"):
            continue
        row = {
            _("Run"): run["id"][-8:],
            _("Organisation"): show.house(run["organisation"]),
            _("Solver"): run["solver"],
            _("Where"): _("here") if run["cluster"] in (None, "here") else str(run["cluster"]),
            _("Unknowns"): count(run["size"] or 0),
            _("Time"): show.estimated(duration(predicted["seconds"]), duration(actual["seconds"])),
            _("Ratio"): number(actual["seconds"] / predicted["seconds"], 2),
            _("Memory"): show.estimated(
                *(memory(of["memory"]) if of.get("memory") else "–" for of in (predicted, actual))
            ),
        }
        rows.append(row)
    if rows:
        show.table(rows, _("Predicted and actual"))
        st.caption(_("Before an arrow stands what was estimated, behind it what it was."))
    else:
        st.caption(_("Once runs are done, what they were to take stands here beside what they took."))


def _audit() -> None:
    rows = [
        {
            _("When"): show.stamp(deed["created"]),
            _("Organisation"): show.house(deed["organisation"]),
            _("Who"): show.house(deed["user"]),
            _("What"): deed["event"],
            _("On"): deed["subject"],
        }
        for deed in desk.audit()
    ]
    show.table(rows, _("Audit"))

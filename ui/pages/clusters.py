"""Clusters: whether they can be reached, staff's log-in and checks, and estimates against what runs took."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui import session, show
from ui.numbers import count, duration, memory, number
from ui.words import _, plain


def page() -> None:
    st.title(_("Clusters"))
    listed = session.clusters()
    staff = session.may("describe clusters, check them and log in to them")
    for problem in listed["problems"]:
        st.error(f"**{plain(problem['where'])}**: {plain(problem['found'])}", icon=":material/error:")
    if not listed["clusters"]:
        st.info(_("No cluster is described here: everything is solved on this machine."), icon=":material/computer:")
        if staff:
            st.code("officina cluster add NAME --host LOGIN-NODE --user USER --key FILE", language=None)
    for cluster in listed["clusters"]:
        with st.container(border=True, key=f"cluster-{cluster['name']}"):
            _cluster(cluster, staff=staff)
    _estimates()


def _cluster(cluster: dict[str, Any], *, staff: bool) -> None:
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.subheader(plain(cluster["name"]), anchor=False, width="content")
        if cluster["needs_login"]:
            st.badge(_("needs staff login"), icon=":material/key:", color="orange")
        elif cluster["trouble"]:
            st.badge(_("out of reach"), icon=":material/cloud_off:", color="red")
        else:
            st.badge(_("no trouble known"), icon=":material/check_circle:", color="green")
    facts = [
        _("cores for a job: {n}", n=count(cluster["ranks"])),
        _("{size} a node", size=memory(cluster["memory"])),
        _("{time} at the most", time=duration(cluster["time"])),
        _("jobs of this hub: {n}", n=count(cluster["jobs"])),
    ]
    if cluster["price"] is not None:
        facts.append(_("{price} {currency} a core-hour", price=number(cluster["price"]), currency=cluster["currency"]))
    if cluster["energy"] is not None:
        facts.append(_("{energy} kWh a core-hour", energy=number(cluster["energy"])))
    if cluster["retention"] is not None:
        facts.append(_("results stay {n} days", n=number(cluster["retention"])))
    st.caption(plain(" · ".join(facts)))
    if cluster["trouble"]:
        calm = _("Runs wait; nothing of them is lost.")
        st.warning(f"{plain(cluster['trouble'])}  \n{calm}", icon=":material/link_off:")
    if cluster["leaving"]:
        text = _("{n} results leave this cluster within a week and are nowhere else.", n=count(cluster["leaving"]))
        st.warning(plain(text), icon=":material/auto_delete:")
    if staff:
        _for_staff(cluster)


def _for_staff(cluster: dict[str, Any]) -> None:
    name = cluster["name"]
    if (cluster["description"] or {}).get("login") == "keyboard-interactive":
        _login(name)
    if st.button(_("Check"), key=f"check-{name}", icon=":material/fact_check:"):
        with st.spinner(_("Checking …")):
            st.session_state[f"checked.{name}"] = session.check_cluster(name) or []
    for finding in st.session_state.get(f"checked.{name}", ()):
        mark = ":green[:material/check_circle:]" if finding["passed"] else ":red[:material/error:]"
        text = f"{mark} {plain(finding['what'])} :gray[{plain(finding['said'])}]"
        st.markdown(text + (f"  \n→ {plain(finding['todo'])}" if finding["todo"] and not finding["passed"] else ""))
    with st.expander(_("Description"), icon=":material/description:"):
        st.json(cluster["description"] or {})


def _login(name: str) -> None:
    """The questions of a centre, for whoever has the one-time password."""
    key = f"login.{name}"
    if not st.session_state.get(key):
        if st.button(_("Log in"), key=f"begin-{name}", icon=":material/key:"):
            session.begin_login(name)
            st.session_state[key] = True
            st.rerun()
        return
    _questions(name, key)


@session.live(1.5)
def _questions(name: str, key: str) -> None:
    asked = session.login_questions(name) or {}
    if asked.get("outcome") is not None:
        st.session_state[key] = False
        if asked["outcome"]:
            st.error(plain(asked["outcome"]), icon=":material/error:")
        else:
            st.success(_("Logged in: what waited goes on."), icon=":material/check_circle:")
        return
    if not asked.get("questions"):
        st.caption(_("Waiting for the centre to ask. That begins as soon as a run waits for this cluster."))
        return
    for text in (asked["title"], asked["instructions"]):
        if text:
            st.markdown(plain(text))
    with st.form(f"answers-{name}", clear_on_submit=True):
        given = [
            st.text_input(text.rstrip(": ") or "?", type="default" if shown else "password", key=f"answer-{name}-{i}")
            for i, (text, shown) in enumerate(asked["questions"])
        ]
        if st.form_submit_button(_("Answer")):
            session.answer_login(name, given)


def _estimates() -> None:
    st.subheader(_("Estimated and taken"), anchor=False)
    found = session.or_none(session.client().estimates) or []
    if not found:
        st.caption(_("Once runs are done, what they were to take stands here beside what they took."))
        return
    rows = []
    for each in found:
        predicted, actual = each["predicted"], each["actual"]
        queues = (predicted.get("queue"), actual.get("queue"))
        row = {
            _("Title"): each["title"],
            _("Solver"): each["solver"],
            _("Where"): _("here") if actual.get("cluster") in (None, "here") else str(actual["cluster"]),
            _("Time"): show.estimated(duration(predicted["seconds"]), duration(actual["seconds"])),
            _("Ratio"): number(actual["seconds"] / predicted["seconds"], 2) if predicted["seconds"] else "–",
            _("Waited"): show.estimated(*(duration(q) if q is not None else "–" for q in queues)),
            _("Memory"): show.estimated(
                memory(predicted["memory"]), memory(actual["memory"]) if actual.get("memory") else "–"
            ),
            _("Cost"): f"{number(actual['cost'], 3)}" if actual.get("cost") is not None else "–",
        }
        rows.append(row)
    show.table(rows, _("Estimated and taken"))
    st.caption(_("Before an arrow stands what was estimated, behind it what it was."))

"""Where one begins: a question, a part of one's own, or a run that is there already."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui import session, show
from ui.words import _, plain


def page() -> None:
    st.title(_("From a part to a checked answer"))
    st.markdown(
        _("Upload a CAD part, say what holds and loads it, and read an answer in which every number has an error bar.")
    )
    left, right = st.columns([7, 3], gap="large")
    with left:
        with st.container(border=True):
            text, button = st.columns([3, 2], vertical_alignment="center")
            text.markdown(f"**{_('Your own part')}**  \n{_('STEP, IGES, BREP, STL or a mesh')}")
            if button.button(
                _("New case: upload your part"), type="primary", icon=":material/upload_file:", width="stretch"
            ):
                session.open_draft({})
        st.subheader(_("Or begin with a question"), anchor=False)
        templates = session.templates()
        if not templates:
            st.caption(_("There are no templates here."))
        areas = _areas(templates)
        if len(areas) > 1:
            st.session_state.setdefault("start.area", next(iter(areas)))
            names = _names()
            area = st.segmented_control(
                _("Area"), list(areas), key="start.area", required=True, label_visibility="collapsed",
                format_func=lambda name: names.get(name, name),
            )  # fmt: skip
            templates = areas.get(area, templates)
        questions = [t for t in templates if t["title"].rstrip().endswith("?")]
        _cards(questions)
        others = [t for t in templates if t not in questions]
        if others:
            with st.expander(_("Cases with a known answer"), expanded=not questions, icon=":material/verified:"):
                _cards(others)
    with right:
        st.subheader(_("Latest runs"), anchor=False)
        latest = session.runs(limit=6)
        if not latest:
            st.caption(_("Your runs will stand here."))
        for run in latest:
            with st.container(border=True, key=f"latest-{run['id']}"):
                session.link_to_run(run["id"], plain(run["title"]))
                with st.container(horizontal=True, vertical_alignment="center"):
                    show.state_badge(run["state"])
                    only = f" · {_('mesh only')}" if run.get("until") == "mesh" else ""
                    st.caption(plain(show.ago(session.made(run)) + only))
        if latest:
            session.link_to("runs", _("All runs"), icon=":material/list:")


def _names() -> dict[str, str]:
    """What the groups of solvers are called."""
    return {"fem": _("Strength and heat"), "cfd": _("Flow"), "dem": _("Grains and powders")}


def _areas(templates: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Templates by the group of their solver, those with a name of their own first."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in _names()}
    for template in templates:
        found.setdefault(str(template["case"].get("solver", "")).partition(".")[0], []).append(template)
    return {name: each for name, each in found.items() if each}


def _cards(templates: list[dict[str, Any]]) -> None:
    for row in range(0, len(templates), 3):
        for column, template in zip(st.columns(3), templates[row : row + 3], strict=False):
            with column, st.container(border=True, height="stretch", key=f"card-{template['name']}"):
                _picture(template)
                st.markdown(f"**{plain(template['title'])}**")
                st.caption(plain(template["description"]))
                if st.button(_("Begin with this"), key=f"template-{template['name']}", icon=":material/arrow_forward:"):
                    session.open_template(template["name"])


def _picture(template: dict[str, Any]) -> None:
    """The part of a template, as soon as the hub has drawn it: nobody waits for it."""
    picture = session.faces_picture(template["geometry"])
    if picture:
        show.picture(picture, template["title"])

"""A template as a question: the few inputs that matter, the check of it, and the run; all the rest is a click away."""

from __future__ import annotations

import copy
import re
from typing import Any

import streamlit as st

from hub.problem import Problem
from ui import session, show
from ui.draft import Draft
from ui.faces import pick_faces
from ui.forms import quantity
from ui.numbers import duration, memory
from ui.pages import held
from ui.words import _, language, plain, said


def page() -> None:
    name = st.query_params.get("template", "")
    template = next((t for t in session.templates() if t["name"] == name), None)
    if template is None:
        st.title(_("No such question"))
        session.link_to("start", _("Begin again"))
        return
    st.title(plain(template["title"]), anchor=False)
    st.markdown(plain(template["description"]))
    case = {**copy.deepcopy(template["case"]), "title": template["title"][:200], "language": language()}
    left, right = st.columns([5, 6], gap="large")
    with right:
        for ask in template["asks"]:
            _ask(case, ask, f"question.{name}.{ask['path']}")
        checked = session.check(case)
        found = [Problem.model_validate(p) for p in checked.get("problems") or []]
        _estimate(checked.get("estimate"))
        for problem in found:
            if problem.severity != "warning":
                show.problem(problem)
        run, change = st.columns(2)
        if run.button(
            _("Run it"), type="primary", icon=":material/play_arrow:", width="stretch", key="submit",
            disabled=any(p.severity != "warning" for p in found),
        ):  # fmt: skip
            started = session.submit(case)
            if started:
                session.open_run(started["id"])
        if change.button(_("Change everything"), icon=":material/tune:", width="stretch"):
            session.open_draft(case, template["geometry_name"], step=2)
        st.caption(_("“Change everything” leads through the four steps: part, supports and loads, material, check."))
    with left:
        _part(Draft(name, case, faces=checked.get("faces") or {}), template)


def _part(draft: Draft, template: dict[str, Any]) -> None:
    """The part with what holds and loads it."""
    geometry = {**draft.case["geometry"], "file": template["geometry"]}
    verdict = (session.checked_file(geometry) or {}).get("verdict") or {}
    faces, kinds = verdict.get("faces") or [], session.solver(draft.case["solver"]).get("conditions") or {}
    if faces:
        pick_faces(faces, [], verdict["box"], geometry, f"question.{draft.id}",
                   marks=held.marks(draft, kinds, faces), listed=False)  # fmt: skip


def _ask(case: dict[str, Any], ask: dict[str, Any], key: str) -> None:
    """One input, kept as typed in its place in the case."""
    *way, last = (int(p) if p.isdigit() else p for p in re.findall(r"[^.\[\]]+", ask["path"]))
    place: Any = case
    for part in way:
        place = place[part]
    label = plain(said(ask["label"]))
    if ask["unit"] == "material":
        library = session.materials()
        names = list(library)
        st.session_state.setdefault(key, place[last])
        place[last] = st.selectbox(label, names, format_func=lambda k: plain(_(library[k]["name"])), key=key)
        return
    typed = quantity(label, place[last], ask["unit"], tuple(ask["units"]), key)
    if typed.strip():
        place[last] = typed


def _estimate(estimate: dict[str, Any] | None) -> None:
    if estimate:
        time, room = duration(estimate["seconds"]), memory(estimate["memory"])
        st.caption(plain(_("About {time} and {memory} of memory.", time=time, memory=room)))

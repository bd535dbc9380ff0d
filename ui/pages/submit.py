"""Step 4: how finely to look, what is wrong or doubtful, what it costs; then the run."""

from __future__ import annotations

from typing import Any

import streamlit as st

from hub.problem import Problem
from ui import session, show
from ui.draft import Draft
from ui.forms import fields, form, quantity
from ui.numbers import count, duration, memory
from ui.pages import where
from ui.pages.domain import with_openings
from ui.pages.run import mesh
from ui.words import _, human, plain

LEVELS = ("coarse", "normal", "fine")
#: Where a problem belongs -> the step in which it is mended.
STEPS = {"geometry": 1, "selections": 2, "conditions": 2, "solver": 2, "bodies": 3}


def step(draft: Draft) -> None:
    left, right = st.columns([1, 1], gap="large")
    with left:
        _title(draft)
        _fineness(draft)
        _parameters(draft)
        where.limits(draft)
    document = with_openings(draft.document())
    missing, complete = _missing(document)
    checked = session.check(complete)
    draft.faces.update(checked.get("faces") or {})
    found = missing + [Problem.model_validate(p) for p in checked.get("problems") or []]
    blocking = [p for p in found if p.severity != "warning"]
    with right:
        _estimate(checked.get("estimate"))
        if checked.get("estimate") and not blocking:
            where.choose(draft, complete)
        _problems(draft, found)
        if not blocking:
            st.success(_("Nothing is missing: the case can be run."), icon=":material/check_circle:")
        _run(draft, document, blocked=bool(blocking))
    _preview(draft)


def _missing(document: dict[str, Any]) -> tuple[list[Problem], dict[str, Any]]:
    """What was not chosen yet, and the case with something in its place, so that all the rest is checked too."""
    found, complete = [], dict(document)
    if not document.get("title"):
        found.append(Problem(where="title", found=_("no title"), expected=_("a name by which you find it again")))
        complete["title"] = "?"
    bodies = document.get("bodies") or [{"on": "all"}]
    if any(not body.get("material") for body in bodies):
        found.append(Problem(where="bodies", found=_("no material chosen"), expected=_("a material for every part")))
        complete["bodies"] = [{**b, "material": b.get("material") or next(iter(session.materials()))} for b in bodies]
    return found, complete


def _title(draft: Draft) -> None:
    key = f"{draft.id}.title"
    if key not in st.session_state:
        st.session_state[key] = draft.case.get("title", "")
    draft.case["title"] = st.text_input(
        _("Title of the case"), key=key, max_chars=200, placeholder=_("for example: Will this bracket hold?")
    ).strip()


def _fineness(draft: Draft) -> None:
    mesh: dict[str, Any] = draft.case.setdefault("mesh", {})
    names = {"coarse": _("coarse: a first look"), "normal": _("normal"), "fine": _("fine: smaller error bars")}
    key = f"{draft.id}.fineness"
    if key not in st.session_state:
        st.session_state[key] = mesh.get("fineness", "normal")
    mesh["fineness"] = st.segmented_control(
        _("How finely to look"), LEVELS, format_func=names.__getitem__, key=key, required=True
    )
    with st.expander(_("More about the mesh"), icon=":material/grid_on:"):
        size = quantity(
            _("Largest element, if you want to say it"),
            mesh.get("size"),
            "m",
            ("mm", "m", "cm", "in"),
            f"{draft.id}.size",
        )
        mesh.pop("size", None)
        if size.strip():
            mesh["size"] = size


def _parameters(draft: Draft) -> None:
    """Parameters of the solver, where it has any: experts change them, all others leave them alone."""
    solver = session.solver(draft.case["solver"]) if draft.case.get("solver") else {}
    found = fields(solver.get("parameters") or {})
    if found:
        with st.expander(_("Settings of the solver"), icon=":material/tune:"):
            form(found, draft.case.setdefault("parameters", {}), f"{draft.id}.parameters")


def _estimate(estimate: dict[str, Any] | None) -> None:
    if not estimate:
        return
    st.markdown(f"**{_('What it will cost')}**")
    cells = st.columns(3)
    cells[0].metric(_("Unknowns"), count(estimate["unknowns"]), border=True)
    cells[1].metric(_("Time, about"), duration(estimate["seconds"]), border=True)
    cells[2].metric(_("Memory"), memory(estimate["memory"]), border=True)
    one = estimate["ranks"] == 1
    said = _("on one core of this machine; meshing comes on top") if one else ""
    st.caption(plain(said or _("on {n} cores of this machine; meshing comes on top", n=estimate["ranks"])))


def _problems(draft: Draft, found: list[Problem]) -> None:
    """Each problem under the step in which it is mended, with the way there."""
    names = {1: _("Part"), 2: _("Held and loaded"), 3: _("Material"), 4: _("Check and run")}
    from ui.pages.case import go_to

    for step_number in names:
        of_step = [p for p in found if STEPS.get(p.where.split(".")[0].split("[")[0], 4) == step_number]
        if not of_step:
            continue
        head, way = st.columns([3, 2], vertical_alignment="center")
        head.markdown(f"**{names[step_number]}**")
        if step_number != 4:
            way.button(
                _("Go there"),
                key=f"mend-{step_number}",
                icon=":material/build:",
                on_click=go_to,
                args=(step_number,),
                width="stretch",
            )
        for problem in of_step:
            show.problem(_named(draft, problem))


def _named(draft: Draft, problem: Problem) -> Problem:
    """The same problem said by the name of the condition and by what was typed there."""
    if not problem.where.startswith("conditions["):
        return problem
    index, _bracket, rest = problem.where.removeprefix("conditions[").partition("]")
    if not index.isdigit() or int(index) >= len(draft.conditions):
        return problem
    condition = draft.conditions[int(index)]
    name, field = condition.get("name") or human(condition["kind"]), rest.strip(".")
    said: dict[str, Any] = {"where": ", ".join([name, human(field).lower()] if field else [name])}
    typed = condition.get(field)
    if field == "on" and not typed:
        said |= {"where": name, "found": _("no face picked"), "expected": _("at least one face"), "todo": ""}
    elif isinstance(typed, dict):
        said["found"] = str(typed.get("magnitude") or _("nothing"))
    return problem.model_copy(update=said)


def _run(draft: Draft, document: dict[str, Any], *, blocked: bool) -> None:
    run, look = st.columns(2)
    if run.button(
        _("Run it"), type="primary", icon=":material/play_arrow:", width="stretch", disabled=blocked, key="submit"
    ):
        started = session.submit(document)
        if started:
            session.open_run(started["id"])
    if look.button(
        _("Only look at the mesh"), icon=":material/grid_4x4:", width="stretch", disabled=blocked, key="preview"
    ):
        started = session.submit(document, until="mesh")
        if started:
            draft.preview = started["id"]
            st.rerun()


def _preview(draft: Draft) -> None:
    if draft.preview:
        st.subheader(_("The mesh"), anchor=False)
        run = session.run(draft.preview)
        if run and run["state"] not in show.ENDED:
            _watch_preview(draft.preview)
        elif run and run["state"] == "done":
            mesh(draft.preview)
        elif run:
            failure = run.get("failure") or {}
            said = failure.get("message") or show.state_name(run["state"])
            st.error(f"{plain(said)}  \n{plain(failure.get('hint') or '')}", icon=":material/error:")


@session.live(1.0)
def _watch_preview(run_id: str) -> None:
    run = session.run(run_id)
    if run is None or run["state"] in show.ENDED:
        st.rerun(scope="app")
    status = run.get("status") or {}
    step, of = int(status.get("step") or 0), int(status.get("of") or 0)
    text = plain(status.get("doing") or show.stage_name(run.get("stage")) or show.state_name(run["state"]))
    st.progress(min(1.0, step / of) if of else 0.0, text=text)

"""Where the equations are solved: in the part, inside it, around it, on a flat face of it, or on its walls."""

from __future__ import annotations

from typing import Any

import streamlit as st

from hub.case import BROUGHT, Around
from ui.draft import Draft
from ui.forms import fields, form
from ui.words import _, plain

#: Conditions through which a fluid comes and goes: inside a part, their faces surround its openings.
OPENINGS = ("inlet", "outlet", "periodic")


def choose(draft: Draft, solver: dict[str, Any], waiting: list[int], faces: list[dict[str, Any]]) -> None:
    """Let a person choose among the domains that the solver knows, where there are several."""
    kinds = list(solver.get("domains") or ["part"])
    domain: dict[str, Any] = draft.case.setdefault("domain", {"kind": kinds[0]})
    if domain.get("kind") not in kinds:
        domain.clear()
        domain["kind"] = kinds[0]
    if len(kinds) > 1:
        names = {
            "part": _("in the part"),
            "inside": _("inside the part"),
            "around": _("around the part"),
            "plane": _("on a flat face"),
            "walls": _("between its walls"),
        }
        key = f"{draft.id}.domain"
        st.session_state.setdefault(key, domain["kind"])
        chosen = st.segmented_control(_("Where"), kinds, format_func=names.__getitem__, key=key, required=True)
        if chosen != domain["kind"]:
            domain.clear()
            domain["kind"] = chosen
    match domain["kind"]:
        case "inside":
            st.caption(
                _("The fluid fills the part. Pick the end faces around its openings for what enters and leaves.")
            )
        case "around":
            st.caption(_("The fluid flows past the part, in a box that is drawn around it."))
            with st.expander(_("The box around the part"), expanded="along" not in domain):
                form(fields(Around.model_json_schema()), domain, f"{draft.id}.box")
        case "plane":
            _plane(draft, domain, waiting, faces)


def _plane(draft: Draft, domain: dict[str, Any], waiting: list[int], faces: list[dict[str, Any]]) -> None:
    known = draft.faces.get(domain.get("face", ""), [])
    said = _("face {n}", n=faces[known[0]]["index"] + 1) if known else _("no face yet")
    st.caption(plain(_("Solved in two dimensions on: {face}", face=said)))
    flat = [i for i in waiting if faces[i]["type"] == "plane"]
    if st.button(_("Solve on the picked face"), disabled=len(flat) != 1, icon=":material/crop_square:"):
        domain["face"] = draft.name_faces(_("the plane"), flat, faces)
        st.rerun()


def brought(draft: Draft) -> tuple[str, ...]:
    """Faces that the domain of a draft has beside those of the part."""
    return BROUGHT.get(draft.case.get("domain", {}).get("kind", "part"), ())


def with_openings(case: dict[str, Any]) -> dict[str, Any]:
    """A case whose domain knows its openings: the faces through which something enters or leaves."""
    if case.get("domain", {}).get("kind") != "inside":
        return case
    names: list[str] = []
    for condition in case.get("conditions", []):
        if condition["kind"] in OPENINGS:
            names += [name for name in condition.get("on") or [] if name not in names]
    return {**case, "domain": {"kind": "inside", "openings": names}}

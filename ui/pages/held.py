"""Step 2: where the part is held and where it is loaded."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui import session
from ui.draft import Draft
from ui.faces import pick_faces
from ui.forms import fields, form
from ui.numbers import quantity
from ui.words import _, human, plain

#: Symbols of the conditions most often used; any other has the last.
SYMBOLS = {
    "fixed": ":material/lock:",
    "symmetry": ":material/flip:",
    "displacement": ":material/straighten:",
    "elastic_support": ":material/compress:",
    "force": ":material/arrow_downward:",
    "pressure": ":material/compress:",
    "bearing": ":material/adjust:",
    "torque": ":material/rotate_right:",
    "gravity": ":material/south:",
    "acceleration": ":material/south:",
    "rotation": ":material/cyclone:",
}
OTHER = ":material/adjust:"


def ready(draft: Draft) -> bool:
    """Something acts somewhere."""
    return bool(draft.conditions) and all(c.get("on") or _on_whole(c) for c in draft.conditions)


def _on_whole(condition: dict[str, Any]) -> bool:
    return bool(condition.get("whole"))


def step(draft: Draft) -> None:
    verdict = session.verdict(draft)
    if verdict is None:
        st.warning(_("First choose a part."), icon=":material/warning:")
        return
    left, right = st.columns([6, 7], gap="medium")
    with left, st.container(key="stays"):
        picture = session.faces_picture(draft.case["geometry"])
        if picture:
            st.image(picture, width="stretch", alt=_("The part with its faces numbered and coloured"))
    with right:
        solver = _kind(draft)
        if solver is None:
            return
        kinds = solver["conditions"]
        _choose(draft, kinds)
        for i, condition in enumerate(draft.conditions):
            _condition(draft, i, condition, kinds, verdict, picture)


def _kind(draft: Draft) -> dict[str, Any] | None:
    """The kind of simulation, by what it is called."""
    titles = session.solver_titles()
    if not titles:
        st.error(_("No solver is installed."), icon=":material/error:")
        return None
    names = list(titles)
    if draft.case.get("solver") not in names:
        draft.case["solver"] = names[0]
    if len(names) == 1:
        st.caption(plain(_("To be computed: {what}", what=titles[names[0]])))
        return session.solver(names[0])
    key = f"{draft.id}.solver"
    st.session_state.setdefault(key, draft.case["solver"])
    chosen = st.selectbox(_("What is to be computed"), names, format_func=lambda n: titles[n], key=key)
    if chosen != draft.case["solver"]:
        draft.case["solver"] = chosen
        draft.case["parameters"] = {}
        draft.keep_kinds(session.solver(chosen)["conditions"])
    return session.solver(chosen)


def _choose(draft: Draft, kinds: dict[str, Any]) -> None:
    """A button for each kind of condition."""
    st.markdown(f"**{_('Add what holds or loads the part')}**")
    with st.container(horizontal=True, gap="xsmall", key="kinds"):
        for kind, schema in kinds.items():
            st.button(
                plain(human(kind)),
                key=f"{draft.id}.add.{kind}",
                icon=SYMBOLS.get(kind, OTHER),
                help=plain(" ".join(str(schema.get("description", "")).split())) or None,
                on_click=_add,
                args=(draft, kind),
            )
    if not draft.conditions:
        st.caption(_("For example: where it is screwed on, and then the force that pulls at it."))


def _add(draft: Draft, kind: str) -> None:
    draft.add_condition(kind, human(kind))
    st.session_state[f"{draft.id}.open"] = len(draft.conditions) - 1


def _condition(
    draft: Draft,
    index: int,
    condition: dict[str, Any],
    kinds: dict[str, Any],
    verdict: dict[str, Any],
    picture: bytes | None,
) -> None:
    faces = verdict.get("faces") or []
    kind = condition["kind"]
    schema = kinds.get(kind, {})
    key = draft.key_of(condition)
    picked = draft.picked(condition)
    is_open = st.session_state.get(f"{draft.id}.open") == index
    with st.container(border=True, key=f"condition-{index + 1}"):
        head, edit, remove = st.columns([7, 2, 1], vertical_alignment="center")
        name = plain(condition.get("name") or human(kind))
        head.markdown(f"{SYMBOLS.get(kind, OTHER)} **{name}**  \n:gray[{_summary(draft, condition, picked, faces)}]")
        edit.button(
            _("Close") if is_open else _("Edit"),
            key=f"{key}.toggle",
            width="stretch",
            on_click=_toggle,
            args=(draft, None if is_open else index),
        )
        remove.button(
            "", key=f"{key}.remove", icon=":material/delete:", help=_("Remove"), on_click=_remove, args=(draft, index)
        )
        if not is_open:
            return
        form(fields(schema, human(kind)), condition, key)
        if "on" in schema.get("properties", {}) and faces:
            if draft.names_on(condition) and not picked:
                st.info(
                    plain(_("Acts on: {names}", names=", ".join(draft.names_on(condition)))), icon=":material/info:"
                )
            found = pick_faces(faces, picked, verdict["box"], picture, f"{key}.faces")
            if found != picked:
                draft.pick(index, found, faces)
                st.rerun()


def _toggle(draft: Draft, index: int | None) -> None:
    st.session_state[f"{draft.id}.open"] = index


def _remove(draft: Draft, index: int) -> None:
    draft.remove_condition(index)
    st.session_state[f"{draft.id}.open"] = None


def _summary(draft: Draft, condition: dict[str, Any], picked: list[int], faces: list[dict[str, Any]]) -> str:
    """Where a condition acts and with what value, in one line."""
    if picked:
        numbers = ", ".join(str(faces[i]["index"] + 1) for i in picked[:12]) + (" …" if len(picked) > 12 else "")
        where = _("face {n}", n=numbers) if len(picked) == 1 else _("faces {n}", n=numbers)
        where += f" ({quantity(sum(faces[i]['area'] for i in picked), 'm**2')})"
    elif names := draft.names_on(condition):
        where = ", ".join(names)
    else:
        where = _("no face yet")
    values = [_said(v) for k, v in condition.items() if k not in ("kind", "name", "on")]
    return plain(" · ".join([where, *[v for v in values if v]]))


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value.get('magnitude')} → {_said(value.get('direction'))}" if value.get("magnitude") else ""
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(str(v) for v in value) + ")" if any(str(v).strip() for v in value) else ""
    if isinstance(value, bool):
        return ""
    return "" if value is None else str(value)

"""Step 2: where the part is held and where it is loaded."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import streamlit as st
from pydantic import TypeAdapter, ValidationError

from hub.problem import Refused
from hub.units import Direction
from ui import session
from ui.draft import Draft
from ui.faces import COLOURS, mark, pick_faces
from ui.forms import fields, form, in_words
from ui.numbers import quantity
from ui.pages import domain
from ui.words import _, human, plain

#: Symbols of the conditions most often used; any other has the last.
SYMBOLS = {
    "fixed": ":material/lock:",
    "symmetry": ":material/flip:",
    "periodic": ":material/repeat:",
    "porous": ":material/blur_on:",
    "fan": ":material/mode_fan:",
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

#: What a case of one's own begins with, if it is there.
FIRST = ("fem.elasticity",)

_direction = TypeAdapter(Direction)


def ready(draft: Draft) -> bool:
    """Something acts somewhere, and no face of a revised part waits for an answer."""
    kinds = session.solver(draft.case["solver"])["conditions"] if draft.case.get("solver") else {}
    somewhere = all(c.get("on") or not kinds.get(c["kind"], {}).get("properties", {}).get("on", {}).get("minItems")
                    for c in draft.conditions)  # fmt: skip
    return bool(draft.conditions) and not draft.unsure and somewhere


def _on_faces(schema: dict[str, Any]) -> bool:
    """Whether a condition acts on faces, not in bodies or on everything."""
    on = schema.get("properties", {}).get("on")
    return on is not None and on.get("maxItems") != 0


def step(draft: Draft) -> None:
    verdict = session.verdict(draft)
    if verdict is None:
        st.warning(_("First choose a part."), icon=":material/warning:")
        return
    faces = verdict.get("faces") or []
    left, right = st.columns([6, 7], gap="medium")
    with right:
        solver = _kind(draft)
        if solver is None:
            return
        kinds = solver["conditions"]
        domain.choose(draft, solver, st.session_state.get(f"{draft.id}.waiting", []), faces)
        _choose(draft, kinds, faces)
        _named(draft, faces)
        for i, condition in enumerate(draft.conditions):
            _condition(draft, i, condition, kinds, faces)
    with left, st.container(key="stays"):
        _part(draft, kinds, faces, verdict["box"])


def _part(draft: Draft, kinds: dict[str, Any], faces: list[dict[str, Any]], box: Any) -> None:
    """The part; what is picked on it goes to the condition that is open, or waits for the next one."""
    is_open = st.session_state.get(f"{draft.id}.open")
    index = is_open if is_open is not None and is_open < len(draft.conditions) else None
    condition = draft.conditions[index] if index is not None else None
    waiting = st.session_state.setdefault(f"{draft.id}.waiting", [])
    before = draft.picked(condition) if condition else waiting
    asked = str(st.session_state.get(f"{draft.id}.turn", 0))
    found = pick_faces(faces, before, box, draft.case["geometry"], f"{draft.id}.part", asked=asked,
                       marks=marks(draft, kinds, faces))  # fmt: skip
    if found == before:
        return
    if index is None:
        st.session_state[f"{draft.id}.waiting"] = found
    elif _on_faces(kinds.get(draft.conditions[index]["kind"], {})):
        draft.pick(index, found, faces)
    st.rerun()


def marks(draft: Draft, kinds: dict[str, Any], faces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each load and support as it is drawn on the part."""
    return [_mark(draft, i, c, kinds, faces) for i, c in enumerate(draft.conditions)]


def _mark(
    draft: Draft, index: int, condition: dict[str, Any], kinds: dict[str, Any], faces: list[dict[str, Any]]
) -> dict[str, Any]:
    values = [_said(v) for k, v in condition.items() if k not in ("kind", "name", "on")]
    text = " ".join([str(condition.get("name") or human(condition["kind"])), *[v for v in values if v][:1]])
    vector, presses = _acts(condition, kinds.get(condition["kind"], {}))
    colour = COLOURS[index % len(COLOURS)]
    return mark(colour, text, faces, draft.picked(condition), vector, presses)


def _acts(condition: dict[str, Any], schema: dict[str, Any]) -> tuple[list[float] | None, bool]:
    """Where a load pulls, and whether it presses on its faces, from what has been typed so far."""
    for name, value in condition.items():
        field = schema.get("properties", {}).get(name, {})
        if isinstance(value, dict) and value.get("magnitude"):
            with suppress(Refused, ValueError, TypeError, ValidationError):
                return list(_direction.validate_python(value.get("direction"))), False
        if isinstance(value, str) and value.strip() and field.get("x-unit") == "Pa" and "x-shape" not in field:
            return None, not value.strip().startswith(("-", "−"))
    return None, False


def _kind(draft: Draft) -> dict[str, Any] | None:
    """The kind of simulation, by what it is called."""
    titles = session.solver_titles()
    if not titles:
        st.error(_("No solver is installed."), icon=":material/error:")
        return None
    names = list(titles)
    if draft.case.get("solver") not in names:
        draft.case["solver"] = next((name for name in FIRST if name in names), names[0])
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


def _choose(draft: Draft, kinds: dict[str, Any], faces: list[dict[str, Any]]) -> None:
    """A button for each kind of condition; it takes the faces that were picked before it was pressed."""
    st.markdown(f"**{_('Add what holds or loads the part')}**")
    with st.container(horizontal=True, gap="xsmall", key="kinds"):
        for kind, schema in kinds.items():
            st.button(
                plain(human(kind)),
                key=f"{draft.id}.add.{kind}",
                icon=SYMBOLS.get(kind, OTHER),
                help=plain(in_words(schema.get("description"))) or None,
                on_click=_add,
                args=(draft, kind, _on_faces(schema), faces),
            )
    if not draft.conditions:
        st.caption(_("For example: where it is screwed on, and then the force that pulls at it."))


def _named(draft: Draft, faces: list[dict[str, Any]]) -> None:
    """Faces under a name of their own: the picked ones can be given one, and each can be forgotten."""
    is_open = st.session_state.get(f"{draft.id}.open")
    waiting = st.session_state.get(f"{draft.id}.waiting") or []
    if is_open is not None and is_open < len(draft.conditions):
        waiting = draft.picked(draft.conditions[is_open])
    if not waiting and not draft.named:
        return
    title = _("Named faces") + (f" ({len(draft.named)})" if draft.named else "")
    with st.expander(plain(title), icon=":material/label:", key="named"):
        for name in list(draft.named):
            left, right = st.columns([7, 1], vertical_alignment="center")
            numbers = ", ".join(str(faces[i]["index"] + 1) for i in draft.faces.get(name, []))
            left.markdown(f"**{plain(name)}** :gray[{plain(_('faces {n}', n=numbers))}]")
            right.button(
                "", key=f"{draft.id}.forget.{name}", icon=":material/delete:", help=_("Forget this name"),
                on_click=draft.forget_name, args=(name,),
            )  # fmt: skip
        if waiting:
            with st.form(f"{draft.id}.naming", border=False, clear_on_submit=True):
                left, right = st.columns([3, 2], vertical_alignment="bottom")
                wanted = left.text_input(_("Name for the picked faces"), max_chars=60)
                if right.form_submit_button(_("Keep")) and wanted.strip():
                    name = draft.name_picked(wanted.strip(), waiting, faces)
                    if is_open is None:
                        st.session_state[f"{draft.id}.waiting"] = []
                    else:
                        draft.conditions[is_open]["on"] = [name]
                        draft.pick(is_open, waiting, faces)
                    st.session_state[f"{draft.id}.turn"] = st.session_state.get(f"{draft.id}.turn", 0) + 1
                    st.rerun()


def _add(draft: Draft, kind: str, on_faces: bool, faces: list[dict[str, Any]]) -> None:
    draft.add_condition(kind, human(kind))
    index = len(draft.conditions) - 1
    if on_faces and (waiting := st.session_state.get(f"{draft.id}.waiting")):
        draft.pick(index, waiting, faces)
    _open(draft, index)


def _condition(
    draft: Draft, index: int, condition: dict[str, Any], kinds: dict[str, Any], faces: list[dict[str, Any]]
) -> None:
    kind = condition["kind"]
    schema = kinds.get(kind, {})
    key = draft.key_of(condition)
    picked = draft.picked(condition)
    is_open = st.session_state.get(f"{draft.id}.open") == index
    with st.container(border=True, key=f"condition-{index + 1}"):
        head, edit, remove = st.columns([5, 3, 1], vertical_alignment="center")
        name = plain(condition.get("name") or human(kind))
        head.markdown(
            f"{SYMBOLS.get(kind, OTHER)} **{name}**  \n:gray[{_summary(draft, condition, schema, picked, faces)}]"
        )
        edit.button(
            _("Close") if is_open else _("Edit"),
            key=f"{key}.toggle",
            width="stretch",
            on_click=_open,
            args=(draft, None if is_open else index),
        )
        remove.button(
            "", key=f"{key}.remove", icon=":material/delete:", help=_("Remove"), on_click=_remove, args=(draft, index)
        )
        if not is_open:
            return
        form(fields(schema, human(kind)), condition, key)
        if _on_faces(schema) and (others := domain.brought(draft)):
            now = [name for name in draft.names_on(condition) if name in others]
            st.session_state.setdefault(f"{key}.brought", now)
            chosen = st.multiselect(_("Sides of the box, and the whole part"), others, key=f"{key}.brought")
            if chosen != now:
                condition["on"] = [n for n in draft.names_on(condition) if n not in others] + chosen
                st.rerun()
        if _on_faces(schema) and draft.named:
            st.session_state[f"{key}.named"] = [n for n in draft.names_on(condition) if n in draft.named]
            st.multiselect(
                _("Named faces"), draft.named, key=f"{key}.named", format_func=plain, on_change=_use_named,
                args=(draft, index, key, faces),
            )  # fmt: skip
        if _on_faces(schema) and faces and not picked:
            names = draft.names_on(condition)
            said = _("Acts on: {names}", names=", ".join(names)) if names else _("Click its faces on the part.")
            st.info(plain(said), icon=":material/info:")


def _use_named(draft: Draft, index: int, key: str, faces: list[dict[str, Any]]) -> None:
    """What was chosen of the named faces for a condition; those picked for it alone stay."""
    condition = draft.conditions[index]
    chosen = st.session_state[f"{key}.named"]
    now = [name for name in draft.names_on(condition) if name in draft.named]
    gone = {i for name in now if name not in chosen for i in draft.faces.get(name, [])}
    kept = set(draft.picked(condition)) - gone
    condition["on"] = [n for n in draft.names_on(condition) if n not in now] + chosen
    draft.pick(index, sorted(kept | {i for name in chosen for i in draft.faces.get(name, [])}), faces)
    st.session_state[f"{draft.id}.turn"] = st.session_state.get(f"{draft.id}.turn", 0) + 1


def _open(draft: Draft, index: int | None) -> None:
    """Another condition, or none, is open now: faces are picked for it, beginning with its own."""
    st.session_state[f"{draft.id}.open"] = index
    st.session_state[f"{draft.id}.waiting"] = []
    st.session_state[f"{draft.id}.turn"] = st.session_state.get(f"{draft.id}.turn", 0) + 1


def _remove(draft: Draft, index: int) -> None:
    draft.remove_condition(index)
    _open(draft, None)


def _summary(
    draft: Draft, condition: dict[str, Any], schema: dict[str, Any], picked: list[int], faces: list[dict[str, Any]]
) -> str:
    """Where a condition acts and with what value, in one line."""
    if picked:
        numbers = ", ".join(str(faces[i]["index"] + 1) for i in picked[:12]) + (" …" if len(picked) > 12 else "")
        where = _("face {n}", n=numbers) if len(picked) == 1 else _("faces {n}", n=numbers)
        where += f" ({quantity(sum(faces[i]['area'] for i in picked), 'm**2')})"
    elif names := draft.names_on(condition):
        where = ", ".join(names)
    else:
        where = _("no face yet") if _on_faces(schema) else ""
    values = [_said(v) for k, v in condition.items() if k not in ("kind", "name", "on")]
    return plain(" · ".join(said for said in (where, *values) if said))


def _said(value: Any) -> str:
    if isinstance(value, dict):
        towards = _said(value.get("direction")).replace("-", "−")
        return f"{value.get('magnitude')} → {towards}" if value.get("magnitude") else ""
    if isinstance(value, (list, tuple)):
        return "(" + ", ".join(str(v) for v in value) + ")" if any(str(v).strip() for v in value) else ""
    if isinstance(value, bool):
        return ""
    return "" if value is None else str(value)

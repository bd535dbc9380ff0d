"""Step 3: what the part is made of."""

from __future__ import annotations

from typing import Any

import streamlit as st

from ui import session
from ui.draft import Draft
from ui.forms import quantity
from ui.words import _, human, plain

OWN = "…"


def ready(draft: Draft) -> bool:
    """Every body has a material."""
    bodies = draft.case.get("bodies") or []
    return bool(bodies) and all(b.get("material") for b in bodies)


def step(draft: Draft) -> None:
    verdict = session.verdict(draft) or {}
    names = [body["name"] for body in verdict.get("bodies") or []]
    bodies: list[dict[str, Any]] = draft.case.setdefault("bodies", [])
    if not bodies:
        bodies.append({"on": "all", "material": ""})
    if len(names) > 1:
        _several(draft, names)
    for i, body in enumerate(draft.case["bodies"]):
        if len(draft.case["bodies"]) > 1:
            on = body.get("on", "all")
            st.subheader(plain(_("All other parts") if on == "all" else on if isinstance(on, str) else ", ".join(on)))
        _material(draft, i, body)


def _several(draft: Draft, names: list[str]) -> None:
    """One material for all, or some bodies with their own."""
    bodies = draft.case["bodies"]
    key = f"{draft.id}.special"
    own = [b["on"] for b in bodies if isinstance(b.get("on"), str) and b["on"] != "all"]
    if key not in st.session_state:
        st.session_state[key] = [n for n in own if n in names]
    chosen = st.multiselect(
        _("Bodies of another material than the rest"), names, key=key, format_func=plain, placeholder=_("none")
    )
    kept = {b["on"]: b for b in bodies if isinstance(b.get("on"), str)}
    first = kept.get("all") or next((b for b in bodies if b.get("on", "all") == "all"), {"on": "all", "material": ""})
    draft.case["bodies"] = [{**first, "on": "all"}] + [kept.get(n, {"on": n, "material": ""}) for n in chosen]


def _material(draft: Draft, index: int, body: dict[str, Any]) -> None:
    library = session.materials()
    needed = list(session.solver(draft.case["solver"]).get("material", ())) if draft.case.get("solver") else []
    now = body.get("material")
    key = f"{draft.id}.material.{index}"
    options = [*library, OWN]
    if key not in st.session_state:
        st.session_state[key] = (
            now if isinstance(now, str) and now in library else OWN if isinstance(now, dict) else None
        )
    left, right = st.columns([2, 3], gap="large")
    with left:
        chosen = st.selectbox(
            _("Material"),
            options,
            format_func=lambda k: _("own values …") if k == OWN else plain(_(library[k]["name"])),
            key=key,
            placeholder=_("Choose a material"),
        )
        if chosen == OWN:
            st.caption(_("Type the values of your certificate, each with its unit."))
        elif chosen:
            st.caption(_("Values at room temperature, for a first answer. For a design use those of your certificate."))
    with right, st.container(border=True):
        if chosen is None:
            st.caption(_("The properties and where they are from will stand here."))
        elif chosen == OWN:
            body["material"] = _own(now if isinstance(now, dict) else {}, needed, f"{key}.own")
        else:
            body["material"] = chosen
            _properties(library[chosen], needed)


def _properties(material: dict[str, Any], needed: list[str]) -> None:
    st.markdown(f"**{plain(_(material['name']))}**")
    for name, (_unit, _units) in session.material_fields().items():
        value = material.get(name)
        if value is None:
            continue
        left, right = st.columns([3, 2])
        mark = "" if name in needed else ":gray["
        left.markdown(f"{mark}{plain(human(name))}{']' if mark else ''}")
        right.markdown(plain(session.property_text(name, value)), text_alignment="right")
    missing = [human(name) for name in needed if material.get(name) is None]
    if missing:
        st.error(plain(_("This material lacks: {names}", names=", ".join(missing))), icon=":material/error:")
    st.caption(f":material/menu_book: {plain(_('Source'))}: {plain(material.get('source') or _('not said'))}")


def _own(values: dict[str, Any], needed: list[str], key: str) -> dict[str, Any]:
    """Fields for the properties of a material of one's own; what the solver needs comes first."""
    values = dict(values)
    for name, label in (("name", _("Name")), ("source", _("Source of the values (certificate, norm, data sheet)"))):
        if f"{key}.{name}" not in st.session_state:
            st.session_state[f"{key}.{name}"] = values.get(name) or (_("my material") if name == "name" else "")
        values[name] = st.text_input(label, key=f"{key}.{name}", max_chars=200)
    known = session.material_fields()
    first = [n for n in known if n in needed or n in ("yield_strength", "density")]
    columns = st.columns(2)
    for i, name in enumerate(first):
        unit, units = known[name]
        label = human(name) + ("" if name in needed else f" ({_('if known')})")
        with columns[i % 2]:
            values[name] = quantity(label, values.get(name), unit, units, f"{key}.{name}", show_reading=False)
    return values

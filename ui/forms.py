"""Fields made from a solver's description: a JSON Schema with ``x-unit``, ``x-units``, ``x-shape`` becomes a form.

What is typed is kept as typed (``2,5 kN``); each field says at once how it is read, or what is wrong with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from hub.units import direction, to_si
from ui.numbers import si, unit_name
from ui.words import _, human, plain

#: Fields of every condition that the pages show in their own way.
OWN = ("kind", "name", "on")
AXES = ("-z", "z", "-x", "x", "-y", "y")


@dataclass(frozen=True)
class Field:
    """One field of a form.

    label, help : ready to be shown, markup of the solver's author escaped
    kind : quantity, vector, direction, number, whole, yes-no, choice, text, names, table, group, one-of
    unit : SI unit; units : what may be typed
    groups : the fields of a group under "", or those of each kind of a one-of under its name
    """

    name: str
    label: str
    kind: str
    help: str = ""
    unit: str = ""
    units: tuple[str, ...] = ()
    choices: tuple[Any, ...] = ()
    default: Any = None
    required: bool = False
    groups: Mapping[str, Sequence[Field]] = dataclasses.field(default_factory=dict)


def fields(schema: Mapping[str, Any], title: str = "") -> list[Field]:
    """The fields of a model's JSON Schema, without those that every condition has.

    title : label of a field called ``value``, which has no better name than the condition itself
    """
    required = schema.get("required", ())
    found = []
    for name, raw in schema.get("properties", {}).items():
        if name in OWN:
            continue
        part = _resolved(raw, schema)
        label = plain(title if name == "value" and title else human(name))
        kind, choices = _kind(part)
        found.append(
            Field(
                name=name,
                label=label,
                kind=kind,
                help=plain(in_words(raw.get("description") or part.get("description"))),
                unit=part.get("x-unit", ""),
                units=tuple(part.get("x-units", ())),
                choices=choices,
                default=raw.get("default"),
                required=name in required,
                groups=_groups(kind, part, schema),
            )
        )
    return found


def in_words(description: Any) -> str:
    """What a solver's author says of a field or a condition, in the reader's language."""
    return _(" ".join(str(description or "").split()))


def _resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A property with references followed and ``| None`` taken away."""
    part = dict(part)
    while "$ref" in part or len(part.get("allOf", ())) == 1:
        target = part.pop("$ref", None)
        inner = schema.get("$defs", {}).get(target.rsplit("/", 1)[-1], {}) if target else part.pop("allOf")[0]
        part = {**inner, **part}
    options = part.get("anyOf")
    if options and "x-shape" not in part:
        real = [o for o in options if o.get("type") != "null"]
        if len(real) == 1:
            return _resolved({**{k: v for k, v in part.items() if k != "anyOf"}, **real[0]}, schema)
    return part


def _kind(part: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
    if "x-shape" in part:
        return ("vector" if "x-unit" in part else "direction"), ()
    if "x-unit" in part:
        return "quantity", ()
    if "enum" in part:
        return "choice", tuple(part["enum"])
    if "const" in part:
        return "choice", (part["const"],)
    if "discriminator" in part:
        return "one-of", tuple(part["discriminator"]["mapping"])
    if set(part.get("properties", ())) == {"csv"}:
        return "table", ()
    if part.get("type") == "object" and part.get("properties"):
        return "group", ()
    lists = [o for o in (part, *part.get("anyOf", ())) if o.get("type") == "array"]
    if any("string" in str(o.get("items") or o.get("prefixItems")) for o in lists):
        return "names", ()
    kinds = {"boolean": "yes-no", "integer": "whole", "number": "number"}
    return kinds.get(str(part.get("type")), "text"), ()


def _groups(kind: str, part: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Sequence[Field]]:
    """The fields inside a field."""
    defs = {"$defs": schema.get("$defs", {})}
    if kind == "group":
        return {"": fields({**part, **defs})}
    if kind == "one-of":
        models = part["discriminator"]["mapping"]
        return {name: fields({**_resolved({"$ref": model}, schema), **defs}) for name, model in models.items()}
    return {}


def form(found: list[Field], values: dict[str, Any], key: str) -> None:
    """Show the fields and keep what is typed in `values`."""
    for field in found:
        place = f"{key}.{field.name}"
        match field.kind:
            case "vector":
                _vector(field, values, place)
            case "direction":
                values[field.name] = _direction(field.label, values.get(field.name, field.default), place, field.help)
            case "yes-no":
                values[field.name] = _kept(st.checkbox, field, bool(values.get(field.name, field.default)), place)
            case "choice":
                now = values.get(field.name, field.default)
                options = list(field.choices) if field.required or now is not None else [None, *field.choices]
                _seed(place, now if now in options else options[0])
                values[field.name] = st.selectbox(
                    field.label, options, format_func=_choice, key=place, help=field.help or None
                )
            case "quantity":
                values[field.name] = quantity(
                    field.label, values.get(field.name, field.default), field.unit, field.units, place, help=field.help
                )
            case "whole" | "number":
                values[field.name] = _plain_number(field, values.get(field.name, field.default), place)
            case "names":
                values[field.name] = _names(field, values.get(field.name, field.default), place)
            case "table":
                values[field.name] = _table(field, values.get(field.name), place)
            case "group" | "one-of":
                values[field.name] = _group(field, values.get(field.name, field.default), place)
            case _:
                values[field.name] = _kept(st.text_input, field, str(values.get(field.name) or ""), place)


def _group(field: Field, now: Any, key: str) -> dict[str, Any] | None:
    """Fields within a field; of several kinds, those of the chosen one. What need not be said is asked for first."""
    inner = dict(now) if isinstance(now, Mapping) else {}
    with st.container(border=True):
        if field.required:
            st.markdown(f"**{field.label}**", help=field.help or None)
        else:
            _seed(f"{key}.wanted", bool(inner))
            if not st.checkbox(field.label, key=f"{key}.wanted", help=field.help or None):
                return None
        kind = ""
        if field.kind == "one-of":
            _seed(f"{key}.kind", inner.get("kind") or field.choices[0])
            kind = st.segmented_control(
                _("Kind"), field.choices, format_func=_choice, key=f"{key}.kind", required=True,
                label_visibility="collapsed",
            )  # fmt: skip
            if kind != inner.get("kind"):
                inner = {"kind": kind}
        form(list(field.groups[kind]), inner, f"{key}.{kind}")
    return inner


def _names(field: Field, now: Any, key: str) -> Any:
    """Several names, with commas between them."""
    _seed(key, ", ".join(now) if isinstance(now, (list, tuple)) else str(now or ""))
    typed = st.text_input(field.label, key=key, help=field.help or None, placeholder=_("names, with commas between"))
    found = [name.strip() for name in typed.split(",") if name.strip()]
    return "all" if found == ["all"] else found


def _table(field: Field, now: Any, key: str) -> dict[str, str] | None:
    """A table from a CSV file, whose first row names the columns and their units."""
    file = st.file_uploader(field.label, type=["csv", "txt"], key=key, help=field.help or None)
    if file is not None:
        now = {"csv": file.getvalue().decode("utf-8", "replace")}
    if isinstance(now, Mapping) and now.get("csv"):
        rows = str(now["csv"]).strip().splitlines()
        st.caption(plain(_("{n} rows; the first: {first}", n=len(rows) - 1, first=rows[0][:80])))
        return {"csv": str(now["csv"])}
    return None


def quantity(
    label: str, now: Any, unit: str, units: tuple[str, ...], key: str, *, help: str = "", show_reading: bool = True
) -> str:
    """A field for a number with its unit; says below it how it is read. Returns what is typed."""
    _seed(key, _as_text(now, unit))
    example = f"20 {units[0]}" if units and units[0] else "0.3"
    known = ", ".join(unit_name(u) for u in units[:6] if u)
    told = f"{help} " if help else ""
    typed = st.text_input(
        label,
        key=key,
        placeholder=_("for example {example}", example=example),
        help=told + (plain(_("Units: {units}", units=known)) if known else "") or None,
        max_chars=60,
    )
    if typed.strip():
        reading(typed, unit, show_reading=show_reading)
    return typed


def reading(typed: str, unit: str, *, show_reading: bool = True) -> float | None:
    """Say how a typed quantity is read, or what is wrong with it. Returns it in SI, None if it cannot be read."""
    try:
        value = to_si(typed, unit)
    except ValueError as error:
        expected = (getattr(error, "context", None) or {}).get("expected_text", "")
        st.caption(f":red[:material/error: {plain(_('Expected {what}.', what=expected))}]")
        return None
    if show_reading and unit:
        st.caption(f"= {plain(si(value, unit, 6))}")
    return value


def _vector(field: Field, values: dict[str, Any], key: str) -> None:
    """A vector: a size and a direction, or three components."""
    now = values.get(field.name, field.default)
    ways = ["axis", "components"]
    _seed(f"{key}.way", "components" if isinstance(now, (list, tuple)) and _any(now) else "axis")
    names = {"axis": _("size and direction"), "components": _("three components")}
    way = st.segmented_control(
        field.label, ways, format_func=names.__getitem__, key=f"{key}.way", required=True, help=field.help or None
    )
    if way == "components":
        parts = list(now) if isinstance(now, (list, tuple)) else ["", "", ""]
        columns = st.columns(3)
        for i, axis in enumerate("xyz"):
            with columns[i]:
                parts[i] = quantity(axis, parts[i], field.unit, field.units, f"{key}.{axis}", show_reading=False)
        if any(str(p).strip() for p in parts):
            parts = [str(p).strip() or f"0 {field.units[0]}" for p in parts]
        values[field.name] = parts
        return
    pair = now if isinstance(now, dict) else {"magnitude": "", "direction": "-z"}
    left, right = st.columns(2)
    with left:
        label = _("Size of {what}", what=field.label.lower())
        size = quantity(label, pair.get("magnitude", ""), field.unit, field.units, f"{key}.size")
    with right:
        towards = _direction(_("Direction"), pair.get("direction", "-z"), f"{key}.towards", "")
    values[field.name] = {"magnitude": size, "direction": towards}


def _direction(label: str, now: Any, key: str, help: str) -> Any:
    """An axis, or three numbers typed with spaces between them."""
    other = "other"
    options = [*AXES, other]
    _seed(key, now if now in AXES else "-z" if now in (None, "") else other)
    names = {axis: ("−" if axis.startswith("-") else "+") + axis[-1] for axis in AXES} | {other: _("another …")}
    chosen = st.selectbox(label, options, format_func=names.__getitem__, key=key, help=help or None)
    if chosen != other:
        return chosen
    free = f"{key}.free"
    _seed(free, " ".join(f"{c:g}" for c in now) if isinstance(now, (list, tuple)) else "0 0 -1")
    typed = st.text_input(_("x y z, any length"), key=free, max_chars=80)
    try:
        three = [float(c.replace(",", ".")) for c in typed.replace(";", " ").split()]
        direction(three)
    except ValueError:
        st.caption(f":red[:material/error: {plain(_('Expected three numbers that are not all zero.'))}]")
        return typed
    return three


def _plain_number(field: Field, now: Any, key: str) -> Any:
    _seed(key, "" if now is None else f"{now:g}" if isinstance(now, float) else str(now))
    typed = st.text_input(field.label, key=key, help=field.help or None, max_chars=40).strip()
    if not typed:
        return None
    try:
        return int(typed) if field.kind == "whole" else float(typed.replace(",", "."))
    except ValueError:
        what = _("a whole number") if field.kind == "whole" else _("a number")
        st.caption(f":red[:material/error: {plain(_('Expected {what}.', what=what))}]")
        return typed


def _kept(widget: Any, field: Field, now: Any, key: str) -> Any:
    _seed(key, now)
    return widget(field.label, key=key, help=field.help or None)


def _seed(key: str, value: Any) -> None:
    """First value of a widget: afterwards the widget's own state counts."""
    if key not in st.session_state:
        st.session_state[key] = value


def _as_text(value: Any, unit: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return f"{value:g} {unit.replace('**', '')}".strip() if isinstance(value, (int, float)) else str(value)


def _any(parts: Any) -> bool:
    return any(str(p).strip() for p in parts)


def _choice(option: Any) -> str:
    return _("not given") if option is None else plain(human(str(option)))

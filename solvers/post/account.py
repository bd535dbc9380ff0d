"""A case in words: its conditions, materials, selections and parameters as a person would say them.

Units come from the JSON Schemas of the solver (``x-unit``, ``x-shape``), so that nothing here knows a solver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from hub.case import Material, read
from hub.problem import excerpt
from hub.selection import Face, resolve_all
from hub.units import SI
from solvers.post.words import Language

#: Longest text of somebody's that is put into a picture or a cell of a table.
LONGEST = 160


@dataclass(frozen=True)
class Acting:
    """One condition of a case, ready to be shown.

    letter : what marks it in pictures; faces : indices into the verdict's faces; vector : where it pushes, if anywhere
    """

    letter: str
    name: str
    values: str
    where: str
    faces: tuple[int, ...]
    vector: tuple[float, float, float] | None = None
    pushes: bool = False


def letters(count: int) -> list[str]:
    """A, B, ... Z, A2, B2, ..."""
    return [chr(65 + i % 26) + (str(i // 26 + 1) if i >= 26 else "") for i in range(count)]


def conditions(
    case: Mapping[str, Any], solver: Mapping[str, Any], mesh: Mapping[str, Any], verdict: Mapping[str, Any],
    language: Language,
) -> list[Acting]:  # fmt: skip
    """Every condition of the case."""
    found = []
    chosen = selected(case, mesh, verdict)
    schemas = solver.get("conditions", {})
    given = case.get("conditions", [])
    for letter, condition in zip(letters(len(given)), given, strict=True):
        kind = condition["kind"]
        schema = schemas.get(kind, {})
        fields = {k: v for k, v in condition.items() if k not in ("kind", "name", "on")}
        values = "; ".join(
            text if label == language.say("value") else f"{label} {text}"
            for label, text in in_words(fields, schema, language)
        )
        on = condition.get("on", [])
        faces = sorted({i for name in on for i in chosen.get(name, ())})
        where = "; ".join(excerpt(name) for name in on) if on else language.say("whole")
        if faces:
            where += f" ({face_list(faces, verdict, language)})"
        vector, pushes = _acts(fields, schema)
        name = language.say(kind)
        if condition.get("name"):
            name = f"{condition['name'][:LONGEST]} ({name.lower()})"
        found.append(Acting(letter, name, values, where, tuple(faces), vector, pushes))
    return found


def selected(
    case: Mapping[str, Any], mesh: Mapping[str, Any], verdict: Mapping[str, Any]
) -> Mapping[str, Sequence[int]]:
    """Name of a selection -> indices into the faces of the verdict.

    The mesh knows, unless its faces are pieces of the verdict's, as they are where parts were joined.
    """
    if len(mesh.get("faces", ())) == len(verdict.get("faces", ())):
        return dict(mesh.get("selections", {}))
    part = SimpleNamespace(
        bodies=[SimpleNamespace(name=body["name"]) for body in verdict.get("bodies", ())],
        faces=[Face.model_validate(face, context=SI) for face in verdict.get("faces", ())],
    )
    return resolve_all(read(case, si=True), part)[0]


def _acts(fields: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[tuple[float, float, float] | None, bool]:
    """The vector of a load, and whether it is a pressure on its faces."""
    for name, value in fields.items():
        unit, _ = unit_of(schema.get("properties", {}).get(name, {}), schema)
        if unit in ("N", "N*m", "Pa", "N/m**2", "N/m**3", "m/s**2") and isinstance(value, list) and len(value) == 3:
            return (value[0], value[1], value[2]), False
        if unit == "Pa" and isinstance(value, float | int) and value:
            return None, True
    return None, False


def face_list(faces: list[int], verdict: Mapping[str, Any], language: Language) -> str:
    """``faces 3, 4, 7; area 120 mm²``."""
    numbers = ", ".join(str(i + 1) for i in faces[:12]) + (" …" if len(faces) > 12 else "")
    known = {face["index"]: face for face in verdict.get("faces", ())}
    text = language.say("face_list" if len(faces) == 1 else "faces_list", numbers)
    if all(i in known for i in faces):
        area = sum(known[i]["area"] for i in faces)
        text += f"; {language.say('together')} {language.quantity(area, 'm**2')}"
    return text


def unit_of(prop: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[str | None, bool]:
    """(SI unit, vector or not) that a JSON Schema gives a field, looking into references and alternatives."""
    if "$ref" in prop:
        prop = schema.get("$defs", {}).get(str(prop["$ref"]).rsplit("/", 1)[-1], {})
    if "x-unit" in prop:
        return prop["x-unit"], "x-shape" in prop
    for other in prop.get("anyOf", prop.get("allOf", ())):
        unit, vector = unit_of(other, schema)
        if unit is not None:
            return unit, vector
    return None, False


def in_words(fields: Mapping[str, Any], schema: Mapping[str, Any], language: Language) -> list[tuple[str, str]]:
    """(name, value) of plain SI data that a JSON Schema describes."""
    rows = []
    for name, value in fields.items():
        if value is None or value in ([], {}):
            continue
        unit, _ = unit_of(schema.get("properties", {}).get(name, {}), schema)
        rows.append((language.say(name), _value(value, unit, language)))
    return rows


def _value(value: Any, unit: str | None, language: Language) -> str:
    match value:
        case bool():
            return language.say(str(value).lower())
        case int() | float():
            return language.quantity(value, unit or "") if unit is not None else language.number(value)
        case [int() | float(), int() | float(), int() | float()]:
            return language.vector(value, unit) if unit is not None else direction(value, language)
        case str():
            return excerpt(value)
        case list():
            return ", ".join(_value(v, unit, language) for v in value[:12])
        case dict():
            return ", ".join(f"{language.say(str(k))} {_value(v, unit, language)}" for k, v in list(value.items())[:12])
    return excerpt(value)


def direction(values: list[float], language: Language) -> str:
    """``−z``, or the three components."""
    for axis, value in zip("xyz", values, strict=True):
        if abs(abs(value) - 1) < 1e-9:
            return ("−" if value < 0 else "+") + axis
    return "(" + "; ".join(language.number(v, digits=3) for v in values) + ")"


def selection(chosen: Mapping[str, Any], language: Language) -> str:
    """How a selection of the case finds its faces, in words."""
    say, parts = language.say, []
    if "any" in chosen:
        return " + ".join(selection(one, language) for one in chosen["any"])
    if "name" in chosen:
        parts.append(say("named", excerpt(chosen["name"])))
    if "colour" in chosen:
        parts.append(say("coloured", chosen["colour"]))
    if "faces" in chosen:
        kinds = sorted({say(face["type"]) for face in chosen["faces"]})
        parts.append(f"{say('picked', len(chosen['faces']))} ({', '.join(kinds)})")
    if "type" in chosen:
        parts.append(say(chosen["type"]))
    if chosen.get("inside") is not None:
        parts.append(say("hole" if chosen["inside"] else "shaft"))
    for key, words in (("normal", "facing"), ("axis", "axis")):
        if chosen.get(key):
            parts.append(say(words, direction(chosen[key], language)))
    if "radius" in chosen:
        parts.append(say("radius", language.quantity(chosen["radius"], "m")))
    if "area" in chosen:
        parts.append(say("area_is", language.quantity(chosen["area"], "m**2")))
    if "extreme" in chosen:
        parts.append(say("extreme", chosen["extreme"].replace("-", "−")))
    if "near" in chosen:
        parts.append(say("near", language.point(chosen["near"])))
    if "body" in chosen:
        parts.append(say("on_body", excerpt(chosen["body"])))
    return ", ".join(parts)


def material(properties: Mapping[str, Any], language: Language) -> str:
    """The values of a material in one line."""
    fields = {k: v for k, v in properties.items() if k not in ("name", "source")}
    return "; ".join(f"{label} {text}" for label, text in in_words(fields, Material.model_json_schema(), language))

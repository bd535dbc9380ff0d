"""Faces of a part as people see them: what each is and where, how loads are drawn on them, and picking them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ui import view3d
from ui.numbers import number, si
from ui.words import _

#: Paul Tol's "bright" (SRON/EPS/TN/09-002), one for each condition, as in the report.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")


def pick_faces(
    faces: Sequence[Mapping[str, Any]],
    picked: Sequence[int],
    box: Sequence[Sequence[float]],
    geometry: Mapping[str, Any],
    key: str,
    *,
    asked: str = "",
    marks: Sequence[Mapping[str, Any]] = (),
    listed: bool = True,
) -> list[int]:
    """Let a person pick faces, on the part in 3D or from a list; returns their indices.

    faces : of the verdict; picked : indices to begin with; box : lowest and highest corner of the part [m]
    geometry : of the case; asked, marks, listed : as in :func:`ui.view3d.part`
    """
    colours = {i: mark["colour"] for mark in marks for i in mark["faces"]}
    rows = [
        {
            "number": face["index"] + 1,
            "colour": colours.get(i, ""),
            "what": kind_of(face),
            "area": si(face["area"], "m**2"),
            "square": face["area"] * 1e6,
            "where": where_on(face["centroid"], box),
            "names": ", ".join(face.get("names") or ())[:80],
            "alike": alike(face, faces),
        }
        for i, face in enumerate(faces)
    ]
    words = {
        "search": _("Search: hole, top, 12 …"),
        "face": _("Face"),
        "what": _("What it is"),
        "area": _("Area"),
        "where": _("Where"),
        "none": _("No face picked yet"),
        "one": _("1 face picked"),
        "many": _("{n} faces picked"),
        "clear": _("Clear"),
        "alike": _("and the others like it"),
        "nothing": _("No face is called that."),
    }
    return view3d.part(geometry, rows, picked, key, asked=asked, marks=marks, words=words, listed=listed)


def mark(
    colour: str, text: str, faces: Sequence[Mapping[str, Any]], picked: Sequence[int], vector: Sequence[float] | None,
    presses: bool,
) -> dict[str, Any]:  # fmt: skip
    """How a condition is drawn on the part: its colour, its text at the middle of its largest face, and an arrow.

    vector : where a load pulls, if it says so; presses : it presses on its faces, against their normal
    """
    chosen = [faces[i] for i in picked]
    shown: dict[str, Any] = {"colour": colour, "text": text, "faces": list(picked)}
    if not chosen:
        return shown
    # the middle of all of them lies beside the part where they face each other
    largest = max(chosen, key=lambda f: f["area"])
    shown["at"] = list(largest["centroid"])
    if vector and any(vector):
        shown |= {"along": list(vector), "into": False}
    elif presses and largest.get("normal"):
        shown |= {"along": [-v for v in largest["normal"]], "into": True}
    return shown


def kind_of(face: Mapping[str, Any]) -> str:
    """What a face is in words: a plane, a hole of 11 mm diameter, a rounding of 5 mm radius."""
    radius, inside = face.get("radius"), face.get("inside")
    length = number(radius * 1e3, 4) if radius else ""
    double = number(radius * 2e3, 4) if radius else ""
    match face["type"]:
        case "plane":
            return _("plane")
        case "cylinder" if radius and inside and len(face.get("neighbours") or ()) <= 3:
            return _("hole, ⌀ {d} mm", d=double)  # at most its two ends and, where CAD cut it, its other half
        case "cylinder" if radius and inside:
            return _("inner rounding, r {r} mm", r=length)
        case "cylinder" if radius and inside is False:
            return _("round outside, ⌀ {d} mm", d=double)
        case "cylinder" if radius:
            return _("cylinder, ⌀ {d} mm", d=double)
        case "torus" if radius:
            return _("rounding, r {r} mm", r=length)
        case "sphere" if radius:
            return _("sphere, ⌀ {d} mm", d=double)
        case "cylinder":
            return _("cylinder")
        case "cone":
            return _("cone")
        case "torus":
            return _("rounding")
        case "sphere":
            return _("sphere")
    return _("free form")


def where_on(centroid: Sequence[float], box: Sequence[Sequence[float]]) -> str:
    """In which third of the part the middle of a face lies: ``left, top``."""
    names = (
        (_("left (−x)"), _("right (+x)")),
        (_("front (−y)"), _("back (+y)")),
        (_("bottom (−z)"), _("top (+z)")),
    )
    said = []
    for value, low, high, (at_low, at_high) in zip(centroid, *box, names, strict=True):
        if high - low <= 0:
            continue
        part = (value - low) / (high - low)
        if part < 1 / 3:
            said.append(at_low)
        elif part > 2 / 3:
            said.append(at_high)
    return ", ".join(said) or _("middle")


def alike(face: Mapping[str, Any], faces: Sequence[Mapping[str, Any]]) -> list[int]:
    """Faces of the same type, radius and area: the other three bolt holes."""

    def same(a: float | None, b: float | None) -> bool:
        return (a is None and b is None) or (a is not None and b is not None and math.isclose(a, b, rel_tol=1e-3))

    return [
        i
        for i, other in enumerate(faces)
        if other["type"] == face["type"]
        and same(other.get("radius"), face.get("radius"))
        and same(other["area"], face["area"])
    ]

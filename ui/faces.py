"""Picking faces of a part: a list to click in, beside the numbered and coloured picture."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image

from ui.numbers import number, si
from ui.words import _

_HERE = Path(__file__).parent


@st.cache_resource
def _list() -> Any:
    return st.components.v2.component(
        "officina_faces",
        html='<div class="faces"></div>',
        css=(_HERE / "faces.css").read_text(encoding="utf-8"),
        js=(_HERE / "faces.js").read_text(encoding="utf-8"),
    )


def pick_faces(
    faces: Sequence[Mapping[str, Any]],
    picked: Sequence[int],
    box: Sequence[Sequence[float]],
    picture: bytes | None,
    key: str,
) -> list[int]:
    """Let a person pick faces; returns their indices.

    This is the one place where faces are picked. The 3D view, when it comes, replaces the list in here: the same
    faces, the same indices in and out, so that nothing else changes.

    faces : of the verdict; picked : indices to begin with; box : lowest and highest corner of the part [m]
    picture : the numbered picture, whose colours the list repeats
    """
    colours = legend(picture) if picture else []
    rows = [
        {
            "number": face["index"] + 1,
            "colour": colours[i] if i < len(colours) else "transparent",
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
    answer = _list()(
        key=key,
        data={"faces": rows, "first": list(picked), "words": words},
        default={"picked": list(picked)},
        on_picked_change=_noted,
    )
    return sorted({int(i) for i in (answer.picked or []) if 0 <= int(i) < len(faces)})


def _noted() -> None:
    """The new picks are read where the list is shown."""


def legend(picture: bytes) -> list[str]:
    """The colour of each face in the numbered picture, which carries them as text."""
    try:
        with Image.open(io.BytesIO(picture)) as image:
            said = json.loads(image.info.get("colours", "[]"))
    except (OSError, ValueError):
        return []
    return [c for c in said if isinstance(c, str) and re.fullmatch("#[0-9a-f]{6}", c)]


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

"""Where on a part something is, in words a person finds it by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hub.figures import Figures
from hub.meshfile import MeshFile
from hub.result import Words

_KINDS = {
    "plane": ("the flat face", "la faccia piana"),
    "torus": ("the rounded edge", "il raccordo"),
    "other": ("the curved face", "la faccia curva"),
}


def place(file: MeshFile, at: Sequence[float] | np.ndarray) -> Words:
    """The smallest selection of the case on whose faces the point `at` (3,) [m] lies, else the face, else inside."""
    a, b, c = file.points[file.facets[:, :3]].transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    twice = np.linalg.norm(normal, axis=1)
    off = np.abs(((at - a) * normal).sum(1)) / twice**1.5
    shares = [(np.cross(p - at, q - at) * normal).sum(1) / twice**2 for p, q in ((a, b), (b, c), (c, a))]
    # a curved face bulges out of its triangles a little
    on = np.flatnonzero((off < 0.05) & (np.min(shares, axis=0) > -0.05))
    if not len(on):
        return {"en": "inside the part", "it": "all'interno del pezzo"}
    faces = set(file.facet_face[on].tolist())
    named = [(len(chosen), name) for name, chosen in file.selections.items() if faces & set(chosen)]
    if named:
        name = min(named)[1]
        return {"en": f"at {name}", "it": f"presso «{name}»"}
    index = int(file.facet_face[on[np.argmin(off[on])]])
    face = file.faces[index]
    if face["type"] in ("cylinder", "sphere", "cone"):
        radius = face.get("radius")
        en, it = ("the hole", "il foro") if face.get("inside") else ("the round face", "la faccia tonda")
        if radius:
            en += f" of radius {Figures('en').length(radius)}"
            it += f" di raggio {Figures('it').length(radius)}"
    else:
        en, it = _KINDS.get(face["type"], _KINDS["other"])
    return {"en": f"at {en} (face {index + 1})", "it": f"presso {it} (faccia {index + 1})"}

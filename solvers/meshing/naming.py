"""Names that people gave to parts and faces in CAD, read from the STEP text: the kernel loses those of faces.

ISO 10303-42: a solid has shells, a shell faces in an order the kernel keeps, a face a surface. A name goes to a face
only where the surfaces prove which one it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gmsh
import numpy as np
import numpy.typing as npt

from hub.intake import METRES
from solvers.meshing import units

_ENTITY = re.compile(r"#(\d+)\s*=\s*((?:'[^']*'|[^';]++)*+);")
_STRING = re.compile(r"'((?:[^']|'')*)'")
_NAMED_FACE = re.compile(r"\b(?:ADVANCED_FACE|FACE_SURFACE)\s*\(\s*'[^']")
_PARTS = re.compile(r"\b(?:PRODUCT|MANIFOLD_SOLID_BREP|BREP_WITH_VOIDS)\s*\(\s*'((?:[^']|'')*)'")
_PLACED = re.compile(r"\b(?:NEXT_ASSEMBLY_USAGE_OCCURRENCE|MAPPED_ITEM)\s*\(")
#: Surfaces that the kernel calls by the same name whoever wrote them; of all others only the number is compared.
_SURFACES = {
    "PLANE": "Plane",
    "CYLINDRICAL_SURFACE": "Cylinder",
    "CONICAL_SURFACE": "Cone",
    "SPHERICAL_SURFACE": "Sphere",
    "TOROIDAL_SURFACE": "Torus",
    "DEGENERATE_TOROIDAL_SURFACE": "Torus",
}
#: Two surfaces are one if they differ by less than this: lengths [mm], directions as 1 - cosine.
NEAR, PARALLEL = 1e-3, 1e-6


@dataclass(frozen=True)
class _Surface:
    """A surface in mm. radii : of cylinders, spheres, tori (both); none of cones, whose radius has no fixed place."""

    kind: str
    point: tuple[float, ...] = ()
    axis: tuple[float, ...] = ()
    radii: tuple[float, ...] = ()

    def like(self, other: _Surface) -> bool:
        """Whether they can be the same surface in two places."""
        same = self.kind == other.kind and len(self.radii) == len(other.radii)
        return same and all(abs(a - b) < NEAR for a, b in zip(self.radii, other.radii, strict=True))

    def same(self, other: _Surface) -> bool:
        """Whether they are the same surface in the same place; of other kinds than the five nobody can tell."""
        if not self.like(other) or not self.point:
            return self.like(other)
        apart = np.subtract(self.point, other.point)
        if self.kind == "Sphere":
            return bool(np.linalg.norm(apart) < NEAR)
        if 1 - abs(np.dot(self.axis, other.axis)) > PARALLEL:
            return False
        along = apart @ self.axis
        off = {"Plane": abs(along), "Torus": np.linalg.norm(apart)}
        return bool(off.get(self.kind, np.linalg.norm(apart - along * np.array(self.axis))) < NEAR)


def apply(file: Path, kind: str) -> None:
    """Name the bodies and faces of the model that gmsh has just loaded from `file`."""
    data = file.read_bytes() if kind == "step" else b""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    known = {_decoded(m[1]) for m in _PARTS.finditer(text)}
    for dim, tag in gmsh.model.getEntities():
        path = gmsh.model.getEntityName(dim, tag)
        if path:
            gmsh.model.setEntityName(dim, tag, _part(path, known))
    if _NAMED_FACE.search(text):
        said = units.declared(file, kind)
        factor = METRES.get(said[0] if said else "mm", 1e-3) / METRES["mm"]
        for face, name in _placed(_solids(text, factor), _PLACED.search(text) is not None).items():
            gmsh.model.setEntityName(2, face, name)


def _part(path: str, known: set[str]) -> str:
    """The name of a part from ``Shapes/assembly/part_1/part & material & layer``, as gmsh says it.

    known : names of parts in the file, which may hold strokes and ampersands themselves
    """
    rest = path
    while rest:
        pieces = rest.split("/")
        for k in range(len(pieces)):
            if "/".join(pieces[k:]) in known:
                return "/".join(pieces[k:])
        rest = rest[: max(rest.rfind(" &"), 0)]
    return path.rsplit("/", 1)[-1]


def _placed(solids: Sequence[Sequence[tuple[str, _Surface]]], moved: bool) -> dict[int, str]:
    """Tag of a face -> its name, where it is certain.

    solids : (name, surface) of each face of each solid of the text; moved : whether an assembly puts them elsewhere
    """
    named: dict[int, str] = {}
    everything = [face for solid in solids for face in solid]
    for _, body in gmsh.model.getEntities(3):
        tags = sorted(int(t) for t in gmsh.model.getAdjacencies(3, body)[1])
        mine = [_surface(t) for t in tags]
        fits = {tuple(n for n, _ in s) for s in solids if _in_place([x for _, x in s], mine)}
        if moved and not fits:
            fits = {tuple(n for n, _ in s) for s in solids if _moved([x for _, x in s], mine)}
        if len(fits) == 1:
            names: Sequence[str] = fits.pop()
        elif moved:
            continue
        else:  # the kernel has split, joined or sorted faces: those with a surface of their own are still found
            found = [{n for n, x in everything if x.same(m)} if m.point else set() for m in mine]
            names = [f.pop() if len(f) == 1 else "" for f in found]
        named |= {t: n for t, n in zip(tags, names, strict=True) if n}
    return named


def _in_place(said: Sequence[_Surface], mine: Sequence[_Surface]) -> bool:
    """Whether two solids have the same surfaces in the same order and place."""
    return len(said) == len(mine) and all(a.same(b) for a, b in zip(said, mine, strict=True))


def _moved(said: Sequence[_Surface], mine: Sequence[_Surface]) -> bool:
    """Whether one solid can be the other somewhere else, face by face: the same surfaces, and the same angles between
    all of them and distances between parallel planes."""
    if len(said) != len(mine) or not all(a.like(b) for a, b in zip(said, mine, strict=True)):
        return False
    one, two = (np.array([x.axis for x in solid if x.axis]).reshape(-1, 3) for solid in (said, mine))
    return np.allclose(np.abs(one @ one.T), np.abs(two @ two.T), atol=1e-5) and np.allclose(
        _thicknesses(said), _thicknesses(mine), atol=NEAR
    )


def _thicknesses(solid: Sequence[_Surface]) -> npt.NDArray[np.float64]:
    """(n, n) distances between the planes of a solid, 0 where they are not parallel [mm]."""
    planes = [x for x in solid if x.kind == "Plane"]
    normal, point = (np.array([getattr(x, what) for x in planes]).reshape(-1, 3) for what in ("axis", "point"))
    parallel = np.abs(normal @ normal.T) > 1 - PARALLEL
    return np.where(parallel, np.abs(np.sum(normal * point, axis=1)[:, None] - normal @ point.T), 0.0)


def _surface(tag: int) -> _Surface:
    """The surface of a face in gmsh."""
    kind, numbers = gmsh.model.getType(2, tag), gmsh.model.getEntityProperties(2, tag)[1]
    if kind == "Plane":
        normal = np.array(numbers[:3])
        return _Surface(kind, tuple(-numbers[3] * normal), tuple(normal))
    if kind == "Sphere":
        return _Surface(kind, tuple(numbers[:3]), (), (float(numbers[3]),))
    if kind in _SURFACES.values():
        return _Surface(kind, tuple(numbers[:3]), tuple(numbers[3:6]), () if kind == "Cone" else tuple(numbers[6:]))
    return _Surface("other")


# --- the text -------------------------------------------------------------------------------------------------


def _solids(text: str, factor: float) -> list[list[tuple[str, _Surface]]]:
    """(name, surface) of the faces of each solid; `factor`: mm in one unit of the text."""
    entities = {m[1]: m[2] for m in _ENTITY.finditer(text)}

    def referred(entity: str) -> list[str]:
        return re.findall(r"#(\d+)", _STRING.sub("", entity))

    def numbers(ref: str) -> list[float]:
        return [float(x) for x in re.findall(r"[-+]?\d+\.?\d*(?:E[-+]?\d+)?", _STRING.sub("", entities.get(ref, "")))]

    def surface(ref: str) -> _Surface:
        entity = entities.get(ref, "")
        kind = _SURFACES.get(entity.split("(", 1)[0].strip(), "other")
        placement = [e for e in referred(entity) if entities.get(e, "").startswith("AXIS2_PLACEMENT_3D")]
        if kind == "other" or not placement:
            return _Surface("other")
        point, *directions = referred(entities[placement[0]])
        axis = np.array(numbers(directions[0]) if directions else [0.0, 0.0, 1.0])
        sizes = [float(x) * factor for x in re.findall(r",\s*([-+]?\d[\d.E+-]*)", _STRING.sub("", entity))]
        radii = () if kind in ("Plane", "Cone") else tuple(sizes[: 2 if kind == "Torus" else 1])
        return _Surface(
            kind,
            tuple(factor * x for x in numbers(point)),
            () if kind == "Sphere" else tuple(axis / np.linalg.norm(axis)),
            radii,
        )

    def faces(shell: str) -> list[str]:
        entity = entities.get(shell, "")
        if entity.startswith("ORIENTED_CLOSED_SHELL"):
            return [f for inner in referred(entity) for f in faces(inner)] if shell not in referred(entity) else []
        return referred(entity) if entity.startswith("CLOSED_SHELL") else []

    solids = []
    for entity in entities.values():
        if entity.startswith(("MANIFOLD_SOLID_BREP", "BREP_WITH_VOIDS")):
            solid = []
            for face in (entities.get(f, "") for shell in referred(entity) for f in faces(shell)):
                name, refs = _STRING.search(face), referred(face)
                solid.append((_decoded(name[1]) if name else "", surface(refs[-1]) if refs else _Surface("other")))
            solids.append(solid)
    return solids


def _decoded(said: str) -> str:
    """A string of ISO 10303-21 as people read it."""
    text = said.replace("''", "'").replace("\n", "").replace("\r", "")
    text = re.sub(r"\\X2\\((?:[0-9A-F]{4})+)\\X0\\", lambda m: bytes.fromhex(m[1]).decode("utf-16-be", "replace"), text)
    text = re.sub(r"\\X\\([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), text)
    text = re.sub(r"\\S\\(.)", lambda m: chr(ord(m[1]) + 128), text)
    return "".join(c for c in text.replace("\\\\", "\\") if c.isprintable()).strip()[:150]

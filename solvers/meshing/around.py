"""The fluid around a part: a box sized by rule with the part cut out, and cells that grow away from the part.

The box reaches 5 diameters of the part before it and to its sides and 15 behind it, as recommended for bodies in a
stream whose wake must not feel the outlet (Franke, Hellsten, Schluenzen and Carissimo, Best practice guideline for the
CFD simulation of flows in the urban environment, COST Action 732, 2007; there in heights). The part then blocks less
than 1 % of the box, below the 3 % given there. A diameter is the larger side of the part's box across the flow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gmsh
import numpy as np

from hub.case import Around, Mesh
from hub.solver import StageError
from solvers.meshing import cad, sizing
from solvers.meshing.cad import Floats
from solvers.meshing.tetmesh import Parts, origin_of

UPSTREAM, DOWNSTREAM, SIDES = 5.0, 15.0, 5.0
#: Size of the cells at the part over its diameter.
AT_PART: dict[sizing.Fineness, float] = {"coarse": 1 / 6, "normal": 1 / 10, "fine": 1 / 16}
#: Cells grow by this part of the distance from the part, to this many times their size at it.
GROWTH, LARGEST = 0.2, 10.0
#: In the wake, up to this many diameters behind the part, cells are at most this many times those at the part.
WAKE, IN_WAKE = 4.0, 2.0


@dataclass(frozen=True)
class Field:
    """The part in the stream, in the model's unit.

    frame : (3, 3) rows along the flow, across it, and upward; low, high : of the part along these; diameter
    """

    frame: Floats
    low: Floats
    high: Floats

    @property
    def diameter(self) -> float:
        return float((self.high - self.low)[1:].max())

    @classmethod
    def of(cls, domain: Around, bodies: list[tuple[int, int]]) -> Field:
        along = np.array(domain.along, float)
        along /= np.linalg.norm(along)
        upright = np.array([0.0, 0, 1]) if abs(along[2]) < 0.9 else np.array([1.0, 0, 0])
        up = upright - (upright @ along) * along
        up /= np.linalg.norm(up)
        frame = np.array([along, np.cross(up, along), up])
        boxes = np.array([gmsh.model.occ.getBoundingBox(*b) for b in bodies])
        ends = np.stack([boxes[:, :3].min(axis=0), boxes[:, 3:].max(axis=0)])
        corners = np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        seen = corners @ frame.T
        return cls(frame, seen.min(axis=0), seen.max(axis=0))


def surround(parts: Parts, domain: Around, factor: float) -> tuple[Parts, Callable[[Mesh], sizing.Graded]]:
    """Turn the loaded model into the fluid around it: (the model with its sides named, sizes for a mesh of it).

    Raises StageError where the part cannot be cut out of the box.
    """
    from scipy.spatial.transform import Rotation  # takes as long to load as a small part to be read, which needs none

    occ, topology = gmsh.model.occ, parts.topology
    bodies = [(3, b) for b in topology.bodies]
    field = Field.of(domain, bodies)
    low, high, sides = _box(domain, field, factor)
    try:
        copies = [t for _, t in occ.copy([(2, f) for f in topology.faces])]
        box = occ.addBox(*low, *(high - low))
        turn = Rotation.from_matrix(field.frame.T).as_rotvec()
        if np.linalg.norm(turn) > 1e-9:
            occ.rotate([(3, box)], 0, 0, 0, *turn, float(np.linalg.norm(turn)))
        pieces, _ = occ.cut([(3, box)], bodies)
        occ.synchronize()
    except Exception as error:  # gmsh has one kind of exception
        raise _not_cut(str(error)[:150]) from None
    fluid = _outermost(pieces, low, high, field)
    known = {t for _, t in gmsh.model.getBoundary([(3, fluid)], oriented=False)}
    came_from = _origins(sorted(known), copies, low, high, field)
    occ.remove([p for p in pieces if p[1] != fluid], recursive=True)
    occ.remove([(2, c) for c in copies], recursive=True)
    occ.synchronize()
    after = cad.Topology.read({fluid: "fluid"})
    named: dict[str, list[int]] = {
        name: [] for name in ("upstream", "downstream", "far sides", "ground", "symmetry", "part")
    }
    old = dict(enumerate(topology.faces))
    origins: dict[int, tuple[int, ...]] = {}
    for i, tag in enumerate(after.faces):
        side = _side(tag, low, high, field)
        named["part" if side is None else sides[side]].append(i)
        origins[i] = () if side is not None else _numbers(came_from.get(tag, ()), parts, old)
    if not named["part"]:
        raise _not_cut("nothing of the part is left in the box")
    return Parts(after, origins, named), _sizes(field, [after.faces[i] for i in named["part"]], factor)


def _numbers(found: tuple[int, ...], parts: Parts, old: dict[int, int]) -> tuple[int, ...]:
    """Indices of the verdict's faces behind faces of the model before the cut."""
    return tuple(sorted({k for i in found if i in old for k in parts.came_from[i]}))


def _not_cut(why: str) -> StageError:
    return StageError(
        "not-cut",
        f"The part could not be cut out of the box around it: {why}.",
        "Unite its bodies in the CAD system and repair it (check geometry, heal), or draw the fluid as a body.",
    )


def _box(domain: Around, field: Field, factor: float) -> tuple[Floats, Floats, dict[tuple[int, int], str]]:
    """(lowest, highest corner in the frame of the flow, name of each side by axis and end)."""
    diameter = field.diameter
    low, high = field.low.copy(), field.high.copy()
    low[0] -= (domain.upstream or UPSTREAM) * diameter
    high[0] += (domain.downstream or DOWNSTREAM) * diameter
    low[1:] -= (domain.sides or SIDES) * diameter
    high[1:] += (domain.sides or SIDES) * diameter
    names = {(axis, end): "far sides" for axis in (1, 2) for end in (0, 1)}
    names |= {(0, 0): "upstream", (0, 1): "downstream"}
    if domain.ground is not None:
        low[2] = field.low[2] - domain.ground / factor
        names[2, 0] = "ground"
    if domain.symmetry is not None:
        way = np.zeros(3)
        way["xyz".index(domain.symmetry[-1])] = -1.0 if domain.symmetry.startswith("-") else 1.0
        axis = int(np.argmax(np.abs(field.frame @ way)))
        middle = (field.low[axis] + field.high[axis]) / 2
        if (field.frame @ way)[axis] > 0:
            low[axis], names[axis, 0] = middle, "symmetry"
        else:
            high[axis], names[axis, 1] = middle, "symmetry"
    return low, high, names


def _side(face: int, low: Floats, high: Floats, field: Field) -> tuple[int, int] | None:
    """(axis, end) of the side of the box a face lies on, None for those of the part."""
    if gmsh.model.getType(2, face) != "Plane":
        return None
    middle = field.frame @ np.array(gmsh.model.occ.getCenterOfMass(2, face))
    normal = np.abs(field.frame @ np.array(gmsh.model.getEntityProperties(2, face)[1][:3]))
    near = 1e-6 * float((high - low).max())
    for axis in range(3):
        for end, value in enumerate((low[axis], high[axis])):
            if abs(middle[axis] - value) < near and normal[axis] > 1 - 1e-6:
                return axis, end
    return None


def _outermost(pieces: list[tuple[int, int]], low: Floats, high: Floats, field: Field) -> int:
    """The piece that touches upstream: what a hollow part encloses is no stream."""
    for _, piece in pieces:
        faces = [t for _, t in gmsh.model.getBoundary([(3, piece)], oriented=False)]
        if any(_side(f, low, high, field) == (0, 0) for f in faces):
            return int(piece)
    raise _not_cut("nothing of the box is left upstream")


def _origins(
    faces: list[int], copies: list[int], low: Floats, high: Floats, field: Field
) -> dict[int, tuple[int, ...]]:
    boxes = np.array([gmsh.model.occ.getBoundingBox(2, c) for c in copies])
    return {f: origin_of(f, copies, boxes) for f in faces if _side(f, low, high, field) is None}


def _sizes(field: Field, part: list[int], factor: float) -> Callable[[Mesh], sizing.Graded]:
    """Sizes that grow away from the part and stay small in its wake; ``mesh.size`` is that at the part."""

    def graded(mesh: Mesh) -> sizing.Graded:
        at = field.diameter * AT_PART[mesh.fineness] if mesh.size is None else mesh.size / factor
        size = sizing.Sizing(at * LARGEST, at * sizing.SMALLEST[mesh.fineness], sizing.AROUND[mesh.fineness])
        near = gmsh.model.mesh.field
        distance = near.add("Distance")
        near.setNumbers(distance, "SurfacesList", part)
        near.setNumber(distance, "Sampling", 60)
        away = near.add("MathEval")
        near.setString(away, "F", f"{at} + {GROWTH} * F{distance}")
        wake = near.add("MathEval")
        near.setString(wake, "F", f"{IN_WAKE * at} + {GROWTH} * sqrt({_beyond(field)})")
        return sizing.Graded(size, sizing.Sizing(at, size.smallest, size.around), (away, wake))

    return graded


def _beyond(field: Field) -> str:
    """The squared distance from the box of the wake, as gmsh writes formulas."""
    diameter = field.diameter
    room = 0.2 * (field.high - field.low)
    low = np.r_[field.high[0] - 0.5 * diameter, (field.low - room)[1:]]
    high = np.r_[field.high[0] + WAKE * diameter, (field.high + room)[1:]]
    terms = []
    for axis in range(3):
        a, b, c = (f"({float(v)!r})" for v in field.frame[axis])
        middle, half = float(low[axis] + high[axis]) / 2, float(high[axis] - low[axis]) / 2
        over = f"(abs({a}*x+{b}*y+{c}*z-({middle!r}))-{half!r})"
        terms.append(f"(({over}+abs({over}))/2)^2")
    return "+".join(terms)

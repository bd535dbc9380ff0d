"""The fluid inside a part: the faces that a closed hole encloses, found by flooding the skin from its openings.

Nothing is cut or subtracted: the void's skin is made of the part's own faces and of a lid on each opening, so that it
meets the part exactly, and faces keep what is known of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import gmsh
import numpy as np

from hub.selection import Face
from hub.solver import StageError
from solvers.meshing import cad
from solvers.meshing.cad import Floats
from solvers.meshing.tetmesh import Parts

#: A loop whose points lie within this part of its extent of one plane is flat.
FLAT = 1e-6
#: More voids than this are no part's.
MANY = 50


@dataclass(frozen=True)
class _Loop:
    """A closed row of edges of a face, around an opening. face : the face it lies on (gmsh tag)"""

    face: int
    edges: tuple[int, ...]

    def points(self) -> Floats:
        """Points along the loop, in the model's unit."""
        found = []
        for edge in self.edges:
            low, high = gmsh.model.getParametrizationBounds(1, edge)
            at = low[0] + (high[0] - low[0]) * np.arange(24) / 24
            found.append(np.asarray(gmsh.model.getValue(1, edge, at)).reshape(-1, 3))
        return np.vstack(found)

    def words(self, factor: float) -> str:
        """``about 8 mm wide near 10, 20, 30 mm``: its circumference over pi, and its middle."""
        around = sum(gmsh.model.occ.getMass(1, e) for e in self.edges) * factor * 1e3
        x, y, z = (f"{c * factor * 1e3 + 0.0:.4g}" for c in self.points().mean(axis=0))
        return f"about {around / np.pi:.3g} mm wide near {x}, {y}, {z} mm"

    def flat(self) -> bool:
        points = self.points()
        away = points - points.mean(axis=0)
        return bool(np.linalg.svd(away, compute_uv=False)[-1] <= FLAT * np.abs(away).max() * len(points) ** 0.5)


def enclose(parts: Parts, openings: Mapping[str, Sequence[int]], known: Sequence[Face], factor: float) -> Parts:
    """Turn the loaded model into the void that its openings close; their lids are named like them.

    openings : name of a selection -> indices of faces of the verdict that surround an opening (a rim), or are the wall
    of a hole that ends there; known : the faces of the verdict
    Raises StageError for an opening that is none, and for another opening that was not named, with its place and size.
    """
    topology = parts.topology
    loops = {name: _loops(parts, name, faces, known, factor) for name, faces in openings.items()}
    skin = _Skin(topology, [loop for of in loops.values() for loop in of])
    rims = {loop.face for of in loops.values() for loop in of}
    kept: dict[str, list[_Loop]] = {}
    voids: list[set[int]] = []
    for name, of in loops.items():
        reached = [(loop, skin.flood(loop)) for loop in of]
        # a flange has bolt holes beside its bore: of the smaller holes in a rim, those count that lead inside
        closed = [(loop, faces) for loop, faces in reached if not faces & rims]
        if reached[0] not in closed:  # the largest
            raise _leak(skin, name, of[:1], rims, factor)
        kept[name] = [loop for loop, _ in closed]
        for _, faces in closed:
            if faces not in voids:
                voids.append(faces)
    if len(voids) > MANY:
        raise StageError("too-many-voids", f"{len(voids)} separate voids.", "Name the openings of one of them.")
    return _build(parts, kept, voids)


class _Skin:
    """The outer faces of all bodies together and how they meet: the faces where bodies touch are no skin."""

    def __init__(self, topology: cad.Topology, closed: Iterable[_Loop]) -> None:
        self.faces = {f for f in topology.faces if len(topology.of_face[f]) < 2}
        self.edges = {f: topology.edges[f] for f in self.faces}
        self.uses = {e: [f for f in of if f in self.faces] for e, of in topology.uses.items()}
        self.closed = {e for loop in closed for e in loop.edges}

    def flood(self, loop: _Loop, also: frozenset[int] | set[int] = frozenset()) -> set[int]:
        """The faces beyond a loop, as far as one comes without crossing a closed edge or one of `also`."""
        shut = self.closed | also
        queue = [f for e in loop.edges for f in self.uses[e] if f != loop.face]
        seen = set(queue)
        for face in queue:
            for edge in self.edges[face]:
                if edge not in shut:
                    new = [f for f in self.uses[edge] if f not in seen]
                    seen.update(new)
                    queue += new
        return seen

    def holes(self) -> list[_Loop]:
        """Every hole in a face that was not named."""
        return [h for face in sorted(self.faces) for h in _holes(face) if not set(h.edges) <= self.closed]


def _holes(face: int) -> list[_Loop]:
    """The holes in a face, the largest first: its closed rows of edges but those that go round it, which are the
    outermost of a plane and those around the axis of a cylinder or cone."""
    borders = [abs(int(e)) for _, e in gmsh.model.getBoundary([(2, face)], combined=False)]
    rows = [_Loop(face, row) for row in _rows([e for e in borders if borders.count(e) == 1])]
    extents = {row: float(np.linalg.norm(np.ptp(row.points(), axis=0))) for row in rows}
    rows.sort(key=lambda row: -extents[row])
    if gmsh.model.getType(2, face) not in ("Cylinder", "Cone"):
        return rows[1:]
    numbers = np.asarray(gmsh.model.getEntityProperties(2, face)[1])
    return [row for row in rows if not _around(row.points() - numbers[:3], numbers[3:6])]


def _rows(edges: Sequence[int]) -> list[tuple[int, ...]]:
    """The edges in rows that hang together by their ends."""
    left = {e: {int(p) for _, p in gmsh.model.getBoundary([(1, e)])} for e in edges}
    rows = []
    while left:
        first, ends = left.popitem()
        row, grown = [first], True
        while grown:
            more = [e for e, points in left.items() if points & ends]
            for e in more:
                ends |= left.pop(e)
            row += more
            grown = bool(more)
        rows.append(tuple(sorted(row)))
    return rows


def _around(away: Floats, axis: Floats) -> bool:
    """Whether points go round an axis: no gap of a sixth of the circle between them."""
    axis = axis / np.linalg.norm(axis)
    aside = np.cross(axis, [1.0, 0, 0] if abs(axis[0]) < 0.9 else [0, 1.0, 0])
    angles = np.sort(np.arctan2(away @ np.cross(axis, aside), away @ aside))
    gaps = np.diff(np.r_[angles, angles[0] + 2 * np.pi])
    return bool(gaps.max() < np.pi / 3)


def _loops(parts: Parts, name: str, faces: Sequence[int], known: Sequence[Face], factor: float) -> list[_Loop]:
    """The loops that the faces of an opening surround, or where a hole ends."""
    tags = [parts.topology.faces[i] for i in parts.pieces(faces)]
    bored = {parts.topology.faces[i] for i, of in parts.came_from.items() if any(known[k].inside for k in of)}
    found = [loop for tag in tags if tag not in bored for loop in _holes(tag)]
    if not found:  # the wall of a hole: it ends where it is the inner loop of another face
        edges = {e for tag in tags for e in parts.topology.edges[tag]}
        beyond = {f for e in edges for f in parts.topology.uses[e]} - set(tags)
        found = [loop for f in sorted(beyond - bored) for loop in _holes(f) if set(loop.edges) <= edges]
        if len(found) > 1:
            places = "; ".join(loop.words(factor) for loop in found[:4])
            raise StageError(
                "opening-unclear",
                f"The opening {name} is the wall of a hole that ends in {len(found)} places: {places}.",
                "Point at the face around the one that is meant (the end face of the pipe, the flange).",
            )
    found.sort(key=lambda loop: -float(np.linalg.norm(np.ptp(loop.points(), axis=0))))
    if not found:
        middle = np.array(gmsh.model.occ.getCenterOfMass(2, tags[0])) * factor * 1e3
        raise StageError(
            "no-opening",
            f"The opening {name} (near {', '.join(f'{c + 0.0:.4g}' for c in middle)} mm) goes round no hole.",
            "Point at the face around the hole, such as the end face of a pipe or a flange. A part that is the fluid "
            "itself needs no domain inside.",
        )
    return found


def _leak(skin: _Skin, name: str, of: Sequence[_Loop], rims: set[int], factor: float) -> StageError:
    """Where one comes from an opening to the outside: the other holes that lie between."""
    holes = skin.holes()
    shut = {e for hole in holes for e in hole.edges}
    # with every hole shut the skin falls into regions; those around a rim are outside, and where a hole leads from a
    # region that is reached from the opening to one of these, there the fluid leaves
    outside: set[int] = set()
    for face in rims:
        border = [e for e in skin.edges[face] if e not in skin.closed]
        outside |= {face} | skin.flood(_Loop(-1, tuple(border)), shut)
    reached: set[int] = set()
    for loop in of:
        reached |= skin.flood(loop, shut)
    grown = True
    leaks: list[_Loop] = []
    while grown:
        grown = False
        for hole in holes:
            sides = {f for e in hole.edges for f in skin.uses[e]}
            if not sides & (reached - outside):
                continue
            if sides & outside:
                if hole not in leaks:
                    leaks.append(hole)
            elif not sides <= reached:
                for face in sides - reached:
                    reached |= {face} | skin.flood(_Loop(-1, skin.edges[face]), shut)
                grown = True
    if not leaks:
        return StageError(
            "leak",
            f"The opening {name} does not close the fluid off: one comes from it to the outside of the part.",
            "Point at the face right around each hole through which the fluid enters or leaves.",
        )
    places = "; ".join(hole.words(factor) for hole in leaks[:4])
    return StageError(
        "leak",
        f"The fluid inside is not closed: {len(leaks)} opening(s) not named, {places}.",
        "Select the face around each, name it under domain.openings, and give it a condition (a wall closes it).",
    )


def _build(parts: Parts, openings: Mapping[str, Sequence[_Loop]], voids: Sequence[set[int]]) -> Parts:
    """The model reduced to the voids. Raises StageError where the kernel cannot close them."""
    occ, topology = gmsh.model.occ, parts.topology
    lids: dict[str, list[int]] = {}
    try:
        for name, loops in openings.items():
            lids[name] = []
            for loop in loops:
                wire = occ.addCurveLoop(list(loop.edges))
                lids[name].append(occ.addPlaneSurface([wire]) if loop.flat() else occ.addSurfaceFilling(wire))
        volumes = []
        for faces in voids:
            own = [
                lid
                for name, loops in openings.items()
                for lid, loop in zip(lids[name], loops, strict=True)
                if any(f in faces for e in loop.edges for f in topology.uses[e])
            ]
            volumes.append(occ.addVolume([occ.addSurfaceLoop(sorted(faces) + own)]))
        occ.synchronize()
        occ.remove([(3, b) for b in topology.bodies])
        occ.synchronize()
        bounds = {abs(t) for _, t in gmsh.model.getBoundary([(3, v) for v in volumes], combined=False)}
        expected = {f for faces in voids for f in faces} | {lid for of in lids.values() for lid in of}
        if bounds != expected:
            raise ValueError("the faces of the void changed")
        occ.remove([e for e in gmsh.model.getEntities(2) if e[1] not in bounds])
        occ.synchronize()
        edges = {abs(t) for _, t in gmsh.model.getBoundary([(2, f) for f in bounds], combined=False)}
        occ.remove([e for e in gmsh.model.getEntities(1) if e[1] not in edges], recursive=True)
        occ.synchronize()
    except Exception as error:  # gmsh has one kind of exception
        raise StageError(
            "not-closed",
            f"The CAD kernel could not close the fluid inside: {str(error)[:150]}.",
            "Draw the fluid as a body of its own in the CAD system and use the domain part.",
        ) from None
    names = {v: "fluid" if len(volumes) == 1 else f"fluid {k + 1}" for k, v in enumerate(volumes)}
    after = cad.Topology.read(names)
    old = {tag: parts.came_from[i] for i, tag in enumerate(topology.faces)}
    place = {tag: i for i, tag in enumerate(after.faces)}
    return Parts(
        after,
        {i: old.get(tag, ()) for i, tag in enumerate(after.faces)},
        {name: [place[t] for t in of] for name, of in lids.items()},
    )

"""What is in a file: the process that intake starts closed in, once for each file."""

from __future__ import annotations

import itertools
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

import gmsh
import numpy as np

from hub.case import Mesh
from hub.filekind import Kind
from hub.intake import METRES, Contact, Facts, MeshCost, Solid
from hub.problem import Problem
from hub.solver import StageError
from hub.units import Vector
from solvers.meshing import cad, sizing, units
from solvers.meshing.cost import around_cost, hollows, level_cost, predict, thinnest

#: Bodies nearer than this touch [mm].
TOUCH = 1e-3
#: Bodies overlap if they share more than this part of the smaller one's volume.
OVERLAP = 1e-4
#: Seconds after which contacts are no longer looked at for overlaps: some pairs take the kernel long.
PATIENCE = 30.0


def probe(file: Path, out: Path, kind: Kind, unit: str | None) -> Facts:
    """The facts about a file, and ``surface.npz`` in `out`. Raises StageError."""
    if kind in ("step", "iges", "brep"):
        with cad.session():
            return _cad(file, out, kind, unit)
    from solvers.meshing import given  # reads meshes without gmsh

    return given.probe(file, out, kind, unit)


def scale(file: Path, kind: str, unit: str | None) -> tuple[float, tuple[str, ...]]:
    """(metres in one unit of the model that gmsh makes of the file, units the file declares)."""
    said = units.declared(file, kind)
    if unit is None:
        return cad.MM, said
    own = METRES.get(said[0]) if said else METRES["mm"]
    if own is None:
        raise StageError("unknown-unit", f"The file is in {said[0]}.", "Export it in mm.")
    return cad.MM * METRES[unit] / own, said


def _cad(file: Path, out: Path, kind: Kind, unit: str | None) -> Facts:
    factor, said = scale(file, kind, unit)
    cad.load(file, kind)
    topology = cad.Topology.read()
    open_edges, crowded = topology.edge_faults()
    wires = [e for _, e in gmsh.model.getEntities(1) if int(e) not in topology.uses]
    notes: list[Problem] = []
    box = _box(factor)
    facts = Facts(
        unit=said[0] if said else None,
        other_units=said[1:],
        bodies=tuple(
            Solid(name=n, volume=gmsh.model.occ.getMass(3, b) * factor**3)
            for b, n in zip(topology.bodies, topology.names, strict=True)
        ),
        box=box,
        open_edges=len(open_edges),
        nonmanifold_edges=len(crowded),
        open_places=tuple(cad.middle_of(e, factor) for e in open_edges[:3]),
        wires=len(wires),
    )
    if not topology.faces:
        return facts
    volume = sum(s.volume for s in facts.bodies) / factor**3
    diagonal = sizing.diagonal()
    # the skin of the coarse mesh: it shows the part, proves that it can be meshed and tells what meshes will cost
    coarse = sizing.sizing(Mesh(fineness="coarse"), volume or (diagonal / 4) ** 3, diagonal)
    try:
        sizing.apply(coarse)
        sizing.narrow_faces(topology, coarse)
        gmsh.model.mesh.generate(2)
    except Exception as error:  # gmsh has one kind of exception
        notes.append(_unmeshable(str(error)))
    surface = cad.tessellate(topology)
    faces = cad.faces(topology, surface, factor)
    bare = [f for i, f in enumerate(faces) if not (surface.face == i).any()]
    if bare and not notes:
        notes.append(_unmeshable(f"face {bare[0].index + 1} takes no triangles"))
    update: dict[str, object] = {"faces": tuple(faces), "notes": tuple(notes)}
    if topology.bodies and not notes:
        sizes = {level: sizing.sizing(Mesh(fineness=level), volume, diagonal) for level in sizing.BULK}
        costs = {level: predict(surface, coarse, size, volume) for level, size in sizes.items()}
        update["cost"] = {
            level: MeshCost(size=sizes[level].largest * factor, nodes=nodes, tets=tets)
            for level, (nodes, tets) in costs.items()
        }
        extents = [b - a for a, b in zip(*box, strict=True)] if box else [0.0, 0.0, 0.0]
        update["hollows"] = found = tuple(hollows(surface, faces, coarse, factor))
        update["domains"] = {
            "plane": level_cost(faces),
            "inside": found[0].cost if found else {},
            "around": around_cost(faces, extents),
        }
        wall = thinnest(surface, [f.bodies for f in faces])
        update["thinnest"] = None if wall is None else wall * factor
        update["contacts"] = tuple(_contacts(topology))
    _show(topology, surface, factor, out / "surface.npz")
    return facts.model_copy(update=update)


def _show(topology: cad.Topology, surface: cad.Surface, factor: float, file: Path) -> None:
    """Write the triangles people look at: those of the skin, bent to the faces and quartered where that can be done."""
    if not len(surface.triangles):
        return
    with suppress(Exception):  # gmsh has one kind of exception; the flat triangles show the part too
        gmsh.model.mesh.setOrder(2)
        surface = cad.tessellate(topology)
    np.savez(
        file,
        points=surface.points * factor,
        triangles=surface.triangles,
        face=surface.face,
        edges=surface.edges,
    )


def _unmeshable(why: str) -> Problem:
    return Problem(
        where="geometry.file",
        found=f"a face that cannot be covered with triangles ({why[:150]})",
        expected="faces with closed, clean borders",
        todo="Repair the part in the CAD system (check geometry, heal), then export again.",
        code="invalid-face",
    )


def _box(factor: float) -> tuple[Vector, Vector] | None:
    """The box around everything; gmsh's own is loose around curved edges."""
    boxes = [gmsh.model.occ.getBoundingBox(d, t) for d, t in gmsh.model.getEntities() if d == 3]
    boxes = boxes or [gmsh.model.getBoundingBox(d, t) for d, t in gmsh.model.getEntities()]
    if not boxes:
        return None
    all_boxes = np.array(boxes) * factor
    low, high = all_boxes[:, :3].min(axis=0), all_boxes[:, 3:].max(axis=0)
    return cast(Vector, tuple(map(float, low))), cast(Vector, tuple(map(float, high)))


def _contacts(topology: cad.Topology) -> list[Contact]:
    """Pairs of bodies that touch and share no face."""
    boxes = [np.array(gmsh.model.getBoundingBox(3, b)) for b in topology.bodies]
    joined = {frozenset(of) for of in topology.of_face.values() if len(of) == 2}
    found = []
    until = time.monotonic() + PATIENCE
    for i, j in itertools.combinations(range(len(boxes)), 2):
        a, b = topology.bodies[i], topology.bodies[j]
        apart = np.maximum(boxes[i][:3] - boxes[j][3:], boxes[j][:3] - boxes[i][3:]).max() > TOUCH
        if apart or frozenset((a, b)) in joined:
            continue
        if 0 <= gmsh.model.occ.getDistance(3, a, 3, b)[0] <= TOUCH:
            deep = (np.minimum(boxes[i][3:], boxes[j][3:]) - np.maximum(boxes[i][:3], boxes[j][:3])).min() > TOUCH
            found.append(Contact(bodies=(i, j), overlap=bool(deep and time.monotonic() < until and _overlap(a, b))))
    return found


def _overlap(a: int, b: int) -> bool:
    """Whether two bodies occupy the same space, by more than the rounding of faces that touch."""
    occ = gmsh.model.occ
    try:
        common, _ = occ.intersect([(3, a)], [(3, b)], removeObject=False, removeTool=False)
    except Exception:  # gmsh has one kind of exception; it raises also where nothing is common
        return False
    shared = sum(occ.getMass(3, t) for d, t in common if d == 3)
    occ.remove([e for e in common if e not in ((3, a), (3, b))], recursive=True)
    return bool(shared > OVERLAP * min(occ.getMass(3, a), occ.getMass(3, b)))

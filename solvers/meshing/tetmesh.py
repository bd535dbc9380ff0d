"""Fill a CAD model with tetrahedra whose sides follow the curved faces."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gmsh
import numpy as np

from hub.case import Mesh
from hub.meshfile import MeshFile
from hub.selection import Face
from hub.solver import StageError
from solvers.meshing import cad, sizing
from solvers.meshing.cad import Floats, Ints

#: gmsh's numbers for element kinds, and the node order that VTK wants.
TETS = {1: (4, 4), 2: (11, 10)}
TRIANGLES = {1: (2, 3), 2: (9, 6)}
TO_VTK = {4: [0, 1, 2, 3], 10: [0, 1, 2, 3, 4, 5, 6, 7, 9, 8]}
#: Algorithms for the volume in the order in which they are tried: Delaunay, HXT (parallel), frontal.
ALGORITHMS = (1, 10, 4)
#: Below this quality of its worst element the mesh is worked on; at or below zero it is refused.
POOR = 0.05
#: The mesh's volume may differ from the part's by this: curved sides of second order cut corners a little.
VOLUME_LOST = 0.005

#: A point nearer than this to a face lies on it [mm].
ON = 1e-4

Progress = Callable[[int, int, str], None]
Couple = Callable[[int, Mapping[str, Sequence[int]]], None]


@dataclass(frozen=True)
class Parts:
    """The model to mesh and how it came from the faces that intake numbered.

    came_from : index of a face of the model -> indices of the faces of the verdict it is a piece of
    named : faces of the model that the domain brings along or that an opening means, by name
    """

    topology: cad.Topology
    came_from: dict[int, tuple[int, ...]]
    named: dict[str, list[int]] = field(default_factory=dict)

    def chosen(self, selections: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
        """Faces of the model by name: selections of faces of the verdict, and what the domain brings."""
        return {name: self.pieces(faces) for name, faces in selections.items()} | self.named

    def pieces(self, faces: Sequence[int]) -> list[int]:
        """Faces of the model that make up faces of the verdict: the free pieces, or all where none is free."""
        mine = [i for i, old in self.came_from.items() if set(old) & set(faces)]
        free = [i for i in mine if len(self.topology.of_face[self.topology.faces[i]]) < 2]
        whole = [i for i in mine if len(self.came_from[i]) and set(self.came_from[i]) <= set(faces)]
        return sorted(free or whole or mine)


def prepare(file: Path, kind: str, *, bonded: bool) -> Parts:
    """Load the part; where `bonded`, cut touching bodies so that they share their common faces. Raises StageError."""
    cad.load(file, kind)
    before = cad.Topology.read()
    if not bonded or len(before.bodies) < 2:
        return Parts(before, {i: (i,) for i in range(len(before.faces))})
    occ = gmsh.model.occ
    bodies = [(3, b) for b in before.bodies]
    looks = {_look(b): n for b, n in zip(before.bodies, before.names, strict=True)}
    try:
        # the kernel's own account of what became of each face is wrong where tags are given anew: keep copies to ask
        copies = [t for _, t in occ.copy([(2, f) for f in before.faces])]
        _, parents = occ.fragment(bodies, [])
        occ.synchronize()
    except Exception as error:  # gmsh has one kind of exception
        raise StageError(
            "not-joined",
            f"The touching bodies could not be joined: {error}.",
            "Say geometry.contacts: separate, or unite the bodies in the CAD system.",
        ) from None
    names: dict[int, str] = {}
    for (_, tag), children in zip(bodies, parents, strict=True):
        for _, child in children:
            names.setdefault(int(child), before.names[before.bodies.index(tag)])
    for _, tag in gmsh.model.getEntities(3):
        names[int(tag)] = looks.get(_look(int(tag)), names.get(int(tag), ""))
    boxes = np.array([occ.getBoundingBox(2, c) for c in copies])
    origin = {int(t): origin_of(int(t), copies, boxes) for _, t in gmsh.model.getEntities(2) if t not in set(copies)}
    occ.remove([(2, c) for c in copies], recursive=True)
    occ.synchronize()
    after = cad.Topology.read({t: n for t, n in names.items() if n})
    return Parts(after, {i: origin.get(tag, ()) for i, tag in enumerate(after.faces)})


def _look(body: int) -> tuple[float, ...]:
    """Volume and centre of a body, rounded: what stays when it is only cut along its skin."""
    values = [gmsh.model.occ.getMass(3, body), *gmsh.model.occ.getCenterOfMass(3, body)]
    return tuple(float(f"{v:.6g}") if abs(v) > 1e-6 else 0.0 for v in values)


def origin_of(face: int, copies: Sequence[int], boxes: Floats) -> tuple[int, ...]:
    """Indices of the copied faces on which a face lies: those at no distance from a point inside it."""
    low, high = gmsh.model.getParametrizationBounds(2, face)
    for fractions in np.random.default_rng(0).random((400, 2)):
        at = (low + fractions * (high - low)).tolist()
        if gmsh.model.isInside(2, face, at, parametric=True):
            break
    x = gmsh.model.getValue(2, face, at)
    point = gmsh.model.occ.addPoint(*x)
    near = np.flatnonzero((boxes[:, :3] <= x + ON).all(axis=1) & (boxes[:, 3:] >= x - ON).all(axis=1))
    found = [int(k) for k in near if 0 <= gmsh.model.occ.getDistance(0, point, 2, copies[k])[0] <= ON]
    gmsh.model.occ.remove([(0, point)])
    return tuple(found)


def mesh(
    parts: Parts,
    wanted: Mesh,
    selections: Mapping[str, Sequence[int]],
    factor: float,
    *,
    known: Sequence[Face] = (),
    graded: Callable[[Mesh], sizing.Graded] | None = None,
    progress: Progress = lambda step, of, doing: None,
    left: Callable[[], float] = lambda: float("inf"),
    couple: Couple = lambda dim, entities: None,
) -> MeshFile:
    """The mesh of the loaded model.

    selections : name -> indices of faces of the verdict; factor : metres in one unit of the model
    known : faces of the verdict, whose names and colours their pieces keep; left : seconds that are left
    graded : sizes of a domain that is not uniform
    couple : told the dimension of faces and the tags of each selection's, once all sizes are set
    Raises StageError where no valid mesh comes out.
    """
    begun = time.perf_counter()
    topology = parts.topology
    chosen = parts.chosen(selections)
    cad_volumes = [gmsh.model.occ.getMass(3, b) for b in topology.bodies]
    if graded is None:
        size = sizing.sizing(wanted, sum(cad_volumes), sizing.diagonal(), unit=factor)
        sizes = sizing.Graded(size, size)
    else:
        sizes = graded(wanted)
        size = sizes.whole
    sizing.apply(size)
    sizing.narrow_faces(topology, sizes.near)
    refined = [
        ([topology.faces[i] for i in chosen[r.on]], r.size / factor, (r.reach or 0) / factor)
        for r in wanted.refine
        if r.on in chosen
    ]
    sizing.refine(refined, size, fields=sizes.fields)
    couple(2, {name: [topology.faces[i] for i in of] for name, of in chosen.items()})
    gmsh.option.setNumber("Mesh.SecondOrderLinear", 0)
    tried: list[str] = []
    for attempt, algorithm in enumerate(ALGORITHMS):
        progress(attempt, len(ALGORITHMS), "meshing")
        gmsh.model.mesh.clear()
        gmsh.option.setNumber("Mesh.Algorithm3D", algorithm)
        try:
            gmsh.model.mesh.generate(3)
            worst, where = _curve(wanted.order)
            if worst < POOR:
                progress(attempt, len(ALGORITHMS), "improving flat elements")
                gmsh.model.mesh.setOrder(1)
                gmsh.model.mesh.optimize("Netgen")
                worst, where = _curve(wanted.order)
        except Exception as error:  # gmsh has one kind of exception
            tried.append(str(error)[:200])
        else:
            if worst < POOR and wanted.order == 2:
                progress(attempt, len(ALGORITHMS), "untangling curved elements")
                worst, where = _untangle(worst, where)
            if worst > 0:
                progress(len(ALGORITHMS), len(ALGORITHMS), "writing")
                seconds = time.perf_counter() - begun
                return _collect(parts, chosen, known, wanted.order, factor, cad_volumes, sizes, seconds)
            at = ", ".join(f"{c * factor * 1e3:.4g}" for c in where)
            tried.append(f"elements turned inside out near {at} mm")
        if left() < time.perf_counter() - begun:
            break
    raise StageError(
        "no-valid-mesh",
        f"No valid mesh was found: {'; '.join(dict.fromkeys(tried))}.",
        "Choose a finer mesh, refine that place, or simplify the part there (slivers, tiny steps, sharp tips).",
    )


def _curve(order: int) -> tuple[float, Floats]:
    """Bend the sides where asked for; (quality of the worst tetrahedron, its middle): the smaller of the scaled
    Jacobian and half the inverse condition, because straight tetrahedra have a Jacobian of 1 however flat."""
    gmsh.model.mesh.setOrder(order)
    return _worst(order)


def _worst(order: int) -> tuple[float, Floats]:
    """(quality of the worst tetrahedron, its middle)."""
    kind, size = TETS[order]
    tags, nodes = gmsh.model.mesh.getElementsByType(kind)
    if not len(tags):
        return -1.0, np.zeros(3)
    jacobian = gmsh.model.mesh.getElementQualities(tags, "minSJ")
    quality = np.minimum(jacobian, gmsh.model.mesh.getElementQualities(tags, "minSICN") / 2)
    k = int(np.argmin(quality))
    corners = [gmsh.model.mesh.getNode(int(n))[0] for n in nodes.reshape(-1, size)[k, :4]]
    return float(quality[k]), np.mean(corners, axis=0)


def _untangle(worst: float, where: Floats) -> tuple[float, Floats]:
    """Move nodes of curved elements until none is inside out, as far as that goes."""
    for method in ("HighOrderFastCurving", "HighOrder", "HighOrderElastic"):
        try:
            gmsh.model.mesh.optimize(method)
        except Exception:  # an optimiser that gives up leaves the mesh as it was
            continue
        worst, where = _worst(2)
        if worst > POOR / 2:
            break
    return worst, where


def _collect(
    parts: Parts,
    chosen: Mapping[str, list[int]],
    known: Sequence[Face],
    order: int,
    factor: float,
    cad_volumes: Sequence[float],
    sizes: sizing.Graded,
    seconds: float,
) -> MeshFile:
    """The mesh in gmsh as arrays in metres, with its numbers."""
    topology = parts.topology
    tags, xyz, _ = gmsh.model.mesh.getNodes()
    number = np.full(int(tags.max()) + 1, -1, np.int64)
    number[tags.astype(np.int64)] = np.arange(len(tags))
    kind, width = TETS[order]
    cells, cell_body, tet_tags = [], [], []
    for k, body in enumerate(topology.bodies):
        elements, nodes = gmsh.model.mesh.getElementsByType(kind, body)
        cells.append(number[nodes.astype(np.int64).reshape(-1, width)][:, TO_VTK[width]])
        cell_body.append(np.full(len(elements), k, np.int32))
        tet_tags.append(elements)
        if not len(elements):
            raise StageError(
                "empty-body", f"The body {topology.names[k]} got no elements.", "Check that it is a closed solid."
            )
    kind, width = TRIANGLES[order]
    facets, facet_face = [], []
    for i, face in enumerate(topology.faces):
        _, nodes = gmsh.model.mesh.getElementsByType(kind, face)
        facets.append(number[nodes.astype(np.int64).reshape(-1, width)])
        facet_face.append(np.full(len(facets[-1]), i, np.int32))
        if not len(facets[-1]):
            raise StageError(
                "no-valid-mesh",
                "A face got no triangles.",
                "Choose a finer mesh, or repair the part in the CAD system.",
            )
    points, cells_all = xyz.reshape(-1, 3), np.concatenate(cells)
    used = np.zeros(len(points), bool)
    used[cells_all.ravel()] = True
    renumber = np.cumsum(used) - 1
    points, cells_all = points[used], renumber[cells_all]
    facets_all, facet_face_all = renumber[np.concatenate(facets)], np.concatenate(facet_face)
    owners = [[topology.bodies.index(b) for b in topology.of_face[f]] for f in topology.faces]
    corners = cad.orient(points, facets_all[:, :3], facet_face_all.astype(np.int64), owners)
    turned = (corners[:, 1] != facets_all[:, 1])[:, None]
    if order == 2:
        swapped = facets_all[:, [0, 2, 1, 5, 4, 3]]
        facets_all = np.where(turned, swapped, facets_all)
    else:
        facets_all = corners
    everything = np.concatenate(tet_tags)
    volumes = volume(points[cells_all])
    bodies_all = np.concatenate(cell_body)
    body_volumes = np.bincount(bodies_all, volumes, len(topology.bodies))
    lost = abs(float(volumes.sum()) / sum(cad_volumes) - 1)
    if volumes.min() <= 0 or lost > VOLUME_LOST * (20 if order == 1 else 1):
        raise StageError(
            "wrong-volume",
            f"The mesh has {100 * lost:.2g} % more or less volume than the part.",
            "Choose a finer mesh; if that does not help, the CAD file is damaged: export it again.",
        )
    surface = cad.Surface(points, facets_all[:, :3], facet_face_all.astype(np.int64), np.empty((0, 2), np.int64))
    faces = [
        as_known(f, [known[i] for i in parts.came_from[f.index] if known]) for f in cad.faces(topology, surface, factor)
    ]
    jacobian = gmsh.model.mesh.getElementQualities(everything, "minSJ")
    sicn = gmsh.model.mesh.getElementQualities(everything, "minSICN")
    worst = points[cells_all[int(np.argmin(jacobian)), :4]].mean(axis=0)
    numbers = numbers_of(points * factor, cells_all, float(sum(cad_volumes)) * factor**3) | {
        "size": sizes.near.largest * factor,
        "worst_place": [float(c) for c in worst * factor],
        "scaled_jacobian": spread(jacobian),
        "sicn": spread(sicn),
        "seconds": round(seconds, 3),
        "mesher": f"gmsh {gmsh.GMSH_API_VERSION}",
    }
    return MeshFile(
        points=points * factor,
        cells=cells_all,
        cell_body=bodies_all,
        facets=facets_all,
        facet_face=facet_face_all,
        bodies=[{"name": n, "volume": float(v) * factor**3} for n, v in zip(topology.names, body_volumes, strict=True)],
        faces=[f.model_dump(mode="json") for f in faces],
        selections=dict(chosen),
        numbers=numbers,
    )


def as_known(face: Face, origins: Sequence[Face]) -> Face:
    """A face with the names and the colour of those it is a piece of: cutting bodies loses them."""
    names = dict.fromkeys([n for f in origins for n in f.names] or face.names)
    return face.model_copy(
        update={
            "names": tuple(names),
            "colour": next((f.colour for f in origins if f.colour), face.colour),
        }
    )


#: Corners and middles of the sides in barycentric coordinates, in VTK's order.
_PAIRS = ((0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3))
_NODES = np.vstack([np.eye(4), [[0.5 * (k in pair) for k in range(4)] for pair in _PAIRS]])
_FIVE = np.vstack([np.full((1, 4), 0.25), np.full((4, 4), 1 / 6) + np.eye(4) / 3])
_WEIGHTS = np.array([-0.8, 0.45, 0.45, 0.45, 0.45]) / 6


def _determinants(nodes: Floats, places: Floats) -> Floats:
    """Determinants (n, len(places)) of the maps from the reference tetrahedron to quadratic ones (n, 10, 3)."""
    gradients = np.array([[-1.0, -1, -1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    found = []
    for at in places:
        shape = [(4 * at[k] - 1) * gradients[k] for k in range(4)]
        shape += [4 * (at[i] * gradients[j] + at[j] * gradients[i]) for i, j in _PAIRS]
        found.append(np.linalg.det(np.einsum("nkx,kd->nxd", nodes, np.array(shape))))
    return np.array(found).T


def volume(nodes: Floats) -> Floats:
    """Volumes (n,) of tetrahedra with curved sides, from their nodes (n, 4 or 10, 3) in VTK's order; exact.

    The determinant of a quadratic map is a cubic polynomial; the rule of five points integrates it exactly
    (Keast, Comput. Methods Appl. Mech. Eng. 55, 1986, 339-348).
    """
    if nodes.shape[1] == 10:
        return np.asarray(_determinants(nodes, _FIVE) @ _WEIGHTS)
    a, b, c = (nodes[:, k] - nodes[:, 0] for k in (1, 2, 3))
    return np.asarray(np.einsum("ij,ij->i", a, np.cross(b, c)) / 6)


def scaled_jacobian(nodes: Floats) -> Floats:
    """Smallest over largest determinant at the ten nodes (n,): 1 for straight sides, at most 0 where inside out."""
    if nodes.shape[1] == 4:
        return np.sign(volume(nodes))
    found = _determinants(nodes, _NODES)
    return np.asarray(found.min(axis=1) / np.maximum(np.abs(found).max(axis=1), 1e-300))


def numbers_of(points: Floats, cells: Ints, cad_volume: float) -> dict[str, Any]:
    """What people look at before solving: counts, quality, edges [m], volumes [m3]."""
    return {
        "nodes": len(points),
        "tets": len(cells),
        "order": 2 if cells.shape[1] == 10 else 1,
        "shape": spread(shape(points[cells[:, :4]])),
        "scaled_jacobian": spread(scaled_jacobian(points[cells])),
        **_edges(points, cells),
        "volume": float(volume(points[cells]).sum()),
        "cad_volume": cad_volume,
        "seconds": 0.0,
    }


def shape(corners: Floats) -> Floats:
    """Mean-ratio quality (n,) of straight tetrahedra: 1 regular, 0 flat (Liu and Joe, BIT 34, 1994, 268-287)."""
    squares = sum(((corners[:, a] - corners[:, b]) ** 2).sum(axis=1) for a, b in _PAIRS)
    filled = volume(corners)
    return np.asarray(np.sign(filled) * 12 * np.cbrt(3 * np.abs(filled)) ** 2 / np.maximum(squares, 1e-300))


def spread(values: Floats) -> dict[str, float]:
    return {"min": float(values.min()), "mean": float(values.mean())}


def _edges(points: Floats, cells: Ints) -> dict[str, float]:
    lengths = [np.linalg.norm(points[cells[:, a]] - points[cells[:, b]], axis=1) for a, b in _PAIRS]
    return {"smallest_edge": float(min(x.min() for x in lengths)), "largest_edge": float(max(x.max() for x in lengths))}


def unchanged(before: Sequence[Face], after: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the faces of the mesh are those of the verdict, in its order."""
    return len(before) == len(after) and all(
        abs(b.area - a["area"]) <= 1e-6 * b.area for b, a in zip(before, after, strict=True)
    )

"""Cover flat faces of a CAD model with triangles whose sides follow its edges: the mesh of a plane domain."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import gmsh
import numpy as np

from hub.case import Mesh
from hub.meshfile import MeshFile
from hub.selection import Face
from hub.solver import StageError
from solvers.meshing import cad, sizing
from solvers.meshing.cad import Floats, Ints
from solvers.meshing.tetmesh import POOR, TRIANGLES, Couple, Parts, Progress, as_known, spread

#: gmsh's numbers for lines; the node between the ends comes last, as in VTK.
LINES = {1: (1, 2), 2: (8, 3)}
#: The meshed area may differ from the drawn one by this.
AREA_LOST = 0.005
#: Faces of one plane lie in it to this [mm].
LEVEL = 1e-6


def mesh(
    parts: Parts,
    faces: Sequence[int],
    wanted: Mesh,
    selections: Mapping[str, Sequence[int]],
    factor: float,
    *,
    known: Sequence[Face] = (),
    progress: Progress = lambda step, of, doing: None,
    left: Callable[[], float] = lambda: float("inf"),
    couple: Couple = lambda dim, entities: None,
) -> MeshFile:
    """The mesh of flat faces of the loaded model, in x and y of the model, with z = 0.

    faces : indices of the verdict's faces that make up the domain; selections : name -> such indices
    A facet belongs to the face beyond its edge: a side of the part, or the interface of two bodies.
    factor, known, left, couple : as for tetrahedra. Raises StageError where no valid mesh comes out.
    """
    begun = time.perf_counter()
    topology = parts.topology
    described = _described(parts, known, factor)
    tags = [topology.faces[i] for i in parts.pieces(faces)]
    _in_one_plane(tags)
    chosen = {name: parts.pieces(of) for name, of in selections.items()}
    beyond = _beyond(topology, tags)
    _keep_only(tags)
    flat = replace(topology, faces=tuple(tags))
    area = sum(gmsh.model.occ.getMass(2, t) for t in tags)
    size = sizing.sizing(wanted, area, sizing.diagonal(), unit=factor, flat=True)
    sizing.apply(size)
    sizing.narrow_faces(flat, size)
    edges = {n: [e for e, f in beyond.items() if topology.faces.index(f) in of] for n, of in chosen.items()}
    absent = [r.on for r in wanted.refine if not edges[r.on]]
    if absent:
        raise StageError(
            "not-in-plane",
            f"The faces called {absent[0]} have no edge on the face of the plane domain.",
            "Refine at faces beside it.",
        )
    sizing.refine([(edges[r.on], r.size / factor, (r.reach or 0) / factor) for r in wanted.refine], size, dim=1)
    couple(1, edges)
    progress(0, 1, "meshing")
    try:
        gmsh.model.mesh.generate(2)
        gmsh.model.mesh.setOrder(wanted.order)
        quality = _quality(wanted.order)
        for method in ("HighOrderFastCurving", "HighOrder"):
            if wanted.order == 2 and quality.min(initial=1) < POOR and left() > 0:
                gmsh.model.mesh.optimize(method)
                quality = _quality(wanted.order)
    except Exception as error:  # gmsh has one kind of exception
        raise StageError(
            "no-valid-mesh",
            f"The face could not be covered with triangles: {str(error)[:150]}.",
            "Check its border in the CAD system, or choose a finer mesh.",
        ) from None
    if not len(quality) or quality.min() <= 0:
        raise StageError(
            "no-valid-mesh",
            f"{int((quality <= 0).sum())} triangles are turned inside out.",
            "Choose a finer mesh, or refine the sharp bends.",
        )
    progress(1, 1, "writing")
    points, cells, body, facets, face = _collect(flat, beyond, wanted.order)
    meshed = triangle_area(points[cells])
    lost = abs(float(meshed.sum()) / area - 1)
    if lost > AREA_LOST * (20 if wanted.order == 1 else 1):
        raise StageError(
            "wrong-area", f"The mesh has {100 * lost:.2g} % more or less area than the face.", "Choose a finer mesh."
        )
    covered = np.bincount(body, meshed, len(topology.bodies)) * factor**2
    there = [k for k in range(len(topology.bodies)) if covered[k] > 0]
    renumber = np.full(len(topology.bodies), -1)
    renumber[there] = np.arange(len(there))
    points = points * factor
    return MeshFile(
        points=points,
        cells=cells,
        cell_body=renumber[body].astype(np.int32),
        facets=facets,
        facet_face=face.astype(np.int32),
        bodies=[{"name": topology.names[k], "volume": float(covered[k])} for k in there],
        faces=[
            f.model_dump(mode="json") | {"bodies": [there.index(b) for b in f.bodies if b in there]} for f in described
        ],
        selections=chosen,
        numbers=numbers_of(points, cells, area * factor**2)
        | {
            "size": size.largest * factor,
            "scaled_jacobian": spread(quality),
            "seconds": round(time.perf_counter() - begun, 3),
            "mesher": f"gmsh {gmsh.GMSH_API_VERSION}",
        },
    )


def _described(parts: Parts, known: Sequence[Face], factor: float) -> list[Face]:
    """The faces of the model as the verdict knows them, pieces of its faces described anew."""
    found = []
    for face in cad.faces(parts.topology, cad.tessellate(parts.topology), factor):
        origins = [known[i] for i in parts.came_from[face.index] if known]
        whole = len(origins) == 1 and abs(origins[0].area - face.area) <= 1e-6 * face.area
        update = {"index": face.index, "bodies": face.bodies, "neighbours": face.neighbours}
        found.append(origins[0].model_copy(update=update) if whole else as_known(face, origins))
    return found


def _in_one_plane(tags: Sequence[int]) -> None:
    """Raises StageError unless the faces are flat, level (normal z or -z) and at one height."""
    heights = []
    for tag in tags:
        low = np.array(gmsh.model.occ.getBoundingBox(2, tag))
        if gmsh.model.getType(2, tag) != "Plane" or low[5] - low[2] > LEVEL + 1e-6 * np.abs(low).max():
            raise StageError(
                "not-level",
                "The face of the plane domain is curved, or its normal is not z.",
                "Choose a flat face with the normal z or -z, or turn the part in the CAD system.",
            )
        heights.append(low[2])
    if max(heights) - min(heights) > 1e-4:
        raise StageError(
            "not-level", "The faces of the plane domain lie at different heights.", "Choose faces of one plane."
        )


def _beyond(topology: cad.Topology, tags: Sequence[int]) -> dict[int, int]:
    """Edge of the flat faces -> the face beyond it; an edge between two pieces of one flat face has none."""
    found = {}
    for edge in dict.fromkeys(e for t in tags for e in topology.edges[t]):
        others = [f for f in topology.uses[edge] if f not in tags]
        if others:
            found[edge] = max(others, key=lambda f: len(topology.of_face[f]))
    return found


def _keep_only(tags: Sequence[int]) -> None:
    """Take everything out of the model but these faces and what bounds them."""
    occ = gmsh.model.occ
    occ.remove(gmsh.model.getEntities(3))
    occ.synchronize()
    others = [e for e in gmsh.model.getEntities(2) if e[1] not in tags]
    occ.remove(others)
    occ.synchronize()
    bounds = {abs(t) for _, t in gmsh.model.getBoundary([(2, t) for t in tags], combined=False)}
    occ.remove([e for e in gmsh.model.getEntities(1) if e[1] not in bounds], recursive=True)
    occ.synchronize()


def _quality(order: int) -> Floats:
    """Scaled Jacobian of each triangle, at most half the inverse condition: straight ones have a Jacobian of 1."""
    tags, _ = gmsh.model.mesh.getElementsByType(TRIANGLES[order][0])
    if not len(tags):
        return np.empty(0)
    turned = gmsh.model.mesh.getElementQualities(tags, "minSJ")
    condition = gmsh.model.mesh.getElementQualities(tags, "minSICN")
    # a face whose normal is -z is meshed looking down: all its triangles are negative, and turned round later
    return np.asarray(np.minimum(np.abs(turned), np.abs(condition)) * np.where(turned * turned.sum() > 0, 1, -1))


def _collect(flat: cad.Topology, beyond: Mapping[int, int], order: int) -> tuple[Floats, Ints, Ints, Ints, Ints]:
    """(points, cells, body of each, facets, face beyond each); triangles anticlockwise, the body left of its facets."""
    tags, xyz, _ = gmsh.model.mesh.getNodes()
    number = np.full(int(tags.max()) + 1, -1, np.int64)
    number[tags.astype(np.int64)] = np.arange(len(tags))
    points = xyz.reshape(-1, 3).copy()
    points[:, 2] = 0
    kind, width = TRIANGLES[order]
    cells, body = [], []
    for tag in flat.faces:
        _, nodes = gmsh.model.mesh.getElementsByType(kind, tag)
        cells.append(number[nodes.astype(np.int64).reshape(-1, width)])
        of = flat.of_face[tag]
        body.append(np.full(len(cells[-1]), flat.bodies.index(of[0]) if of else 0))
    cells_all = np.concatenate(cells)
    clockwise = triangle_area(points[cells_all]) < 0
    cells_all[clockwise] = cells_all[clockwise][:, [0, 2, 1] if order == 1 else [0, 2, 1, 5, 4, 3]]
    kind, width = LINES[order]
    lines, face = [], []
    index = {tag: i for i, tag in enumerate(flat.of_face)}
    for edge, tag in beyond.items():
        _, nodes = gmsh.model.mesh.getElementsByType(kind, edge)
        lines.append(number[nodes.astype(np.int64).reshape(-1, width)])
        face.append(np.full(len(lines[-1]), index[tag]))
    facets = np.concatenate([np.empty((0, width), np.int64), *lines])
    used = np.zeros(len(points), bool)
    used[cells_all.ravel()] = True
    renumber = np.cumsum(used) - 1
    cells_all, facets = renumber[cells_all], renumber[facets]
    sides = np.concatenate([cells_all[:, [0, 1]], cells_all[:, [1, 2]], cells_all[:, [2, 0]]])
    count = int(used.sum())
    left = np.isin(facets[:, 0] * count + facets[:, 1], sides[:, 0] * count + sides[:, 1])
    facets[~left, :2] = facets[~left][:, [1, 0]]
    return points[used], cells_all, np.concatenate(body), facets, np.concatenate([np.empty(0, np.int64), *face])


# --- triangles in the plane ---------------------------------------------------------------------------------------

#: Area of the regular triangle over the square of its side.
REGULAR = np.sqrt(3) / 4
_ENDS = ((0, 1), (1, 2), (2, 0))


def triangle_area(nodes: Floats) -> Floats:
    """Signed areas (n,) of triangles with curved sides from their nodes (n, 3 or 6, 2 or 3) in VTK's order; exact.

    Green's theorem over each side; a parabola adds two thirds of its height times its chord.
    """
    x, y = nodes[..., 0], nodes[..., 1]
    area = ((x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (y[:, 1] - y[:, 0])) / 2
    if nodes.shape[1] == 6:
        for k, (a, b) in enumerate(_ENDS):
            dx, dy = x[:, 3 + k] - (x[:, a] + x[:, b]) / 2, y[:, 3 + k] - (y[:, a] + y[:, b]) / 2
            area = area + 2 / 3 * (dx * (y[:, b] - y[:, a]) - dy * (x[:, b] - x[:, a]))
    return np.asarray(area)


def triangle_jacobian(nodes: Floats) -> Floats:
    """Smallest over largest determinant at the six nodes (n,): 1 for straight sides, at most 0 where inside out."""
    if nodes.shape[1] == 3:
        return np.sign(triangle_area(nodes))
    gradients = np.array([[-1.0, -1], [1, 0], [0, 1]])
    found = []
    for at in np.vstack([np.eye(3), [[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]]]):
        shape = [(4 * at[k] - 1) * gradients[k] for k in range(3)]
        shape += [4 * (at[i] * gradients[j] + at[j] * gradients[i]) for i, j in _ENDS]
        found.append(np.linalg.det(np.einsum("nkx,kd->nxd", nodes[..., :2], np.array(shape))))
    values = np.array(found).T
    return np.asarray(values.min(axis=1) / np.maximum(np.abs(values).max(axis=1), 1e-300))


def triangle_shape(corners: Floats) -> Floats:
    """Mean-ratio quality (n,) of straight triangles: 1 regular, 0 flat (Bank and Smith, SIAM J. Numer. Anal. 34, 1997,
    979-997)."""
    squares = sum(((corners[:, a] - corners[:, b]) ** 2).sum(axis=1) for a, b in _ENDS)
    return np.asarray(4 * np.sqrt(3) * triangle_area(corners) / np.maximum(squares, 1e-300))


def numbers_of(points: Floats, cells: Ints, drawn: float) -> dict[str, Any]:
    """What people look at before solving: counts, quality, edges [m], and area [m2] as the volume of 1 m depth."""
    lengths = [np.linalg.norm(points[cells[:, a]] - points[cells[:, b]], axis=1) for a, b in _ENDS]
    return {
        "nodes": len(points),
        "triangles": len(cells),
        "order": 2 if cells.shape[1] == 6 else 1,
        "shape": spread(triangle_shape(points[cells[:, :3]])),
        "scaled_jacobian": spread(triangle_jacobian(points[cells])),
        "smallest_edge": float(min(x.min() for x in lengths)),
        "largest_edge": float(max(x.max() for x in lengths)),
        "volume": float(triangle_area(points[cells]).sum()),
        "cad_volume": drawn,
        "seconds": 0.0,
    }

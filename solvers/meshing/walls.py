"""The skin of a part as flat triangles: the walls that grains meet. Nothing is filled."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gmsh
import numpy as np

from hub.case import Mesh
from hub.meshfile import MeshFile
from hub.selection import Face
from hub.solver import StageError
from solvers.meshing import cad, sizing
from solvers.meshing.cad import Floats, Ints
from solvers.meshing.given import Skin, edge_faults
from solvers.meshing.tetmesh import Parts, Progress, as_known

#: Triangles around a full circle: flat triangles lie inside a circle of radius r by r (1 - cos(pi / n)), that is 0.9,
#: 0.4 and 0.15 % of the radius.
AROUND: dict[sizing.Fineness, int] = {"coarse": 24, "normal": 36, "fine": 56}
#: No triangle is larger than this part of the box's diagonal, so that searches for neighbours stay quick.
WIDEST = 1 / 10


def mesh(
    parts: Parts,
    wanted: Mesh,
    selections: Mapping[str, Sequence[int]],
    factor: float,
    *,
    known: Sequence[Face] = (),
    progress: Progress = lambda step, of, doing: None,
    left: Callable[[], float] = lambda: float("inf"),
) -> MeshFile:
    """Triangles of the loaded model's faces, their deviation from round faces held by the fineness.

    Arguments as for tetrahedra; ``wanted.size`` is the largest size. Raises StageError.
    """
    begun = time.perf_counter()
    topology = parts.topology
    diagonal = sizing.diagonal()
    largest = diagonal * WIDEST if wanted.size is None else wanted.size / factor
    size = sizing.Sizing(largest, diagonal * 1e-4, AROUND[wanted.fineness])
    chosen = {name: parts.pieces(of) for name, of in selections.items()}
    sizing.apply(size)
    refined = [
        ([topology.faces[i] for i in chosen[r.on]], r.size / factor, (r.reach or 0) / factor)
        for r in wanted.refine
        if r.on in chosen
    ]
    sizing.refine(refined, size)
    progress(0, 1, "covering the faces")
    try:
        gmsh.model.mesh.generate(2)
        skin = cad.tessellate(topology)
        deviation = _deviation()
    except Exception as error:  # gmsh has one kind of exception
        raise StageError(
            "no-valid-mesh",
            f"The faces could not be covered with triangles: {str(error)[:150]}.",
            "Repair the part in the CAD system (check geometry, heal), then export again.",
        ) from None
    faces = [
        as_known(f, [known[i] for i in parts.came_from[f.index] if known]) for f in cad.faces(topology, skin, factor)
    ]
    bodies = [
        {"name": n, "volume": gmsh.model.occ.getMass(3, b) * factor**3}
        for b, n in zip(topology.bodies, topology.names, strict=True)
    ]
    return of_triangles(
        skin.points * factor,
        skin.triangles,
        skin.face,
        bodies,
        faces,
        chosen,
        {
            "deviation": deviation * factor,
            "seconds": round(time.perf_counter() - begun, 3),
            "mesher": f"gmsh {gmsh.GMSH_API_VERSION}",
        },
    )


def of_skin(
    skin: Skin, bodies: Sequence[dict[str, Any]], faces: Sequence[Face], selections: Mapping[str, Sequence[int]],
    factor: float, mesher: str,
) -> MeshFile:  # fmt: skip
    """The triangles of an STL, or of the boundary of a given mesh, as they are."""
    return of_triangles(
        skin.points * factor, skin.triangles, skin.face, bodies, faces, selections, {"seconds": 0.0, "mesher": mesher}
    )


def of_triangles(
    points: Floats,
    triangles: Ints,
    face: Ints,
    bodies: Sequence[dict[str, Any]],
    faces: Sequence[Face],
    selections: Mapping[str, Sequence[int]],
    numbers: Mapping[str, Any],
) -> MeshFile:
    """Walls from triangles (m, 3) of points (n, 3) [m] and their faces (m,). Sheets without a solid are one body.

    Raises StageError where there is nothing, or a triangle without area.
    """
    corner = points[triangles]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    kept = area > 1e-12 * float(np.ptp(points, axis=0).max()) ** 2
    if not kept.any():
        raise StageError("no-walls", "The part has no faces to be walls.", "Export it as a solid or as surfaces.")
    triangles, face, area = triangles[kept], face[kept], area[kept]
    used, inverse = np.unique(triangles, return_inverse=True)
    points, triangles = points[used], inverse.reshape(-1, 3)
    sides = [
        np.linalg.norm(points[triangles[:, a]] - points[triangles[:, b]], axis=1) for a, b in ((0, 1), (1, 2), (2, 0))
    ]
    open_edges, crowded, places = edge_faults(points, triangles)
    return MeshFile(
        points=points,
        cells=np.empty((0, 4), np.int64),
        cell_body=np.empty(0, np.int32),
        facets=triangles,
        facet_face=face.astype(np.int32),
        bodies=list(bodies) or [{"name": "body 1", "volume": 0.0}],
        faces=[f.model_dump(mode="json") | {"bodies": list(f.bodies) or [0]} for f in faces],
        selections={name: list(of) for name, of in selections.items()},
        numbers={
            "nodes": len(points),
            "triangles": len(triangles),
            "order": 1,
            "area": float(area.sum()),
            "smallest_edge": float(min(s.min() for s in sides)),
            "largest_edge": float(max(s.max() for s in sides)),
            "open_edges": open_edges,
            "edges_on_more_faces": crowded,
            "open_places": places.tolist(),
            **numbers,
        },
    )


def _deviation() -> float:
    """The largest distance of a triangle's side or middle from the face it stands for: what bending it would move."""
    gmsh.model.mesh.setOrder(2)
    tags, xyz, _ = gmsh.model.mesh.getNodes()
    number = np.zeros(int(tags.max(initial=0)) + 1, np.int64)
    number[tags.astype(np.int64)] = np.arange(len(tags))
    points = xyz.reshape(-1, 3)
    _, nodes = gmsh.model.mesh.getElementsByType(9)
    cells = number[nodes.astype(np.int64).reshape(-1, 6)]
    off = [
        np.linalg.norm(points[cells[:, 3 + k]] - (points[cells[:, a]] + points[cells[:, b]]) / 2, axis=1).max(initial=0)
        for k, (a, b) in enumerate(((0, 1), (1, 2), (2, 0)))
    ]
    return float(max(off))

"""How large elements are: from the fineness asked for and the part itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import gmsh
import numpy as np

from hub.case import Mesh
from solvers.meshing.cad import Topology

Fineness = Literal["coarse", "normal", "fine"]

#: Tetrahedra that would fill the part at the largest size; curvature and small features add to them.
BULK: dict[Fineness, float] = {"coarse": 1_000, "normal": 3_500, "fine": 14_000}
#: Triangles that would cover a plane domain at the largest size.
BULK_FLAT: dict[Fineness, float] = {"coarse": 600, "normal": 2_500, "fine": 10_000}
#: Elements around a full circle.
AROUND: dict[Fineness, int] = {"coarse": 8, "normal": 12, "fine": 20}
#: Volume of the tetrahedra that meshers make over the cube of the size asked for: the regular one has
#: 1/(6 sqrt 2) = 0.118, packed ones are measured to be near it.
FILL = 0.118
#: Area of the regular triangle over the square of its side.
TRIANGLE = 0.433
#: The smallest size that curvature may ask for, over the largest size: tiny fillets must not eat the whole mesh.
SMALLEST: dict[Fineness, float] = {"coarse": 1 / 4, "normal": 1 / 6, "fine": 1 / 10}
#: No size is larger than this part of the diagonal of the box.
WIDEST = 1 / 8


@dataclass(frozen=True)
class Sizing:
    """Sizes in the model's unit. largest : of elements far from features; smallest : that curvature may ask for."""

    largest: float
    smallest: float
    around: int


@dataclass(frozen=True)
class Graded:
    """Sizes that differ over the domain. whole : bounds everywhere; near : at the part; fields : gmsh's, the least of
    which holds."""

    whole: Sizing
    near: Sizing
    fields: tuple[int, ...] = ()


def sizing(mesh: Mesh, volume: float, diagonal: float, *, unit: float = 1.0, flat: bool = False) -> Sizing:
    """The sizes for a part.

    volume [unit3], diagonal [unit] of the part's box; unit : metres in one unit of the model
    flat : a plane domain, of which `volume` is the area [unit2]
    """
    fineness = mesh.fineness
    if flat:
        largest = min((volume / (TRIANGLE * BULK_FLAT[fineness])) ** (1 / 2), diagonal * WIDEST)
    else:
        largest = min((volume / (FILL * BULK[fineness])) ** (1 / 3), diagonal * WIDEST)
    if mesh.size is not None:
        largest = mesh.size / unit
    return Sizing(largest, largest * SMALLEST[fineness], AROUND[fineness])


def apply(size: Sizing) -> None:
    """Tell gmsh."""
    gmsh.option.setNumber("Mesh.MeshSizeMax", size.largest)
    gmsh.option.setNumber("Mesh.MeshSizeMin", size.smallest)
    gmsh.option.setNumber("Mesh.MeshSizeFromCurvature", size.around)
    gmsh.option.setNumber("Mesh.MeshSizeExtendFromBoundary", 1)


def diagonal() -> float:
    """Of the model's box."""
    box = np.array(gmsh.model.getBoundingBox(-1, -1))
    return float(np.linalg.norm(box[3:] - box[:3]))


def narrow_sizes(topology: Topology, size: Sizing) -> dict[int, float]:
    """Face -> size, for faces narrower than an element: smaller there, so that they are not filled with slivers."""
    sizes = {}
    for face in topology.faces:
        border = sum(gmsh.model.occ.getMass(1, e) for e in topology.edges[face])
        if border <= 0:
            continue
        width = 2 * gmsh.model.occ.getMass(2, face) / border
        local = max(1.5 * width, size.largest / 4)
        if local < size.largest:
            sizes[face] = local
    return sizes


def narrow_faces(topology: Topology, size: Sizing) -> None:
    """Ask for smaller elements at the corners of narrow faces."""
    wanted: dict[int, float] = {}
    for face, local in narrow_sizes(topology, size).items():
        for _, point in gmsh.model.getBoundary([(2, face)], recursive=True):
            wanted[point] = min(local, wanted.get(point, local))
    for point, local in wanted.items():
        gmsh.model.mesh.setSize([(0, point)], local)


def refine(
    places: list[tuple[list[int], float, float]], size: Sizing, *, dim: int = 2, fields: tuple[int, ...] = ()
) -> None:
    """Finer elements on faces, or on edges (dim 1), as far as they reach: (tags, size, reach) each; from there they
    grow by a third of the distance. `fields` of gmsh hold too."""
    everything = list(fields)
    for tags, local, reach in places:
        distance = gmsh.model.mesh.field.add("Distance")
        gmsh.model.mesh.field.setNumbers(distance, "SurfacesList" if dim == 2 else "CurvesList", tags)
        gmsh.model.mesh.field.setNumber(distance, "Sampling", 40)
        threshold = gmsh.model.mesh.field.add("Threshold")
        growth = max(size.largest - local, 0.0) * 3
        for name, value in (
            ("InField", distance),
            ("SizeMin", local),
            ("SizeMax", max(size.largest, local)),
            ("DistMin", max(local, reach)),
            ("DistMax", max(local, reach) + growth),
        ):
            gmsh.model.mesh.field.setNumber(threshold, name, value)
        everything.append(threshold)
    if everything:
        smallest = gmsh.model.mesh.field.add("Min")
        gmsh.model.mesh.field.setNumbers(smallest, "FieldsList", everything)
        gmsh.model.mesh.field.setAsBackgroundMesh(smallest)
        gmsh.option.setNumber("Mesh.MeshSizeMin", min([size.smallest, *(local for _, local, _ in places)]))

"""Fill a closed STL with tetrahedra: its skin is cut into patches, covered anew, and the inside filled."""

from __future__ import annotations

import gmsh
import numpy as np

from hub.case import Mesh
from hub.solver import StageError
from solvers.meshing import cad, sizing
from solvers.meshing.cad import Floats, Ints
from solvers.meshing.given import SHARP, Skin


def fill(skin: Skin, wanted: Mesh, factor: float) -> tuple[Floats, Ints]:
    """(points, cells in VTK order) of the inside of a closed skin, in its own unit. Raises StageError."""
    corner = skin.points[skin.triangles]
    enclosed = float(np.einsum("ij,ij->i", corner[:, 0], np.cross(corner[:, 1], corner[:, 2])).sum() / 6)
    span = float(np.linalg.norm(np.ptp(skin.points, axis=0)))
    with cad.session():
        tag = gmsh.model.addDiscreteEntity(2)
        numbers = np.arange(1, len(skin.points) + 1)
        gmsh.model.mesh.addNodes(2, tag, numbers, skin.points.ravel())
        gmsh.model.mesh.addElementsByType(tag, 2, [], (skin.triangles + 1).ravel())
        try:
            gmsh.model.mesh.classifySurfaces(float(SHARP), True, True, np.pi)
            gmsh.model.mesh.createGeometry()
            loop = gmsh.model.geo.addSurfaceLoop([t for _, t in gmsh.model.getEntities(2)])
            gmsh.model.geo.addVolume([loop])
            gmsh.model.geo.synchronize()
            size = sizing.sizing(wanted, enclosed, span, unit=factor)
            sizing.apply(size)
            gmsh.model.mesh.generate(3)
            gmsh.model.mesh.optimize("Netgen")
        except Exception as error:  # gmsh has one kind of exception
            raise StageError(
                "no-valid-mesh",
                f"The STL could not be filled: {str(error)[:150]}.",
                "Send the CAD part as STEP, or repair the STL (no crossing or folded triangles).",
            ) from None
        if wanted.order == 2:
            gmsh.model.mesh.setOrder(2)
        kind, width = (11, 10) if wanted.order == 2 else (4, 4)
        tags, xyz, _ = gmsh.model.mesh.getNodes()
        _, nodes = gmsh.model.mesh.getElementsByType(kind)
    number = np.zeros(int(tags.max()) + 1, np.int64)
    number[tags.astype(np.int64)] = np.arange(len(tags))
    cells = number[nodes.astype(np.int64).reshape(-1, width)]
    if width == 10:
        cells = cells[:, [0, 1, 2, 3, 4, 5, 6, 7, 9, 8]]
    used, inverse = np.unique(cells, return_inverse=True)
    return xyz.reshape(-1, 3)[used], inverse.reshape(cells.shape)

"""Fields gathered from the ranks and written for ParaView."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from dolfinx import fem

from solvers.fem.mesh import Part

Reals = npt.NDArray[np.float64]


def at_geometry_nodes(part: Part, V: fem.FunctionSpace, values: Reals) -> Reals:
    """Values at the nodes of a Lagrange space (local nodes, k) -> at the geometry's nodes (local nodes, k).

    The space is of the geometry's order or higher: every node of the geometry is a node of the space.
    """
    dofs, nodes = V.dofmap.list, part.mesh.geometry.dofmaps[0]
    at = np.zeros(len(part.mesh.geometry.x), dtype=np.int32)
    at[nodes.ravel()] = dofs[:, : nodes.shape[1]].ravel()
    return values[at]


def gather(part: Part, values: Reals) -> Reals | None:
    """(local geometry nodes, k) of every rank -> (nodes of the mesh file, k) on rank 0, None elsewhere. Collective."""
    comm = part.mesh.comm
    own = part.mesh.geometry.index_map().size_local
    pieces = comm.gather((part.nodes[:own], values[:own]))
    if pieces is None:
        return None
    whole = np.zeros((len(part.file.points), *values.shape[1:]))
    for nodes, value in pieces:
        whole[nodes] = value
    return whole


def write(part: Part, fields: dict[str, Reals], file: Path) -> None:
    """Write fields, an array (local geometry nodes, k) or (local geometry nodes,) each, as a VTU file. Collective."""
    whole = {name: gather(part, values) for name, values in fields.items()}
    if part.mesh.comm.rank == 0:
        import meshio

        kind = "tetra10" if part.file.order == 2 else "tetra"
        meshio.Mesh(
            part.file.points,
            [(kind, part.file.cells)],
            point_data=whole,
            cell_data={"body": [part.file.cell_body]},
        ).write(file, compression=None)

"""Which displacements are prescribed at which nodes, in which directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from dolfinx import fem
from mpi4py import MPI

from hub.meshfile import MeshFile
from hub.solver import Condition, StageError
from solvers.fem.elasticity.conditions import Displacement, Fixed, Symmetry
from solvers.fem.elasticity.solved import Acting

Reals = npt.NDArray[np.float64]

#: A normal this near to an axis is that axis: faces come out of CAD files with the last digits rounded.
ALIGNED = 1e-6


@dataclass(frozen=True)
class Prescribed:
    """Prescribed displacements at the nodes of a vector space, node by node in a frame of its own.

    held : (local nodes, 3) True where the displacement along that axis of the node's frame is prescribed
    values : (local nodes, 3) the prescribed displacement [m]
    turned : local nodes whose frame is not the coordinate axes
    frames : (turned, 3, 3) their axes, a row each
    """

    held: npt.NDArray[np.bool_]
    values: Reals
    turned: npt.NDArray[np.int32]
    frames: Reals

    def into_frames(self, vectors: Reals) -> None:
        """Turn nodal vectors (3 local nodes,) from the coordinate axes into the nodes' frames, in place."""
        at = vectors.reshape(-1, 3)
        at[self.turned] = np.einsum("nij,nj->ni", self.frames, at[self.turned])

    def out_of_frames(self, vectors: Reals) -> None:
        """Turn nodal vectors (3 local nodes,) from the nodes' frames into the coordinate axes, in place."""
        at = vectors.reshape(-1, 3)
        at[self.turned] = np.einsum("nij,ni->nj", self.frames, at[self.turned])

    def dirichlet(self, V: fem.FunctionSpace) -> list[fem.DirichletBC]:
        """The same as boundary conditions, for spaces whose frames are the coordinate axes."""
        conditions = []
        for i in range(3):
            nodes = np.flatnonzero(self.held[:, i]).astype(np.int32)
            for value in np.unique(self.values[nodes, i]):
                same = nodes[self.values[nodes, i] == value]
                conditions.append(fem.dirichletbc(float(value), 3 * same + i, V.sub(i)))
        return conditions


def prescribed(V: fem.FunctionSpace, conditions: Sequence[Acting], file: MeshFile) -> Prescribed:
    """What `conditions` prescribe in `V`. Where two meet at an edge, the later one in the case decides.

    Raises StageError for a symmetry on a face that is not plane. Collective.
    """
    index_map = V.dofmap.index_map
    size = index_map.size_local + index_map.num_ghosts
    held, values = np.zeros((size, 3), dtype=bool), np.zeros((size, 3))
    oblique: list[tuple[npt.NDArray[np.int32], Reals]] = []
    for acting in conditions:
        for components, normal, facets in _directions(acting, file):
            # every rank must ask, for a node at the border of a rank may be held by a facet of another rank only
            nodes = fem.locate_dofs_topological(V, 2, facets, remote=True)
            if normal is not None:
                oblique.append((nodes, normal))
            for i, value in components.items():
                held[nodes, i], values[nodes, i] = True, value
    if not V.mesh.comm.allreduce(len(oblique), MPI.MAX):
        return Prescribed(held, values, np.empty(0, dtype=np.int32), np.empty((0, 3, 3)))
    turned = np.unique(np.concatenate([nodes for nodes, _ in oblique])).astype(np.int32)
    directions = np.zeros((len(turned), 3 + len(oblique), 3))
    along = np.zeros((len(turned), 3 + len(oblique)))
    for i in range(3):
        directions[:, i, i] = held[turned, i]
        along[:, i] = values[turned, i]
    for k, (nodes, normal) in enumerate(oblique):
        directions[np.searchsorted(turned, nodes), 3 + k] = normal
    left, strength, frames = np.linalg.svd(directions)
    independent = strength > 1e-4
    held[turned] = independent
    values[turned] = np.where(
        independent,
        np.einsum("nkj,nk->nj", left[:, :, :3], along) / np.where(independent, strength, 1),
        0,
    )
    return Prescribed(held, values, turned, frames)


def _directions(acting: Acting, file: MeshFile):
    """(components prescribed, or an oblique normal, and the facets) for each set of facets of a condition."""
    match acting.condition:
        case Fixed():
            yield dict.fromkeys(range(3), 0.0), None, acting.facets
        case Displacement() as moved:
            yield moved.components, None, acting.facets
        case Symmetry() as plane:
            for normal, facets in _by_normal(plane, acting, file):
                axis = int(np.argmax(np.abs(normal)))
                if 1 - abs(normal[axis]) < ALIGNED**2 / 2:
                    yield {axis: 0.0}, None, facets
                else:
                    yield {}, normal, facets


def _by_normal(condition: Condition, acting: Acting, file: MeshFile) -> list[tuple[Reals, npt.NDArray[np.int32]]]:
    found = []
    for face, facets in acting.by_face.items():
        normal = file.faces[face].get("normal")
        if file.faces[face]["type"] != "plane" or normal is None:
            raise StageError(
                "not-plane",
                f"The symmetry {condition.name or ''} acts on face {face + 1}, which is no plane.".replace("  ", " "),
                "Select plane faces only; for a curved face use elastic_support along the normal.",
            )
        found.append((np.asarray(normal, dtype=float), facets))
    return found

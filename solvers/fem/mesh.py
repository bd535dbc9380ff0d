"""The mesh file of a run as a DOLFINx mesh distributed over the ranks, with its faces and bodies."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dolfinx_solver  # noqa: F401 - loads MPI ahead of the bindings

# isort: split
import basix.ufl
import dolfinx
import numpy as np
import numpy.typing as npt
from dolfinx import mesh as dmesh
from mpi4py import MPI

from hub.meshfile import MeshFile

Integers = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Part:
    """A part as the solvers see it. Collective over ``mesh.comm``.

    file : the mesh file, whole on every rank
    mesh : tetrahedra, or triangles of a plane domain (two coordinates), of order 1 or 2, no ghost cells
    bodies : cell tags, the value is the index into ``file.bodies``
    faces : facet tags of outer and interface facets, the value is the index into ``file.faces``
    """

    file: MeshFile
    mesh: dmesh.Mesh
    bodies: dmesh.MeshTags
    faces: dmesh.MeshTags

    @cached_property
    def nodes(self) -> npt.NDArray[np.int64]:
        """(local geometry nodes,) row in ``file.points`` of each row of ``mesh.geometry.x``."""
        return np.asarray(self.mesh.geometry.input_global_indices)

    @cached_property
    def _outer(self) -> npt.NDArray[np.bool_]:
        """(tagged facets,) True where the facet bounds the part and its cell is on this rank."""
        return np.isin(self.faces.indices, dmesh.exterior_facet_indices(self.mesh.topology))

    def facets(self, selections: Iterable[str], *, outer: bool = True) -> Integers:
        """The facets of this rank in any of the named selections, sorted; `outer`: no interfaces between bodies."""
        wanted = sorted({face for name in selections for face in self.file.selections[name]})
        return self.facets_of(wanted, outer=outer)

    def facets_of(self, faces: Iterable[int], *, outer: bool = True) -> Integers:
        """The facets of this rank on the faces with these indices, sorted."""
        found = np.isin(self.faces.values, np.fromiter(faces, dtype=np.int32))
        return self.faces.indices[found & self._outer if outer else found]


def read(folder: Path, comm: MPI.Intracomm = MPI.COMM_WORLD) -> Part:
    """The part whose ``mesh.npz`` and ``mesh.json`` are in `folder`. Raises OSError, ValueError."""
    return distribute(MeshFile.read(folder), comm)


def distribute(file: MeshFile, comm: MPI.Intracomm = MPI.COMM_WORLD) -> Part:
    """The mesh of a MeshFile, its cells partitioned over the ranks of `comm`."""
    dim = file.dimension
    shape = dmesh.CellType.tetrahedron if dim == 3 else dmesh.CellType.triangle
    element = basix.ufl.element("Lagrange", shape.name, file.order, shape=(dim,))
    order = dolfinx.cpp.io.perm_vtk(shape, file.cells.shape[1])
    cells = _share(file.cells, comm)[:, order]
    mesh = dmesh.create_mesh(comm, cells, element, _share(file.points[:, :dim], comm))
    topology = mesh.topology
    for dims in ((dim - 1, 0), (dim - 1, dim), (dim, dim - 1)):
        topology.create_connectivity(*dims)
    local = topology.index_map(dim).size_local + topology.index_map(dim).num_ghosts
    body = file.cell_body[topology.original_cell_index[:local]].astype(np.int32)
    bodies = dmesh.meshtags(mesh, dim, np.arange(local, dtype=np.int32), body)
    return Part(file, mesh, bodies, faces_of(file, mesh))


def _share(array: npt.NDArray, comm: MPI.Intracomm) -> npt.NDArray:
    """The rows of `array` that this rank brings in."""
    first, last = len(array) * comm.rank // comm.size, len(array) * (comm.rank + 1) // comm.size
    return np.ascontiguousarray(array[first:last])


def faces_of(file: MeshFile, mesh: dmesh.Mesh) -> dmesh.MeshTags:
    """Facets found again by the numbers of their corners."""
    topology, dim = mesh.topology, file.dimension
    count = topology.index_map(dim - 1).size_local + topology.index_map(dim - 1).num_ghosts
    facets = np.arange(count, dtype=np.int32)
    corners = dmesh.entities_to_geometry(mesh, dim - 1, facets)[:, :dim]
    have = np.sort(np.asarray(mesh.geometry.input_global_indices)[corners], axis=1)
    want = np.sort(file.facets[:, :dim], axis=1)
    size = len(file.points)
    # two steps keep the keys within 64 bits: the pair of the first two corners, then that pair's number and the third
    pairs, key = np.unique(want[:, 0] * size + want[:, 1], return_inverse=True)
    have_pair = have[:, 0] * size + have[:, 1]
    have_key = np.minimum(np.searchsorted(pairs, have_pair), len(pairs) - 1)
    near = pairs[have_key] == have_pair
    have_key = have_key[near]
    if dim == 3:
        key = key * size + want[:, 2]
        have_key = have_key * size + have[near, 2]
    by_key = np.argsort(key)
    hit = np.minimum(np.searchsorted(key, have_key, sorter=by_key), len(key) - 1)
    row = by_key[hit]
    same = key[row] == have_key
    return dmesh.meshtags(mesh, dim - 1, facets[near][same], file.facet_face[row[same]].astype(np.int32))

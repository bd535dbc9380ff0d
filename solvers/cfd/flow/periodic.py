"""Spaces on a mesh that goes on behind one end where it began at another: nodes that lie one shift apart are one node.

DOLFINx keeps the unknowns of a space apart from the places of its nodes. Here the two nodes of a pair get one number in
the map from cells to unknowns; everything that is assembled then joins the cells of both ends as if they touched, on
any number of ranks, and nothing else needs to know.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from solvers.fem.mesh import Part  # first, for it loads MPI ahead of the bindings

# isort: split
from dolfinx import cpp, fem, la
from dolfinx.common import IndexMap
from dolfinx.graph import adjacencylist
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from hub.periodic import APART
from hub.solver import StageError

#: Of the messages in which ranks tell whose nodes they share.
TAG = 4711


def pairs(part: Part) -> list[dict[str, Any]]:
    """The ends that go on into each other: faces of one (low), of the other (high), and the way between [m]."""
    return list(part.file.numbers.get("periodic", ()))


def space(part: Part, element: tuple[Any, ...]) -> fem.FunctionSpace:
    """A Lagrange space on a part, periodic where the part is. Collective. Raises StageError where ends do not fit."""
    V = fem.functionspace(part.mesh, element)
    return _joined(part, V) if pairs(part) else V


def places(part: Part, V: fem.FunctionSpace) -> Iterator[np.ndarray]:
    """(nodes, 3) where the nodes of this rank are [m], then where they are beyond any of the ends.

    Which of two joined nodes gives its place depends on the order of cells, and so on the number of ranks.
    """
    x = V.tabulate_dof_coordinates()
    shifts = [np.array(pair["shift"]) for pair in pairs(part)]
    yield x
    for times in itertools.product((0, 1, -1), repeat=len(shifts)):
        if any(times):
            yield x + sum(n * shift for n, shift in zip(times, shifts, strict=True))


def _joined(part: Part, V: fem.FunctionSpace) -> fem.FunctionSpace:
    dofmap, comm = V.dofmap, part.mesh.comm
    index, own = dofmap.index_map, dofmap.index_map.size_local
    first, local = index.local_range[0], own + index.num_ghosts
    # the lowest number of a class of nodes that are one stands for it
    stands = _classes(part, V)
    numbers = first + np.arange(own)
    standing = np.array([stands.get(int(n), int(n)) for n in numbers]) if stands else numbers
    kept = standing == numbers
    offset = int(comm.exscan(int(kept.sum())) or 0)
    renumbered = np.where(kept, offset + np.cumsum(kept) - 1, -1)
    # who owns it now and what its number is, of every node that stands for others
    leads = set(stands.values())
    mine = {int(n): (int(renumbered[n - first]), comm.rank) for n in leads if first <= n < first + own}
    known = {n: told for of_rank in comm.allgather(mine) for n, told in of_rank.items()}
    table = la.vector(index, bs=2, dtype=np.int64)
    rows = table.array.reshape(-1, 2)
    rows[:own, 0], rows[:own, 1] = renumbered, comm.rank
    for i in np.flatnonzero(~kept):
        rows[i] = known[int(standing[i])]
    table.scatter_forward()
    number, owner = rows[:local, 0], rows[:local, 1]
    ghosts, at = np.unique(number[owner != comm.rank], return_index=True)
    owners = owner[owner != comm.rank][at].astype(np.int32)
    here = np.where(owner == comm.rank, number - offset, int(kept.sum()) + np.searchsorted(ghosts, number))
    joined = cpp.fem.DofMap(
        dofmap.dof_layout,
        IndexMap(comm, int(kept.sum()), ghosts, owners, TAG),
        dofmap.index_map_bs,
        adjacencylist(here[dofmap.list].astype(np.int32))._cpp_object,
        dofmap.bs,
    )
    made = cpp.fem.FunctionSpace_float64(part.mesh._cpp_object, V.element._cpp_object, joined)
    return fem.FunctionSpace(part.mesh, V.ufl_element(), made)


def _classes(part: Part, V: fem.FunctionSpace) -> dict[int, int]:
    """Number over all ranks of a node -> the lowest number of those that are one with it, of every node at an end."""
    comm, own = part.mesh.comm, V.dofmap.index_map.size_local
    first, fdim = V.dofmap.index_map.local_range[0], part.mesh.topology.dim - 1
    x, size = V.tabulate_dof_coordinates(), float(np.ptp(part.file.points, axis=0).max())
    one: list[np.ndarray] = []
    other: list[np.ndarray] = []
    for pair in pairs(part):
        ends = []
        for faces in (pair["low"], pair["high"]):
            nodes = fem.locate_dofs_topological(V, fdim, part.facets_of(faces), remote=True)
            nodes = nodes[nodes < own]
            told = comm.allgather((nodes + first, x[nodes]))
            ends.append((np.concatenate([n for n, _ in told]), np.concatenate([p for _, p in told])))
        (low, at), (high, there) = ends
        shift = np.array(pair["shift"])
        if len(low) != len(high) or not len(low):
            raise _unlike(f"The meshes of two periodic ends do not fit: one has {len(low)} nodes, one {len(high)}.")
        far, match = KDTree(there).query(at + shift)
        if far.max() > APART * size or len(np.unique(match)) != len(match):
            worst = ", ".join(f"{1e3 * v:.4g}" for v in at[int(far.argmax())])
            raise _unlike(f"The meshes of two periodic ends do not fit: no node belongs to the one at ({worst}) mm.")
        one.append(low)
        other.append(high[match])
    a, b = np.concatenate(one), np.concatenate(other)
    nodes, index = np.unique(np.concatenate([a, b]), return_inverse=True)
    links = coo_array((np.ones(len(a)), (index[: len(a)], index[len(a) :])), shape=(len(nodes), len(nodes)))
    count, label = connected_components(links, directed=False)
    lowest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(lowest, label, nodes)
    return {int(n): int(low) for n, low in zip(nodes, lowest[label], strict=True)}


def _unlike(message: str) -> StageError:
    return StageError(
        "not-periodic",
        message,
        "Mesh the part here rather than bring a mesh, or bring one whose ends are meshed alike.",
    )
